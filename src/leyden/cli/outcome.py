"""Execute a run directory on a terminal: what is printed at its end, and the exit code.

0 finished · 1 failed · 2 could not be meant · 130 stopped by Ctrl-C · 143 stopped by SIGTERM
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from leyden import ranks
from leyden.callback import Callback
from leyden.cli import disk
from leyden.config.project import shown
from leyden.errors import CheckpointError, ConfigurationError, Interrupted, LeydenError, RankError, RunError
from leyden.experiment import Experiment
from leyden.launch import surviving
from leyden.launch.ranks import Options, check_machines, report, start
from leyden.launch.requeue import has_checkpoint
from leyden.module import LightningModule
from leyden.runs.directory import RunDirectory
from leyden.runs.execution import RanksWanted, execute, log_of
from leyden.runs.refused import discard
from leyden.terminal import complain, number, printable
from leyden.tracebacks import FLAG, followed_by, told
from leyden.trainer import Trainer


class Where(Callback):
    """Says where the run lies, before anything else is printed.

    Args:
        place: Of its directory, as a person would write it.
    """

    def __init__(self, place: str) -> None:
        self._place: str | None = place

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Say it, once."""
        if self._place is not None:
            print(f"directory      {self._place}", flush=True)
        self._place = None


USAGE = 2  # exit code of what cannot be meant


def run_and_report(
    directory: RunDirectory,
    experiment: Experiment | None = None,
    trusted: Sequence[str] = (),
    until: int | None = None,
    number: int | None = None,
    new: Path | None = None,
) -> int:
    """Execute *directory*, print its outcome, and return the exit code; the arguments are those of `execute`.

    Where it is for several ranks, they are started, *number* of them or what its config says. As one of them, only what
    this one alone knows is printed. A directory that was made just now, below the folder *new* of all runs, goes away
    again if the run is refused at its beginning.
    """
    composed = experiment is not None
    if number is not None and ranks.current() is None:
        return start(directory, Options(number, trusted, until, composed))
    try:
        return _executed(directory, experiment, trusted, until, new)
    except RanksWanted as several:
        wanted = several.number, several.machines
    del experiment  # it was built to find out, and the ranks need the memory
    try:
        check_machines(*wanted, command=f"-m leyden.run {directory.path}")
    except ConfigurationError as error:
        complain(error)
        return USAGE
    code = start(directory, Options(wanted[0], trusted, until, composed))
    if code == USAGE and new is not None and discard(directory.path, new, directory.status().epoch or 0):
        complain("nothing had been saved: the run directory was removed")
    return code


def _executed(
    directory: RunDirectory,
    experiment: Experiment | None,
    trusted: Sequence[str],
    until: int | None,
    new: Path | None = None,
) -> int:
    place, first = shown(directory.path), ranks.is_first()
    stopped = surviving.Stopped()
    companions = (Where(place), *surviving.companions()) if first else ()
    try:
        results = execute(directory, experiment, trusted, until, companions, stopped)
    except Interrupted as stop:
        if first:
            next_ = f"resume with:  leyden run {place}" if stopped.decision is None else stopped.decision.sentence
            complain(f"\n{stop}{_kept(directory, stop)}\n{next_}")
        return stop.exit_code
    except KeyboardInterrupt:
        if first:
            print(f"\nstopped at once\nresume from the last checkpoint with:  leyden run {place}", file=sys.stderr)
        return 130
    except RankError as error:
        if not report.write(error) and error.rank != 0:  # who has started the ranks, or rank 0, tells it
            complain(f"{error}\nrun directory  {place}")
        return 2 if error.refused else 1
    except LeydenError as error:
        written = isinstance(error.__cause__, OSError)  # a checkpoint that could not be: no mistake of who started it
        mistaken = isinstance(error, ConfigurationError) or (isinstance(error, CheckpointError) and not written)
        refused = mistaken or isinstance(error, RunError)
        report.write(error)
        full = disk.trouble(error.__cause__, directory.path, place) if isinstance(error.__cause__, OSError) else None
        if first or not refused:  # what cannot be meant is the same on all ranks
            epochs = 0 if experiment is None else experiment.trainer.current_epoch
            gone = mistaken and new is not None and ranks.current() is None and discard(directory.path, new, epochs)
            complain(full or (told(error) if gone else f"{told(error)}\nrun directory  {place}"))
        return USAGE if refused else 1
    except RanksWanted:
        raise
    except Exception as error:
        report.write(error)
        said = disk.trouble(error, directory.path, place) if isinstance(error, OSError) else None
        if said is None:
            followed_by(error, _next(directory))
            raise
        complain(said)
        return 1
    if first:
        print(table(results))
        print(f"run directory  {place}")
    return 0


def _next(directory: RunDirectory) -> str:
    """Say where a run lies that an exception has ended, where all of it is written down, and what to do."""
    goes_on = "goes on from its last checkpoint" if has_checkpoint(directory.path) else "begins anew"
    return (
        f"\nrun directory  {shown(directory.path)}"
        f"\nall frames     in its logs/{log_of(directory).name}; here with {FLAG} full"
        f"\nonce mended    leyden run {shown(directory.path)}\n               {goes_on}"
    )


def _kept(directory: RunDirectory, stop: Interrupted) -> str:
    """Say what a run that has stopped without saving anything goes on from."""
    if stop.checkpoint is not None:
        return ""
    return "" if has_checkpoint(directory.path) else ", nothing saved: it begins anew"


def table(results: Mapping[str, float]) -> str:
    """Format final metrics, one line each."""
    if not results:
        return "no metrics were logged"
    shown = {printable(name): value for name, value in results.items()}
    width = max(map(len, shown))
    rows = [f"{name:<{width}}  {number(value)}" for name, value in sorted(shown.items())]
    rule = "─" * max(map(len, rows))
    return "\n".join(["", "results", rule, *rows, rule])
