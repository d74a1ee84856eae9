"""What a run directory says about processes, jobs, queues and launchers: nothing of others is touched by it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.hostile.arena import Attack, Kind, Sandbox

LONG_AGO, FUTURE = "2020-01-01T00:00:00+00:00", "2090-01-01T00:00:00+00:00"
HOST = socket.gethostname()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def running(**changes: Any) -> Callable[[Path, Sandbox], None]:
    """Return what lets the bystander be the process that executes the run."""

    def build(run: Path, sandbox: Sandbox) -> None:
        found = {"status": "running", "pid": sandbox.bystander, "host": HOST, "started": _now(), "updated": _now()}
        sandbox.queue(run)
        sandbox.status(run, **{**found, **changes})
        (run / ".lock").write_text(str(sandbox.bystander))

    return build


def with_lock(target: str) -> Callable[[Path, Sandbox], None]:
    def build(run: Path, sandbox: Sandbox) -> None:
        running()(run, sandbox)
        (run / ".lock").unlink()
        (run / ".lock").symlink_to(target)

    return build


def lock_is_a_program(run: Path, sandbox: Sandbox) -> None:
    """The bystander has its own program open."""
    running()(run, sandbox)
    (run / ".lock").unlink()
    (run / ".lock").symlink_to(f"/proc/{sandbox.bystander}/exe")


def lock_is_that_of_mine(run: Path, sandbox: Sandbox) -> None:
    running()(run, sandbox)
    (run / ".lock").unlink()
    (sandbox.mine / ".lock").write_text(str(sandbox.bystander))
    os.link(sandbox.mine / ".lock", run / ".lock")


def negative_process(run: Path, sandbox: Sandbox) -> None:
    running(pid=-1)(run, sandbox)


def group_of_processes(run: Path, sandbox: Sandbox) -> None:
    running(pid=-sandbox.bystander)(run, sandbox)


def huge_process(run: Path, sandbox: Sandbox) -> None:
    running(pid=10**30)(run, sandbox)


def in_a_local_queue(run: Path, sandbox: Sandbox) -> None:
    """A queue that never ends is said to have started it."""
    sandbox.in_queue(run)
    sandbox.queue(run, devices={"../run": []}, pid=sandbox.bystander, host=HOST)
    (sandbox.batch / "queue" / "queue.lock").write_text("")
    sandbox.job(run, launcher="local", id=f"{sandbox.bystander}_0", batch=str(sandbox.batch / "queue"))


def local_queue_elsewhere(run: Path, sandbox: Sandbox) -> None:
    sandbox.in_queue(run)
    sandbox.queue(sandbox.mine, folder=sandbox.elsewhere)
    sandbox.job(run, launcher="local", id=f"{sandbox.bystander}_0", batch=str(sandbox.elsewhere))


def slurm_job(**record: Any) -> Callable[[Path, Sandbox], None]:
    """Return what names a job of the user's that has nothing to do with the run; SLURM says that it runs."""

    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.status(run, status="queued")
        mine = sandbox.mine / "slurm"
        mine.mkdir()
        sandbox.job(run, **{"id": "4711", "batch": str(sandbox.batch / "slurm"), **record})
        fields = ("4711", "RUNNING", "None", "node1", "0", "0", "1:00:00", _now(), _now())
        (sandbox.root / "squeue").write_text("".join(f"{each}|" for each in fields) + "\n")
        (sandbox.root / "scontrol").write_text(f"JobId=4711 JobName=mine StdOut={mine}/4711_0_log.out WorkDir=/\n")

    return build


def slurm_job_of_the_folder_above(run: Path, sandbox: Sandbox) -> None:
    """The user's own submission lies beside the stranger's folder, as that of several runs does."""
    slurm_job(batch=str(sandbox.project / "runs" / "slurm"))(run, sandbox)
    batch = sandbox.project / "runs" / "slurm"
    batch.mkdir()
    (batch / "4711_submitted.pkl").write_bytes(os.fsencode(sandbox.mine))
    (sandbox.root / "scontrol").write_text(f"JobId=4711 JobName=mine StdOut={batch}/4711_0_log.out WorkDir=/\n")


def slurm_job_in_a_submission_that_came_along(run: Path, sandbox: Sandbox) -> None:
    """The stranger brings a submission along that names the run, under the number of a job of the user's."""
    slurm_job()(run, sandbox)
    (sandbox.batch / "slurm").mkdir()
    (sandbox.batch / "slurm" / "4711_submitted.pkl").write_bytes(pickle.dumps(str(run)))


def slurm_job_of_a_run_with_a_longer_name(run: Path, sandbox: Sandbox) -> None:
    """The user's own submission is that of a run whose path begins like this one's."""
    slurm_job_of_the_folder_above(run, sandbox)
    batch = sandbox.project / "runs" / "slurm"
    (batch / "4711_submitted.pkl").write_bytes(pickle.dumps(f"{run}-of-mine"))


def queue_names(*names: str) -> Callable[[Path, Sandbox], None]:
    """Return what puts other directories into the stranger's queue; {mine} is a run of the user's that waits."""

    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.status(sandbox.mine, status="interrupted")
        place = sandbox.queue()
        found = json.loads((place / "queue.json").read_text())
        found["directories"] = [name.format(mine=sandbox.mine) for name in names]
        (place / "queue.json").write_text(json.dumps(found))

    return build


def queue_names_a_link(run: Path, sandbox: Sandbox) -> None:
    sandbox.status(sandbox.mine, status="interrupted")
    (sandbox.batch / "theirs").symlink_to(sandbox.mine)
    sandbox.queue(sandbox.batch / "theirs")


def queue_beside_all_runs(run: Path, sandbox: Sandbox) -> None:
    """Unpacked into the output folder itself, so that the user's own runs lie beside it; one was just trained."""
    from leyden.runs import origin

    before = dict(os.environ)
    os.environ["XDG_STATE_HOME"] = str(sandbox.home / ".local" / "state")
    try:
        origin.remember_run(sandbox.mine)
    finally:
        os.environ.clear()
        os.environ.update(before)
    sandbox.status(sandbox.mine, status="interrupted")
    shutil.move(sandbox.queue(sandbox.mine), sandbox.project / "runs" / "queue")
    queue = sandbox.project / "runs" / "queue" / "queue.json"
    found = json.loads(queue.read_text())
    queue.write_text(json.dumps({**found, "directories": ["../mine/kept"]}))


def runs_for_ever(run: Path, sandbox: Sandbox) -> None:
    """Said to be executed by process 1 of this machine, so that a queue would wait for its end."""
    running(pid=1)(run, sandbox)


def heard_of_in_the_future(run: Path, sandbox: Sandbox) -> None:
    running(host="elsewhere", updated=FUTURE)(run, sandbox)


def launcher(**options: str) -> Callable[[Path, Sandbox], None]:
    """Return what leaves a launcher's options beside the run, as a submission would."""

    def build(run: Path, sandbox: Sandbox) -> None:
        place = sandbox.batch / "slurm"
        place.mkdir(exist_ok=True)
        said = {name: text.format(touch=sandbox.touch, canary=sandbox.canary) for name, text in options.items()}
        listed = {name: [text] if name in ("setup", "srun_args") else text for name, text in said.items()}
        (place / "launcher.json").write_text(json.dumps({"launcher": "slurm", "options": listed}))
        sandbox.status(run, status="interrupted")
        sandbox.job(run, batch=str(place), submitted=LONG_AGO)

    return build


def launcher_in_a_folder_of_mine(run: Path, sandbox: Sandbox) -> None:
    """The folder of the user's own submission is named, whose options the stranger may not choose either."""
    launcher(setup="{touch}")(run, sandbox)
    shutil.move(sandbox.batch / "slurm", sandbox.elsewhere / "slurm")
    sandbox.job(run, batch=str(sandbox.elsewhere / "slurm"), submitted=LONG_AGO)


def launcher_through_a_link(run: Path, sandbox: Sandbox) -> None:
    launcher_in_a_folder_of_mine(run, sandbox)
    (sandbox.batch / "slurm").symlink_to(sandbox.elsewhere / "slurm")
    sandbox.job(run, batch=str(sandbox.batch / "slurm"), submitted=LONG_AGO)


def launcher_in_the_run(run: Path, sandbox: Sandbox) -> None:
    launcher(setup="{touch}")(run, sandbox)
    shutil.move(sandbox.batch / "slurm", run / "slurm")
    sandbox.job(run, batch=str(run / "slurm"), submitted=LONG_AGO)


def record_of_ones_own_in_the_run(run: Path, sandbox: Sandbox) -> None:
    """The stranger brings a record of origins along, as if the run were a home."""
    launcher(setup="{touch}")(run, sandbox)
    for place in (run, sandbox.batch, sandbox.project):
        folder = place / ".local" / "state" / "leyden" / "origins"
        folder.mkdir(parents=True)
        (folder / "x.json").write_text("{}")


def id_is(text: str) -> Callable[[Path, Sandbox], None]:
    """Return what puts words for SLURM's commands where the id of a job stands."""

    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.status(run, status="queued")
        sandbox.job(run, id=text.format(touch=sandbox.touch))

    return build


def log_of_the_job_is(name: str) -> Callable[[Path, Sandbox], None]:
    """Return what lets job.json name a file of the user's as the log."""

    def build(run: Path, sandbox: Sandbox) -> None:
        target = {"precious": sandbox.precious, "passwd": Path("/etc/passwd"), "zero": Path("/dev/zero")}[name]
        sandbox.job(run, log=str(target), batch=str(target.parent))

    return build


def log_of_the_job_is_a_link(run: Path, sandbox: Sandbox) -> None:
    (sandbox.batch / "slurm").mkdir()
    (sandbox.batch / "slurm" / "4711_0_log.out").symlink_to(sandbox.precious)
    sandbox.job(run, batch=str(sandbox.batch / "slurm"), log=str(sandbox.batch / "slurm" / "4711_0_log.out"))


CANCEL = ("jobs cancel", "jobs cancel --now", "jobs cancel --all")
ATTACKS = [
    *(
        Attack(f"a bystander is said to execute the run, its lock {name}", Kind.PROCESSES, build,
               harmless_to=(*CANCEL, "runs rm"),
               wall="runs.lock.executing")
        for name, build in {
            "a file with its number": running(),
            "a link to /dev/null": with_lock("/dev/null"),
            "a link to its program": lock_is_a_program,
            "that of another run": lock_is_that_of_mine,
        }.items()
    ),
    Attack("a bystander is said to have started long ago", Kind.PROCESSES, running(started=FUTURE),
           harmless_to=(*CANCEL, "queue", "jobs retry"), wall="runs.lock.executing"),
    Attack("all processes are said to execute the run", Kind.PROCESSES, negative_process,
           harmless_to=(*CANCEL, "queue"), wall="record.liveness.alive"),
    Attack("a group of processes is said to execute the run", Kind.PROCESSES, group_of_processes,
           harmless_to=CANCEL, wall="record.liveness.alive"),
    Attack("the number of the process is none", Kind.PROCESSES, huge_process,
           harmless_to=(*CANCEL, "runs show"), wall="record.liveness.alive"),
    Attack("a queue is said to have just started the run", Kind.PROCESSES, in_a_local_queue,
           harmless_to=("jobs cancel", "jobs ls", "jobs why"), wall="launch.jobs.cancelling"),
    Attack("a queue somewhere else is said to have the run", Kind.PROCESSES, local_queue_elsewhere,
           harmless_to=("jobs cancel", "jobs retry --here"), wall="launch.jobs.cancelling"),
    Attack("a job of the user's own is named", Kind.PROCESSES, slurm_job(), refused_by=("jobs cancel",
           "jobs cancel --now"),
           harmless_to=("jobs cancel --all", "jobs ls", "jobs why"), said="nor SLURM say",
           wall="launch.jobs.ownership"),
    Attack("a job of the user's own is named with its folder", Kind.PROCESSES,
           lambda run, sandbox: slurm_job(batch=str(sandbox.mine / "slurm"))(run, sandbox),
           refused_by=("jobs cancel",), said="nor SLURM say", wall="launch.jobs.ownership"),
    Attack("a job of the user's own is named whose folder lies above", Kind.PROCESSES, slurm_job_of_the_folder_above,
           refused_by=("jobs cancel",), said="nor SLURM say", wall="launch.jobs.ownership"),
    Attack("a job of the user's own is named in a submission that came along", Kind.PROCESSES,
           slurm_job_in_a_submission_that_came_along, refused_by=("jobs cancel",), said="nor SLURM say",
           wall="launch.jobs.ownership"),
    Attack("a job of the user's own is named whose run has a longer name", Kind.PROCESSES,
           slurm_job_of_a_run_with_a_longer_name, refused_by=("jobs cancel",), said="nor SLURM say",
           wall="launch.jobs.ownership"),
    Attack("a whole array of the user's own is named", Kind.PROCESSES, slurm_job(id="4711_3"),
           harmless_to=("jobs cancel", "jobs cancel --all"), wall="launch.jobs.ownership"),
    *(
        Attack(f"a queue names {what}", Kind.PROCESSES, build, refused_by=("queue",), said=said,
               wall="launch.local.record")
        for what, build, said in (
            ("a run of the user's own by its path", queue_names("{mine}"), "which does not lie in"),
            ("a run of the user's own by dots", queue_names("../../mine/kept"), "which does not lie in"),
            ("its own folder and one of the user's", queue_names("../run", "../run/../../mine/kept"),
            "does not lie in"),
            ("the root", queue_names("/"), "which does not lie in"),
            ("a link to a run of the user's own", queue_names_a_link, "which does not lie in|is a link"),
        )
    ),
    Attack("a queue lies beside all runs of the user's own", Kind.PROCESSES, queue_beside_all_runs,
           refused_by=("queue ROOT",), said="was not written by a launch of yours", wall="launch.local.record"),
    Attack("a run is said to be executed for ever", Kind.PROCESSES, runs_for_ever,
           harmless_to=("queue", "jobs cancel", "jobs retry", "jobs why"), wall="launch.local.worker"),
    Attack("a run was last heard of in the future", Kind.PROCESSES, heard_of_in_the_future,
           harmless_to=("queue", "jobs cancel", "jobs ls"), wall="record.liveness.state"),
    *(
        Attack(f"launcher.json says {name}", Kind.SHELL, launcher(**{name: text}), refused_by=("jobs retry",
               "jobs retry PLACE"),
               said="was not written by a launch of yours", wall="launch.jobs.launchers")
        for name, text in {
            "setup": "{touch}", "python": "{touch};", "srun_args": "$({touch})", "partition": "x\n{touch}\n",
            "account": "a\n#SBATCH --wrap={touch}", "comment": "`{touch}`",
        }.items()
    ),
    Attack("launcher.json lies in a folder somewhere else", Kind.SHELL, launcher_in_a_folder_of_mine,
           refused_by=("jobs retry",), said="was not written by a launch of yours", wall="launch.jobs.launchers"),
    Attack("launcher.json lies behind a link", Kind.SHELL, launcher_through_a_link,
           refused_by=("jobs retry",), said="is a link", wall="regular.read"),
    Attack("launcher.json lies in the run itself", Kind.SHELL, launcher_in_the_run,
           refused_by=("jobs retry",), said="was not written by a launch of yours", wall="launch.jobs.launchers"),
    Attack("a record of origins comes with the run", Kind.SHELL, record_of_ones_own_in_the_run,
           refused_by=("jobs retry",), said="was not written by a launch of yours", wall="runs.origin"),
    *(
        Attack(f"the id of the job is {text!r}", Kind.SHELL, id_is(text), harmless_to=("jobs cancel", "jobs ls",
               "jobs why"),
               wall="record.job.is_slurm_id")
        for text in ("1; {touch}", "$({touch})", "--user=root", "4711,4712", "4711 --state=all", "٤٧١١")
    ),
    *(
        Attack(f"the log of the job is {name}", Kind.FILES, log_of_the_job_is(name), never=("precious\n", "root:x:"),
               harmless_to=("jobs logs --job", "jobs logs", "jobs why", "jobs ls --json"), wall="runs.tail.job_log")
        for name in ("precious", "passwd", "zero")
    ),
    Attack("the log of the job is a link in the folder of its submission", Kind.FILES, log_of_the_job_is_a_link,
           refused_by=("jobs logs --job",), harmless_to=("jobs why",), never=("precious\n",), said="is a link",
           wall="regular.end"),
]  # fmt: skip
