"""Within a process of a campaign: keep a journal of what it does with files, and kill it at a chosen event.

The events are Python's own audit events of calls that change files below the sandbox, ``os.fsync``, which has none
and is wrapped, and marks that a callback of the project raises in each of its hooks. Each comes *before* the call:

    open w runs/run/checkpoints/.last.ckpt.#.tmp      a checkpoint is about to begin
    fsync runs/run/checkpoints/.last.ckpt.#.tmp       it is written, maybe not yet on the disk
    rename runs/run/checkpoints/last.ckpt             it is about to get its name
    mark on_validation_start

Numbers are left out of the names, so that a kind of event is the same in each run. With a delay the kill comes a
moment after the event, from a process beside this one: in the middle of what follows.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from contextlib import suppress

SETTINGS = "CHAOS_SETTINGS"  # JSON: root, journal, struck, tag, strike
ROOT = "CHAOS_ROOT"  # number of the process that the campaign has started, which leads a group
_CHANGES = os.O_WRONLY | os.O_RDWR
_WORDS = {
    "os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.rmdir": "rmdir", "os.link": "link",
    "os.symlink": "symlink", "os.truncate": "truncate",
}  # fmt: skip
_keep: list[object] = []


def arm() -> None:
    """Begin to watch this process, if the environment says so."""
    if SETTINGS not in os.environ:
        return
    os.environ.setdefault(ROOT, str(os.getpid()))
    watch = Watch(json.loads(os.environ[SETTINGS]))
    _keep.append(watch)
    sys.addaudithook(watch.heard)
    flush = os.fsync

    def fsync(file: int) -> None:
        sys.audit("chaos.fsync", file)
        flush(file)

    os.fsync = fsync


class Watch:
    """Counts the events of one process, and strikes at one of them.

    Args:
        settings: ``root``, the folder that counts; ``journal``, a file for the kinds of events, or None; ``strike``,
            or None, a dictionary of ``kind``, ``nth``, ``delay`` in seconds and ``victim``; ``struck``, a file that
            is made when it strikes; ``tag``, which all processes of the trial have in their environment.
    """

    def __init__(self, settings: dict) -> None:
        self.root = settings["root"].rstrip("/") + "/"
        self.strike = settings.get("strike")
        self.struck = settings["struck"]
        self.tag = settings["tag"]
        self.pid = os.getpid()
        self.left = self.strike["nth"] if self.strike else 0
        journal = settings.get("journal")
        self.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if journal else None
        self.bell = self._beside() if self.strike and self.strike["delay"] else None

    def heard(self, event: str, args: tuple) -> None:
        """Be told of an audit event."""
        if (event not in _WORDS and event not in ("open", "chaos.fsync", "chaos.mark")) or os.getpid() != self.pid:
            return
        kind = self._kind(event, args)
        if kind is None:
            return
        if self.journal is not None:
            os.write(self.journal, f"{kind}\n".encode())
        if self.strike and kind == self.strike["kind"]:
            self.left -= 1
            if self.left == 0:
                self._strike()

    def _kind(self, event: str, args: tuple) -> str | None:
        if event == "chaos.mark":
            return f"mark {args[0]}"
        if event == "open":
            path, _, flags = args
            if not isinstance(flags, int) or not flags & _CHANGES:
                return None
            how = "a" if flags & os.O_APPEND else "w" if flags & (os.O_CREAT | os.O_TRUNC) else "r+"
            return self._named(f"open {how}", path)
        if event == "chaos.fsync":
            try:
                return self._named("fsync", os.readlink(f"/proc/self/fd/{args[0]}"))
            except OSError:
                return None
        folder = args[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
        path = args[1] if event in ("os.rename", "os.link", "os.symlink") else args[0]
        return self._named(_WORDS[event], path, folder)

    def _named(self, word: str, path: object, folder: int = -1) -> str | None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        name = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0 and not name.startswith("/"):
            try:
                name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
            except OSError:
                return None
        full = os.path.normpath(os.path.join(os.getcwd(), name))
        if not full.startswith(self.root):
            return None
        return f"{word} {re.sub('[0-9]+', '#', full[len(self.root) :])}"

    def _strike(self) -> None:
        root = int(os.environ[ROOT])
        if self.strike["victim"] == "starter" and not os.path.exists(f"/proc/{root}"):
            return  # an earlier strike was at it: runs of a queue outlive it
        try:
            os.close(os.open(self.struck, os.O_CREAT | os.O_EXCL))
        except FileExistsError:  # another process of this trial was first
            return
        if self.bell is not None:
            os.write(self.bell, b"!")
        else:
            kill(self.strike["victim"], self.pid, root, self.tag)

    def _beside(self) -> int:
        """Fork a process that kills when it is told to, and return what to tell it through."""
        reading, writing = os.pipe()
        if os.fork():
            os.close(reading)
            return writing
        os.close(writing)
        if os.read(reading, 1):
            time.sleep(self.strike["delay"])
            kill(self.strike["victim"], self.pid, int(os.environ[ROOT]), self.tag)
        os._exit(0)


def kill(victim: str, pid: int, root: int, tag: str) -> None:
    """Send SIGKILL.

    Args:
        victim: ``all`` processes of the trial, the ``group`` of the one that struck, the ``process`` alone, or the
            ``starter``, which the campaign has started.
        pid: Of the process that struck.
        root: Of the one that the campaign has started.
        tag: Of the trial.
    """
    if victim == "starter":
        send(root)
        return
    if victim == "process":
        os.kill(pid, signal.SIGKILL)
        return
    if victim == "group":
        os.killpg(os.getpgid(pid), signal.SIGKILL)
        return
    mine = os.getpgid(pid)
    for _ in range(3):  # what was just being started as well
        for each in tagged(tag):
            if each not in (pid, os.getpid()):
                send(each)
        if mine != root:
            send(-root)
    os.killpg(mine, signal.SIGKILL)


def send(pid: int) -> None:
    """Send SIGKILL to a process, or to the group of a negative number, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def tagged(tag: str) -> list[int]:
    """Return the processes that were started with *tag* in their environment, and live."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if tag.encode() not in file.read():
                        continue
                with open(f"/proc/{name}/stat", "rb") as file:
                    dead = file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
            except OSError:
                continue
            if not dead:
                found.append(int(name))
    return found
