r"""Where hostile run directories are tried: each in a sandbox of its own, with every command that may meet it.

A row of a table is an `Attack`: what a stranger puts into a run directory, the verbs that meet it, and the wall that
has to stop it. Tables are lists called ``ATTACKS`` in ``tests/hostile/attacks_*.py``; `test_hostile_directories` runs
every row with every verb. An example:

    def job_log_is_a_link(run: Path, sandbox: Sandbox) -> None:
        (run / "logs").mkdir(exist_ok=True)
        (run / "logs" / "job.log").symlink_to(sandbox.precious)
        sandbox.in_queue(run)

    ATTACKS = [
        Attack("the log of a job is a link", Kind.FILES, job_log_is_a_link, refused_by=("queue", "jobs retry"),
               harmless_to=("runs ls", "jobs ls"), said=r"job\.log is (a|no) ", wall="runs.files.append"),
    ]

*build* finds a finished run, trained for one epoch, in ``project/runs/stranger/run`` and changes it. The sandbox:

    home/        HOME, with .bashrc and an empty cache       home/precious   a file that everything may try to change
    bin/         first on PATH: SLURM's commands, which write down how they were called; sbatch executes its script
    project/     where commands are given: conf/, pyproject.toml, runs/
      runs/mine/kept      a finished run of the user's own, with an index cache of its own
      runs/stranger/run   the hostile one

After the command all of this holds, or the test fails: the file ``canary`` is not there; no name, size, time or content
in the sandbox has changed but in the stranger's folder and where the verb writes (`WRITES`); nothing has come in at a
listening socket of the loopback, whose address is ``sandbox.address``; the process ``sandbox.bystander`` lives and has
got no signal; scancel was not called for other jobs; no control character and no traceback was printed; the exit code
is 1 or 2 and *said* was printed where the verb refuses, and any usual code where it does not; within 20 seconds (more
where the verb starts processes that import torch).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

LIMIT = 20.0  # seconds for one command
STARTS_PROCESSES = 90.0  # seconds for one that imports torch in processes of its own
_ENDS = frozenset((0, 1, 2, 3, 4))
_COMMANDS = Path(__file__).parent / "slurm_commands.sh"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LARGEST = 1_000_000  # bytes of a file that are hashed

VERBS: dict[str, tuple[str, ...]] = {
    "run": ("run", "{run}"),
    "run --ranks": ("run", "--ranks", "2", "{run}"),
    "evaluate": ("evaluate", "{run}"),
    "evaluate FILE": ("evaluate", "{run}/checkpoints/last.ckpt"),
    "predict": ("predict", "{run}", "--output", "{out}/predictions.pt"),
    "reproduce": ("reproduce", "{run}", "--out", "{out}/copy"),
    "reproduce --code": ("reproduce", "{run}", "--out", "{out}/copy", "--code", "original"),
    "report": ("report", "{run}", "--out", "{out}/report.html"),
    "report BOTH": ("report", "{run}", "{mine}", "--out", "{out}/report.html"),
    "queue": ("queue", "{batch}"),
    "queue ROOT": ("queue", "{root}"),
    "submit": ("submit", "{run}", "hydra/launcher=slurm", "hydra.launcher.python={python}"),
    "submit --dry-run": ("submit", "--dry-run", "{run}", "hydra/launcher=slurm"),
    "runs ls": ("runs", "ls"),
    "runs ls --json": ("runs", "ls", "--json"),
    "runs show": ("runs", "show", "{run}"),
    "runs show --config": ("runs", "show", "--config", "{run}"),
    "runs show --json": ("runs", "show", "--json", "{run}"),
    "runs diff": ("runs", "diff", "{mine}", "{run}"),
    "runs best": ("runs", "best", "test_acc"),
    "runs pin": ("runs", "pin", "{run}"),
    "runs pin --off": ("runs", "pin", "--off", "{run}"),
    "runs logs": ("runs", "logs", "{run}"),
    "runs export": ("runs", "export", "{out}/runs.csv"),
    "runs rm": ("runs", "rm", "--yes", "{run}"),
    "runs rm --empty-trash": ("runs", "rm", "--yes", "--empty-trash"),
    "runs rm --in": ("runs", "rm", "--yes", "--empty-trash", "--in", "{batch}"),
    "jobs ls": ("jobs",),
    "jobs ls PLACE": ("jobs", "{run}"),
    "jobs ls --json": ("jobs", "--all", "--json"),
    "jobs logs": ("jobs", "logs", "{run}"),
    "jobs logs --job": ("jobs", "logs", "--job", "{run}"),
    "jobs cancel": ("jobs", "cancel", "--yes", "{run}"),
    "jobs cancel --now": ("jobs", "cancel", "--yes", "--now", "{run}"),
    "jobs cancel --all": ("jobs", "cancel", "--yes", "--all"),
    "jobs retry": ("jobs", "retry", "{run}"),
    "jobs retry --here": ("jobs", "retry", "--here", "{run}"),
    "jobs retry PLACE": ("jobs", "retry", "--all-unfinished", "{batch}"),
    "jobs why": ("jobs", "why", "{run}"),
    "train --reuse": ("train", "--reuse", "data=synthetic", "data.samples=60", "logger=csv", "trainer.max_epochs=1",
                      "trainer.accelerator=cpu", "model.hidden=[4]", "callbacks=[model_checkpoint]"),
}  # fmt: skip
"""Every verb, with its words: {run} is the hostile directory, {batch} its folder, {mine} a run of the user's own."""

LISTING = ("runs ls", "runs ls --json", "runs best", "runs export", "jobs ls", "jobs ls --json")
READING = ("runs show", "runs show --config", "runs show --json", "runs diff", "runs logs", "report", "report BOTH",
           "jobs ls PLACE", "jobs logs", "jobs logs --job", "jobs why")  # fmt: skip
EXECUTING = (
    "run",
    "run --ranks",
    "evaluate",
    "predict",
    "reproduce",
    "reproduce --code",
    "submit",
    "jobs retry --here",
)
CHANGING = ("runs pin", "runs pin --off", "runs rm", "jobs cancel", "jobs cancel --now", "jobs retry", "queue")
_LONG = frozenset(("run --ranks", "reproduce", "reproduce --code", "queue", "jobs retry", "jobs retry --here",
                   "jobs retry PLACE", "submit", "train --reuse"))  # fmt: skip

_CACHES = ("home/.cache/", "home/.local/", "out/", "slurm.calls")
WRITES: dict[str, tuple[str, ...]] = {
    "runs rm": ("project/runs/.trash/",),
    "runs rm --empty-trash": ("project/runs/.trash/",),
    "train --reuse": ("project/runs/digits_mlp/",),
    "queue ROOT": ("project/runs/queue/queue.lock",),
}
"""Where a verb may write beside the stranger's own folder, a cache, and what it was told to write."""


class Kind(StrEnum):
    """What an attack is after: the points of "what a directory from a stranger may cause"."""

    CODE = "code that runs"
    SHELL = "shell that runs"
    FILES = "files written elsewhere"
    SENT = "things sent or disclosed"
    PROCESSES = "other processes and runs"
    TERMINAL = "terminals"
    DAMAGED = "damaged files"
    SECRETS = "secrets"


@dataclass(frozen=True)
class Attack:
    """A hostile run directory.

    Args:
        name: What is hostile about it; unique.
        kind: What it is after.
        build: Makes it: called with the directory of a finished run and with the sandbox.
        refused_by: Verbs that end with one error, exit code 1 or 2, which says *said*.
        harmless_to: Verbs that it must not matter to: they go on, or refuse in words of their own.
        said: A regular expression; what the verbs that refuse print has to match.
        wall: The function that stops it.
        terminal: Whether the output is a terminal.
        never: Texts that must not be printed.
    """

    name: str
    kind: Kind
    build: Callable[[Path, Sandbox], Any]
    refused_by: tuple[str, ...] = ()
    harmless_to: tuple[str, ...] = ()
    said: str = ""
    wall: str = ""
    terminal: bool = False
    never: tuple[str, ...] = ()

    def rows(self) -> list[tuple[Attack, str]]:
        """Return the attack with each of its verbs."""
        return [(self, verb) for verb in (*self.refused_by, *self.harmless_to)]


class Sandbox:
    """A home, a project and the things around them that a run directory must not reach.

    Args:
        root: An empty folder.
        template: A folder with a finished run in ``run``.
        address: Of a socket that listens on this machine.
        bystander: A process that belongs to nothing here.
    """

    def __init__(self, root: Path, template: Path, address: str, bystander: int) -> None:
        self.root, self.address, self.bystander = root, address, bystander
        self.home, self.project, self.out = root / "home", root / "project", root / "out"
        self.canary, self.precious, self.calls = root / "canary", root / "home" / "precious", root / "slurm.calls"
        self.elsewhere = root / "elsewhere"
        self.batch = self.project / "runs" / "stranger"
        self.run, self.mine = self.batch / "run", self.project / "runs" / "mine" / "kept"
        for folder in (self.home, self.out, self.elsewhere, self.project / "conf", root / "bin"):
            folder.mkdir(parents=True)
        (self.project / "pyproject.toml").write_text("[project]\nname = 'sandbox'\n")
        (self.home / ".bashrc").write_text("umask 077\n")
        self.precious.write_text("precious\n")
        (self.elsewhere / "note.txt").write_text("a note\n")
        for name in ("sbatch", "srun", "scancel", "squeue", "sacct", "scontrol", "sinfo"):
            (root / "bin" / name).symlink_to(_COMMANDS)
        for place in (self.run, self.mine):
            shutil.copytree(template / "run", place, symlinks=True)
            self.relocated(place, template / "run")

    def relocated(self, place: Path, before: Path) -> None:
        """Let the config of a copied run name its new place, and this project."""
        text = (place / "config.yaml").read_text().replace(str(before), str(place))
        text = text.replace(str(before.parent / "project"), str(self.project))
        (place / "config.yaml").write_text(text)

    def environment(self) -> dict[str, str]:
        """Return the variables of a command."""
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
        path = f"{self.root / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return {
            **kept, "PATH": path, "HOME": str(self.home), "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline",
            "TERM": "dumb", "NO_COLOR": "1", "PYTHONHASHSEED": "0", "ARENA": str(self.root), "USER": "arena",
            "MPLCONFIGDIR": str(self.home / ".cache" / "matplotlib"),
            "CANARY": str(self.canary),
        }  # fmt: skip

    # --- what attacks are made of ---------------------------------------------------------

    def status(self, run: Path, **changes: Any) -> None:
        """Change entries of a run's status.json; a run that is to go on is told so by ``status="interrupted"``."""
        file = run / "status.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    def config(self, run: Path, **changes: Any) -> None:
        """Change values of a run's config, at dotted keys with ``__`` for the dot."""
        found = yaml.safe_load((run / "config.yaml").read_text())
        for key, value in changes.items():
            *parents, last = key.split("__")
            node = found
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value
        (run / "config.yaml").write_text(yaml.safe_dump(found, sort_keys=False))

    def job(self, run: Path, **record: Any) -> None:
        """Write a job.json."""
        usual = {"launcher": "slurm", "id": "4711", "batch": str(run.parent / "slurm"), "log": "", "nodes": 1,
                 "ranks": 1, "restarts": None, "stalled_restarts": None,
                 "submitted": "2030-01-01T00:00:00+00:00"}  # fmt: skip
        (run / "job.json").write_text(json.dumps({**usual, **record}))

    def queue(self, *runs: Path, folder: Path | None = None, **changes: Any) -> Path:
        """Write the queue.json of a queue that holds *runs*, by default in the stranger's folder."""
        place = folder or self.batch / "queue"
        place.mkdir(parents=True, exist_ok=True)
        content = {"version": 1, "pid": 1, "host": "elsewhere", "options": {"slots": 1, "gpus_per_job": None},
                   "directories": [os.path.relpath(run, place) for run in runs], "devices": {}}  # fmt: skip
        (place / "queue.json").write_text(json.dumps({**content, **changes}))
        return place

    def in_queue(self, run: Path) -> Path:
        """Let *run* wait in a queue, as the stranger's folder says."""
        self.status(run, status="queued")
        return self.queue(run)

    @property
    def touch(self) -> str:
        """A shell command that leaves the canary."""
        return "touch $CANARY"

    @property
    def python(self) -> str:
        """Source of Python that leaves the canary when it is executed."""
        return f"open({str(self.canary)!r}, 'w').close()\n"

    # --- what is looked at afterwards -------------------------------------------------------

    def snapshot(self, verb: str) -> dict[str, tuple[Any, ...]]:
        """Return name, kind, size, time and content of everything that *verb* must leave alone."""
        mine = ("project/runs/stranger/", *_CACHES, *WRITES.get(verb, ()))
        found: dict[str, tuple[Any, ...]] = {}
        folders = [self.root]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    name = os.path.relpath(entry.path, self.root)
                    if f"{name}/".startswith(mine):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                        found[name] = ("folder",)
                    else:
                        found[name] = _seen(entry)
        allowed = {place.rstrip("/").rpartition("/")[0] for place in mine}
        return {name: seen for name, seen in found.items() if seen != ("folder",) or name not in allowed}


def _seen(entry: os.DirEntry[str]) -> tuple[Any, ...]:
    found = entry.stat(follow_symlinks=False)
    digest = ""
    if stat.S_ISREG(found.st_mode) and found.st_size < _LARGEST:
        digest = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
    return stat.S_IFMT(found.st_mode), found.st_size, found.st_mtime_ns, digest


class Arena:
    """A warm process, a listening socket and a bystander, for all rows of a session.

    Args:
        folder: For logs, and for the run that all hostile ones are copies of.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = open(folder / "warm.log", "w")  # noqa: SIM115 - closed by `close`
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment, cwd=folder,
        )  # fmt: skip
        self.heard: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()
        self.bystander = self._watched()
        self._answer()
        self.template = self._template()

    def close(self) -> None:
        """End the processes."""
        for process in (self.process, self.bystander):
            process.kill()
            process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log, self.listener):
            stream.close()

    def sandbox(self, root: Path) -> Sandbox:
        """Make a new sandbox in *root*."""
        return Sandbox(root, self.template, self.address, self.bystander.pid)

    def give(self, sandbox: Sandbox, words: list[str], limit: float = LIMIT, terminal: bool = False) -> tuple[Any, str]:
        """Give a command in a sandbox's project; returns its exit code, None at the limit, and all it printed."""
        out = self.folder / "output.txt"
        asked = {"words": words, "cwd": str(sandbox.project), "environment": sandbox.environment(), "out": str(out),
                 "terminal": terminal, "limit": limit}  # fmt: skip
        self.process.stdin.write(f"{json.dumps(asked)}\n")
        self.process.stdin.flush()
        return self._answer()["code"], out.read_bytes().decode("utf-8", "backslashreplace")

    def attempt(self, attack: Attack, verb: str, root: Path) -> tuple[int, str]:
        """Build *attack* in a sandbox in *root*, give the command, and assert that nothing came of it.

        Returns:
            The exit code, and what was printed.
        """
        sandbox = self.sandbox(root)
        attack.build(sandbox.run, sandbox)
        return self.tried(attack, verb, sandbox)

    def tried(self, attack: Attack, verb: str, sandbox: Sandbox) -> tuple[int, str]:
        """Give the command in a sandbox in which *attack* was built; returns and asserts what `attempt` does."""
        before, heard = sandbox.snapshot(verb), len(self.heard)
        places = {"run": sandbox.run, "batch": sandbox.batch, "mine": sandbox.mine, "out": sandbox.out,
                  "root": sandbox.project / "runs", "python": sys.executable}  # fmt: skip
        words = [word.format(**{name: str(place) for name, place in places.items()}) for word in VERBS[verb]]
        code, printed = self.give(sandbox, words, STARTS_PROCESSES if verb in _LONG else LIMIT, attack.terminal)
        told = f"\n{attack.name}: leyden {' '.join(words)}\nexit code {code}\n{printed[-4000:]!s}"
        assert code is not None, f"it did not end{told}"
        assert not sandbox.canary.exists(), f"something was executed{told}"
        after = sandbox.snapshot(verb)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        assert changed == [], f"changed outside: {changed}{told}"
        assert self.heard[heard:] == [], f"sent: {self.heard[heard:]}{told}"
        self._check_bystander(told)
        assert _cancelled(sandbox) == [], f"jobs of others were ended{told}"
        assert "Traceback (most recent call last)" not in printed, told
        strange = [letter for letter in set(_shown(printed, attack.terminal)) if not _is_harmless(letter)]
        assert strange == [], f"control characters {strange[:5]}{told}"
        assert not [text for text in attack.never if text in printed], told
        if verb in attack.refused_by:
            assert code in (1, 2), told
            assert re.search(attack.said, printed), f"expected {attack.said!r}{told}"
        else:
            assert code in _ENDS, told
        return code, printed

    def _check_bystander(self, told: str) -> None:
        ended = self.bystander.poll()
        state = "gone"
        if ended is None:
            fields = Path(f"/proc/{self.bystander.pid}/stat").read_text().rpartition(")")[2].split()
            state = fields[0]
        if state not in "SRD":
            self.bystander.kill()
            self.bystander.wait()
            self.bystander = self._watched()
        assert state in "SRD", f"a bystander was signalled: {ended}{told}"

    def _watched(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "86400"], start_new_session=True)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1.0)
                try:
                    self.heard.append(repr(connection.recv(2000)))
                except OSError:
                    self.heard.append("a connection")

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line, f"the warm process ended:\n{Path(self.log.name).read_text()[-3000:]}"
        return json.loads(line)

    def _template(self) -> Path:
        """Train the run that all others are copies of."""
        place = self.folder / "template"
        (place / "project" / "conf").mkdir(parents=True)
        words = [word for word in VERBS["train --reuse"] if word != "--reuse"]
        asked = {"words": [*words, f"+paths.run_dir={place / 'run'}"], "cwd": str(place / "project"),
                 "environment": {**os.environ, "HOME": str(place)}, "out": str(place / "out"), "terminal": False,
                 "limit": 120.0}  # fmt: skip
        self.process.stdin.write(f"{json.dumps(asked)}\n")
        self.process.stdin.flush()
        code = self._answer()["code"]
        assert code == 0, (place / "out").read_text()
        return place


def _shown(printed: str, terminal: bool) -> str:
    return _COLOURS.sub("", printed) if terminal else printed


def _is_harmless(letter: str) -> bool:
    """Whether a character commands no terminal; a carriage return is what a progress bar needs."""
    return letter.isprintable() or letter in "\n\t\r"


def _cancelled(sandbox: Sandbox) -> list[str]:
    calls = sandbox.calls.read_text().splitlines() if sandbox.calls.exists() else []
    return [call for call in calls if call.startswith("scancel")]
