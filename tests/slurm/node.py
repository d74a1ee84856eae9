"""The first process of a virtual node: gives it a name and a network, and runs its ``slurmd``.

    unshare ... python node.py NAME HOSTS ADDRESS

It is process 1 of the node: it collects what others leave behind, and when it dies, for
instance because somebody kills the node, everything on the node dies with it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time


def main(name: str, hosts: str, address: str) -> int:
    """Be the node *name* until its daemon ends; returns the daemon's exit code."""
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    socket.sethostname(name)
    for words in (["link", "set", "lo", "up"], ["addr", "add", f"{address}/24", "dev", "eth0"]):
        while subprocess.run(["ip", *words], check=False, stderr=subprocess.DEVNULL).returncode:
            time.sleep(0.02)  # the cable is laid from outside
    subprocess.run(["ip", "link", "set", "eth0", "up"], check=True)
    daemon = subprocess.Popen(["slurmd", "-D", "-N", name])
    signal.signal(signal.SIGTERM, lambda *_: daemon.terminate())
    while True:
        pid, status = os.wait()
        if pid == daemon.pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
