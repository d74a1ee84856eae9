"""Hand run directories to a cluster, and say what became of them.

checked ─► not finished, not under way ─► batch folder ─► submitted ─► a table ─┬─► done
                                                                                └─► wait: until all have ended
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT

from leyden.config.project import shown
from leyden.errors import ConfigurationError
from leyden.launch.launcher import Launcher, batch_folder
from leyden.launch.slurm.limits import limits
from leyden.launch.slurm.options import Options
from leyden.launch.slurm.script import text, tried
from leyden.launch.slurm.submission import Submitted, submit
from leyden.launch.slurm.waiting import jobs_of, wait_for
from leyden.runs.directory import RunDirectory
from leyden.runs.record.state import EXECUTED, PENDING, RunState
from leyden.terminal import printable_lines

FOLDER = "slurm"  # of a submission, in the run directory or beside several
NAME = "leyden"
_COMMANDS = ("sbatch", "srun", "scontrol", "squeue")
_UNDER_WAY = PENDING | EXECUTED


class SlurmLauncher(Launcher):
    """Submits run directories.

    Args:
        options: What each of them asks the cluster for.
        trusted: What configs may name that were not composed on this command line.
    """

    def __init__(self, options: Options, trusted: Sequence[str] = ()) -> None:
        self.options, self.trusted = options, tuple(trusted)

    def check(self) -> None:
        """Have the cluster look at the job before anything is made.

        Raises:
            ConfigurationError: If there is no cluster, or it would refuse the job.
        """
        absent = [name for name in _COMMANDS if shutil.which(name) is None]
        if absent:
            raise ConfigurationError(
                f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not on the path of this machine. A SLURM "
                "launcher needs them to submit. Submit from a login node of the cluster, or load the module that "
                "brings them."
            )
        limits()
        tried(text(self.options, Path.cwd() / FOLDER, NAME, 1))

    def scripts(self, paths: Sequence[Path]) -> list[str]:
        """Return the batch scripts by which runs in *paths*, made or not, would be submitted; nothing is touched."""
        parent = paths[0] if len(paths) == 1 else paths[0].parent
        parts = limits(needed=False).dealt(paths)
        return [text(self.options, parent / FOLDER, _name(paths), len(part)) for part in parts]

    def start(self, directories: Sequence[RunDirectory], composed: bool = False) -> int:
        """Submit *directories*, and with ``wait`` wait for their ends; returns the exit code."""
        self.check()
        wanted = list(directories) if composed else _startable(directories)
        if not wanted:
            return 0
        batch = batch_folder(wanted, FOLDER)
        try:
            done = submit(self.options, wanted, batch, _name([each.path for each in wanted]), composed, self.trusted)
        except KeyboardInterrupt:
            _say(["stopped: nothing was submitted"])
            return 128 + SIGINT
        _say([*_table(done, self.options.partition), "", f"{_counted(len(done))} submitted; see  leyden jobs"])
        return _wait(wanted) if self.options.wait else 0


def _startable(directories: Sequence[RunDirectory]) -> list[RunDirectory]:
    """Leave out what is finished.

    Raises:
        ConfigurationError: If one of them is being executed, or waits for it.
    """
    found = jobs_of(directories)
    busy = [
        each for each in found if each.state in _UNDER_WAY and (each.state is not RunState.QUEUED or each.files.job.id)
    ]
    if busy:
        first = busy[0]
        raise ConfigurationError(
            f"{shown(first.path)} is {first.state} already"
            + (f", as job {first.files.job.id}" if first.files.job.id else "")
            + (f", and {len(busy) - 1} more of these runs are" if len(busy) > 1 else "")
            + ". Expected runs that nobody executes. Leave them out, or end them first: leyden jobs cancel DIR"
        )
    finished = [each for each in found if each.state is RunState.FINISHED]
    for each in finished:
        _say([f"{shown(each.path)} is finished: not submitted"])
    return [directory for directory, each in zip(directories, found, strict=True) if each not in finished]


def _name(paths: Sequence[Path]) -> str:
    """Return a name for the jobs: of the folder that an experiment's runs lie in, or ours."""
    parents = {path.parent.name for path in paths}
    return parents.pop() if len(parents) == 1 else NAME


def _table(done: Sequence[Submitted], partition: str | None) -> list[str]:
    header = ("run", "job", "partition", "log")
    rows = [
        (shown(each.directory.path), each.record.id, partition or "(default)", shown(each.record.log)) for each in done
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (header, *rows)]  # fmt: skip


def _wait(directories: Sequence[RunDirectory]) -> int:
    try:
        ended = wait_for(directories)
    except KeyboardInterrupt:
        _say(["\nno longer waited for: the jobs go on; see  leyden jobs"])
        return 128 + SIGINT
    worse = [each for each in ended if each.state is not RunState.FINISHED]
    for each in worse:
        reason = f": {each.standing.reason}" if each.standing.reason else ""
        _say([f"{shown(each.path)} is {each.state}{reason}; its log is {shown(each.files.job.log)}"])
    _say([f"{_counted(len(ended) - len(worse))} finished" + (f", {len(worse)} did not" if worse else "")])
    return 1 if worse else 0


def _counted(number: int) -> str:
    return f"{number} run" if number == 1 else f"{number} runs"


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write(printable_lines("\n".join(lines)) + "\n")
    sys.stdout.flush()
