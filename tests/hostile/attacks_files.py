"""Files of a run directory that are not what they should be: what is written, followed or read through them."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile.arena import LISTING, READING, Attack, Kind, Sandbox

BY_NAME = (*(verb for verb in READING if verb != "report BOTH"), "runs pin", "runs rm", "jobs cancel")
SAID_LINK = r"is a link"


def linked(name: str, target: str = "precious", status: str = "interrupted") -> Callable[[Path, Sandbox], None]:
    """Return what puts a link in the place of *name*."""

    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.in_queue(run)
        sandbox.status(run, status=status)
        place = {"precious": sandbox.precious, "elsewhere": sandbox.elsewhere, "new": sandbox.home / "made",
                 "root": Path("/"), "null": Path("/dev/null"), "zero": Path("/dev/zero")}  # fmt: skip
        _absent(run / name).symlink_to(place.get(target, Path(target)))

    return build


def hard_linked(name: str) -> Callable[[Path, Sandbox], None]:
    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.in_queue(run)
        os.link(sandbox.precious, _absent(run / name))

    return build


def piped(name: str) -> Callable[[Path, Sandbox], None]:
    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.in_queue(run)
        os.mkfifo(_absent(run / name))

    return build


def with_socket(name: str) -> Callable[[Path, Sandbox], None]:
    def build(run: Path, sandbox: Sandbox) -> None:
        path = _absent(run / name)
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.fchdir(here)
        os.close(here)

    return build


def scratch_of_atomic_writes_is_linked(run: Path, sandbox: Sandbox) -> None:
    """Whichever process writes a file in one step does so beside it, by a name that can be guessed."""
    sandbox.in_queue(run)
    sandbox.status(run, status="interrupted")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    for name in ("status.json", "job.json", "attempts.jsonl"):
        for near in range(pid, pid + 200):
            (run / f".{name}.{near}.tmp").symlink_to(sandbox.precious)


def trash_is_a_link(run: Path, sandbox: Sandbox) -> None:
    (sandbox.batch / ".trash").symlink_to(sandbox.elsewhere)


def trash_of_the_output_folder_is_a_link(run: Path, sandbox: Sandbox) -> None:
    (sandbox.project / "runs" / ".trash").symlink_to(sandbox.elsewhere)


def entry_of_the_trash_is_a_link(run: Path, sandbox: Sandbox) -> None:
    place = sandbox.project / "runs" / ".trash" / "2026-01-01_00-00-00"
    place.mkdir(parents=True)
    (place / "run").symlink_to(sandbox.elsewhere)
    (place.parent / "2026-01-01_00-00-01").symlink_to(sandbox.elsewhere)


def trash_is_a_file(run: Path, sandbox: Sandbox) -> None:
    (sandbox.project / "runs" / ".trash").write_text("no folder")


def link_to_the_root(run: Path, sandbox: Sandbox) -> None:
    (sandbox.batch / "everything").symlink_to("/")


def link_to_all_programs(run: Path, sandbox: Sandbox) -> None:
    (sandbox.batch / "usr").symlink_to("/usr")
    (sandbox.batch / "proc").symlink_to("/proc")


def link_to_the_home(run: Path, sandbox: Sandbox) -> None:
    shutil.copytree(sandbox.mine, sandbox.home / "other" / "theirs", symlinks=True)
    (sandbox.batch / "more").symlink_to(sandbox.home / "other")


def ring_of_links(run: Path, sandbox: Sandbox) -> None:
    for number in range(30):
        (sandbox.batch / f"ring{number}").symlink_to(sandbox.batch / f"ring{(number + 1) % 30}")
        (sandbox.batch / f"back{number}").symlink_to("..")


def deep_folders(run: Path, sandbox: Sandbox) -> None:
    here = os.open(sandbox.batch, os.O_RDONLY)
    for _ in range(150):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def run_is_a_link_to_mine(run: Path, sandbox: Sandbox) -> None:
    shutil.rmtree(run)
    run.symlink_to(sandbox.mine)


def line_break_in_the_name(run: Path, sandbox: Sandbox) -> None:
    sandbox.in_queue(run)
    place = sandbox.batch / f"x\n{sandbox.touch}\n"
    os.rename(run, place)
    sandbox.relocated(place, run)
    run.symlink_to(place)
    sandbox.queue(place)


def shell_in_the_name(run: Path, sandbox: Sandbox) -> None:
    place = sandbox.batch / f"x$({sandbox.touch})"
    os.rename(run, place)
    sandbox.relocated(place, run)
    sandbox.status(place, status="interrupted")
    run.symlink_to(place)


def queue_folder_is_a_link(run: Path, sandbox: Sandbox) -> None:
    sandbox.in_queue(run)
    shutil.move(sandbox.batch / "queue", sandbox.home / "queue")
    (sandbox.batch / "queue").symlink_to(sandbox.home / "queue")


def checkpoints_of_the_user(run: Path, sandbox: Sandbox) -> None:
    """Names of the user's files are shown as if they were those of the run."""
    (sandbox.elsewhere / "private.ckpt").write_bytes(b"")
    linked("checkpoints", "elsewhere")(run, sandbox)


def in_the_queue(name: str, kind: str) -> Callable[[Path, Sandbox], None]:
    """Return what puts something else in the place of a file of the queue."""

    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.in_queue(run)
        path = _absent(sandbox.batch / "queue" / name)
        {"link": lambda: path.symlink_to(sandbox.precious), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir,
         "hard link": lambda: os.link(sandbox.precious, path)}[kind]()  # fmt: skip

    return build


def _absent(path: Path) -> Path:
    """Return *path*, with nothing there any more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


TOP = ("config.yaml", "status.json", "job.json", "attempts.jsonl", "manifest.json", "result.json", "overrides.yaml",
       "fingerprint.json", "metrics.csv", "losses.f64", "code.patch", "reproduction.json", ".lock",
       "pinned")  # fmt: skip
WALL = "runs.gate.check"
ACTING = ("run", "evaluate", "queue", "jobs retry", "jobs cancel")

ATTACKS = [
    *(
        Attack(f"{name} is a link to a file outside", Kind.FILES, linked(name),
               refused_by=("run", "evaluate", "jobs cancel", "runs rm"), harmless_to=("runs ls", "jobs ls", "queue"),
               said=SAID_LINK, wall=WALL, never=("precious\n",))
        for name in TOP
    ),
    Attack("the log of a job is a link", Kind.FILES, linked("logs/job.log", status="queued"), refused_by=("queue",),
           harmless_to=("jobs logs --job", "jobs why", "runs ls"), said=r"job\.log is a link", wall="regular.appended"),
    Attack("the log of a job is a link, and is retried", Kind.FILES, linked("logs/job.log"),
           harmless_to=("jobs retry PLACE", "jobs retry --here"), wall="regular.appended"),
    Attack("the log of a rank is a link", Kind.FILES, linked("logs/rank0.log"), refused_by=("run", "evaluate",
           "runs logs"),
           harmless_to=("jobs logs", "jobs why", "report", "run --ranks"), said=r"rank0\.log",
           wall="regular", never=("precious\n",)),
    Attack("the log of the second rank is a link", Kind.FILES, linked("logs/rank1.log"), refused_by=("run --ranks",),
           said=r"rank1\.log", wall="runs.guard.contained"),
    Attack("logs is a link to a folder", Kind.FILES, linked("logs", "elsewhere"),
           refused_by=("run", "run --ranks", "evaluate", "queue", "jobs retry", "runs logs", "report", "runs show"),
           harmless_to=("jobs why",), said=r"logs is a link", wall=WALL),
    Attack("logs is a file", Kind.DAMAGED, lambda run, _: (shutil.rmtree(run / "logs"), (run / "logs").write_text("x")),
           refused_by=("run", "runs logs"), said=r"logs is a file", wall=WALL),
    Attack("checkpoints is a link to a folder", Kind.FILES, linked("checkpoints", "elsewhere"),
           refused_by=("run", "evaluate", "predict", "reproduce", "submit"), harmless_to=("runs show", "runs rm"),
           said=r"checkpoints is a link that leads out", wall="runs.guard.contained"),
    Attack("checkpoints is a link to everything", Kind.FILES, linked("checkpoints", "root"),
           refused_by=("run", "evaluate"), harmless_to=("runs show", "runs show --json", "jobs why", "jobs ls PLACE"),
           said=r"checkpoints is a link that leads out", wall="runs.guard.contained"),
    Attack("checkpoints is a link to those of the user", Kind.FILES, checkpoints_of_the_user,
           harmless_to=("runs show", "runs show --json"), never=("private.ckpt",), wall="runs.gate.is_followed"),
    Attack("wandb is a link to a folder", Kind.FILES, linked("wandb", "elsewhere"), refused_by=("run", "submit"),
           harmless_to=("runs show", "queue"), said=r"wandb is a link", wall="runs.guard.contained"),
    Attack("tensorboard is a link to a folder", Kind.FILES, linked("tensorboard", "elsewhere"),
           refused_by=("run", "jobs retry --here", "submit"), said=r"tensorboard is a link",
           wall="runs.guard.contained"),
    Attack("a folder of the code's snapshot is a link", Kind.FILES, linked("code", "elsewhere"), refused_by=("run",),
           said=r"code is a link", wall="runs.guard.contained"),
    Attack(".lock is a link to a new file", Kind.FILES, linked(".lock", "new"),
           refused_by=("run", "runs rm", "jobs cancel"), said=SAID_LINK, wall=WALL),
    Attack("pinned is a link to a new file", Kind.FILES, linked("pinned", "new"),
           refused_by=("runs pin", "runs pin --off"), harmless_to=("runs ls",), said=SAID_LINK, wall=WALL),
    Attack("status.json is a link to endless zeros", Kind.FILES, linked("status.json", "zero"),
           refused_by=("run", "runs show", "jobs why"), harmless_to=LISTING, said=SAID_LINK, wall=WALL),
    *(
        Attack(f"{name} is a hard link to a file outside", Kind.FILES, hard_linked(name),
               refused_by=refusing, harmless_to=others, said=r"another name", wall="regular")
        for name, refusing, others in (
            (".lock", ("run", "runs rm"), ("jobs cancel",)),
            ("logs/rank0.log", ("run",), ()),
            ("logs/job.log", ("queue",), ("jobs retry --here",)),
            ("metrics.csv", ("run",), ()),
            ("losses.f64", ("run",), ()),
        )
    ),
    *(
        Attack(f"{name} is a pipe", Kind.FILES, piped(name), refused_by=("run", "jobs cancel"),
               harmless_to=("runs ls", "jobs ls", "report", "queue"), said=r"is a pipe|holds no config", wall=WALL)
        for name in ("status.json", "job.json", "attempts.jsonl", "manifest.json", "result.json", ".lock")
    ),
    *(
        Attack(f"{name} is a pipe", Kind.FILES, piped(name), refused_by=refusing, harmless_to=others,
               said=r"pipe|neither a file", wall="regular")
        for name, refusing, others in (
            ("logs/rank0.log", ("run", "runs logs"), ("jobs logs", "jobs why", "report")),
            ("logs/job.log", ("queue",), ("jobs logs --job",)),
            ("checkpoints/last.ckpt", ("run", "evaluate"), ("runs show",)),
            ("notes", ("run", "predict"), ("runs show", "runs rm")),
        )
    ),
    *(
        Attack(f"{name} is a socket", Kind.FILES, with_socket(name), refused_by=("run", "runs show"),
               harmless_to=("runs ls", "jobs ls"), said=r"is a socket|holds no config", wall=WALL)
        for name in ("config.yaml", "status.json", "job.json")
    ),
    Attack("scratch files of atomic writes are links", Kind.FILES, scratch_of_atomic_writes_is_linked,
           harmless_to=("queue", "jobs cancel"), wall="atomic"),
    Attack("the trash beside runs is a link", Kind.FILES, trash_is_a_link, refused_by=("runs rm --in",),
           said=r"\.trash is a link", wall="runs.keeping"),
    Attack("the trash of the output folder is a link", Kind.FILES, trash_of_the_output_folder_is_a_link,
           refused_by=("runs rm", "runs rm --empty-trash"), said=r"\.trash is a link", wall="runs.keeping"),
    Attack("the trash is a file", Kind.DAMAGED, trash_is_a_file, refused_by=("runs rm", "runs rm --empty-trash"),
           said=r"\.trash is a file", wall="runs.keeping"),
    Attack("what lies in the trash is a link", Kind.FILES, entry_of_the_trash_is_a_link,
           harmless_to=("runs rm --empty-trash",), wall="runs.keeping"),
    Attack("a link to / lies below runs", Kind.FILES, link_to_the_root,
           harmless_to=(*LISTING, "jobs cancel --all", "train --reuse"), wall="runs.index.discover"),
    Attack("links to large folders lie below runs", Kind.FILES, link_to_all_programs,
           harmless_to=("runs ls", "jobs ls"), wall="runs.index.discover"),
    Attack("a link to other runs lies below runs", Kind.FILES, link_to_the_home, never=("more/theirs",),
           harmless_to=("runs ls", "runs export", "jobs ls --json"), wall="runs.index.discover"),
    Attack("links in a ring lie below runs", Kind.FILES, ring_of_links, harmless_to=("runs ls", "jobs ls"),
           wall="runs.index.discover"),
    Attack("folders lie very deep", Kind.DAMAGED, deep_folders, harmless_to=("runs ls", "jobs ls"),
           wall="runs.index.discover"),
    Attack("the run is a link to a run of the user's own", Kind.FILES, run_is_a_link_to_mine,
           refused_by=("runs rm", "runs pin", "jobs cancel", "jobs retry"), harmless_to=("run", "runs ls"),
           said=r"is a link", wall="runs.gate.named"),
    Attack("the name of the directory has line breaks", Kind.SHELL, line_break_in_the_name,
           refused_by=("run", "queue", "submit", "submit --dry-run", "jobs retry"),
           harmless_to=("runs ls", "jobs ls", "runs export"), said="control characters", wall=WALL),
    Attack("the name of the directory is a shell command", Kind.SHELL, shell_in_the_name,
           harmless_to=("submit", "submit --dry-run"), wall="submitit quotes it"),
    Attack("the folder of the queue is a link", Kind.FILES, queue_folder_is_a_link, refused_by=("queue",),
           said=r"queue", wall="launch.local.record"),
    *(
        Attack(f"{name} is a {kind}", Kind.FILES, in_the_queue(name, kind), refused_by=("queue",),
               said=rf"{name}|has no queue", wall="launch.local.record")
        for name, kinds in {"queue.json": ("link", "pipe", "folder"),
                            "queue.lock": ("link", "pipe", "folder", "hard link")}.items()
        for kind in kinds
    ),
]  # fmt: skip
