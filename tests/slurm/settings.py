"""What the cluster is like: its options, and the files in which SLURM reads them.

Everything here is about quick reactions (a dead node is noticed within seconds, not minutes)
and about pretending: more processors, memory and GPUs than the machine has.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path

CLUSTER = "leyden"
_NET = "198.18"  # set aside for tests of networks (RFC 2544): routed nowhere

CONF = """\
ClusterName={cluster}
SlurmctldHost={host}({address})
SlurmctldPort={port_controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits as long as a credential may live: 2 minutes by default. It has to be well above
# KillWait: a job that comes back while its first life still ends drains the node. And well above what starting a
# process takes on a busy machine: a task that its node cannot start in that time ends the whole job.
AuthInfo=socket={folder}/run/munge.sock,cred_expire=20
{listening}
StateSaveLocation={folder}/state/controller
# A cluster of today must not hand out the numbers of yesterday's: what lies in a folder under a number is its own.
FirstJobId={first_job}
SlurmdSpoolDir={folder}/state/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
MailProg=/bin/true
# No control groups: processes are found through /proc, and not pinned to processors.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,sched_min_interval=0,bf_interval=2,batch_sched_delay=0
SlurmdTimeout=15
SlurmctldTimeout=30
MessageTimeout=20
BatchStartTimeout=30
KillWait=3
UnkillableStepTimeout=30
CompleteWait=0
MinJobAge=600
ReturnToService=2
TreeWidth=128
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{accounting}
{others}
{nodes}
PartitionName=main Nodes=ALL Default=YES DefaultTime=10 MaxTime=1440 PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=ALL DefaultTime=10 MaxTime=1440 PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=ALL DefaultTime=10 MaxTime=1440 PriorityTier=100 PreemptMode=OFF
"""
WITH_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort={port_records}
AccountingStoragePass={folder}/run/munge.sock
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=10"""
WITHOUT_ACCOUNTING = """\
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none"""
RECORDS = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
DbdHost={host}
DbdAddr={address}
DbdPort={port_records}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={port_database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
PidFile={folder}/run/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
{records_listening}
"""


@dataclass(frozen=True)
class Settings:
    """One cluster.

    Args:
        folder: All of its files.
        port: The first of 50 TCP ports; a multiple of 50.
        nodes: How many, at most 39.
        cpus: Of each node, pretended.
        gpus: Of each node, pretended.
        accounting: Whether ``sacct`` knows anything.
        user_signal: Whether a preempted job gets the signal it asked for; otherwise just SIGTERM.
        namespaces: Whether each node is a machine of its own: processes, host name, network.
        others: More lines of slurm.conf.
    """

    folder: Path
    port: int
    nodes: int = 2
    cpus: int = 8
    gpus: int = 2
    accounting: bool = True
    user_signal: bool = True
    namespaces: bool = True
    others: tuple[str, ...] = ()

    @property
    def bridge(self) -> str:
        """Name of the bridge between the nodes and this machine."""
        return f"leyden{self.port}"

    def address(self, number: int) -> str:
        """Return the address of a node from 1 on; 0 is the machine itself."""
        return f"{_NET}.{self.port // 50 % 256}.{number or 254}" if self.namespaces else "127.0.0.1"

    def port_of(self, number: int) -> int:
        """Return the port of a node's daemon."""
        return self.port + 10 + number

    def files(self) -> dict[str, str]:
        """Return the content of every file in ``etc/``, by name."""
        known = {
            "cluster": CLUSTER, "host": socket.gethostname(), "address": self.address(0), "folder": self.folder,
            "port_database": self.port, "port_records": self.port + 1, "port_controller": self.port + 2,
            "first_job": int(time.time()) % 60_000_000 + 1000,
            "listening": "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny" if self.namespaces else "",
            "records_listening": "CommunicationParameters=NoInAddrAny" if self.namespaces else "",
        }  # fmt: skip
        signals = ["SlurmctldParameters=preempt_send_user_signal"] if self.user_signal else []
        accounting = WITH_ACCOUNTING if self.accounting else WITHOUT_ACCOUNTING
        numbers = range(1, self.nodes + 1)
        found = {
            "slurm.conf": CONF.format(
                **known,
                accounting=accounting.format(**known),
                others="\n".join([*signals, *self.others]),
                nodes="\n".join(map(self._node, numbers)),
            ),
            "gres.conf": self._devices(),
        }
        if self.accounting:
            found["slurmdbd.conf"] = RECORDS.format(**known)
        hosts = [f"{self.address(number)} node{number}" for number in numbers]
        found["hosts"] = "\n".join(["127.0.0.1 localhost", f"{self.address(0)} {socket.gethostname()}", *hosts, ""])
        return found

    def _node(self, number: int) -> str:
        name = "" if self.namespaces else f" NodeHostname={socket.gethostname()}"
        gpus = f" Gres=gpu:{self.gpus}" if self.gpus else ""
        return (
            f"NodeName=node{number}{name} NodeAddr={self.address(number)} Port={self.port_of(number)} "
            f"CPUs={self.cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={self.cpus} ThreadsPerCore=1 "
            f"RealMemory=65536{gpus} State=UNKNOWN"
        )

    def _devices(self) -> str:
        """Describe GPUs: SLURM wants a device each, and takes the index from the digits at the end of its name."""
        nodes = f"NodeName=node[1-{self.nodes}] Name=gpu"
        devices = [f"{nodes} File={self.folder}/state/nvidia{number}" for number in range(self.gpus)]
        return "\n".join(["AutoDetect=off", *devices, ""])
