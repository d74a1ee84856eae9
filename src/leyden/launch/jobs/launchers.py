"""The launcher that had started a run, made once more from what it left in the folder of its batch.

    slurm   launcher.json   {"launcher": "slurm", "options": {"partition": "gpu", "time": "12:00:00", ...}}
    local   queue.json      slots, and GPUs for each run

What holds for one submission only is not taken over: whether to wait, and the jobs it was to come after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leyden import atomic, regular
from leyden.errors import ConfigurationError, RunError
from leyden.launch.launcher import Launcher
from leyden.runs import origin
from leyden.runs.record.job import LOCAL, SLURM, JobRecord

FILE = "launcher.json"
_LARGEST = 1_000_000  # bytes
_ONCE = ("wait", "dependency")


def keep(batch: Path, launcher: str, options: Mapping[str, Any]) -> None:
    """Write down with which options a launcher was made, for `again`.

    Args:
        batch: Folder of everything that it starts together.
        launcher: Its name in job.json.
        options: Plain values, by the names of the launcher's arguments.
    """
    atomic.write_json(batch / FILE, {"launcher": launcher, "options": dict(options)})
    origin.remember(batch, {FILE: (batch / FILE).read_bytes()})


def again(
    record: JobRecord, paths: Sequence[Path], trusted: Sequence[str] = (), detach: bool = False
) -> Launcher | None:
    """Return the launcher that *record* tells of, with the options it had; None if that was not kept.

    Args:
        record: What job.json says in all of the runs.
        paths: Run directories. Anybody may have made them, and what a launcher is told becomes lines of a script.
        trusted: What the configs of runs may name that were not composed on this command line.
        detach: Run a queue of this machine in the background.

    Raises:
        ConfigurationError: If what was kept does not fit any more, or was not kept by a launch of this user.
    """
    if not record.batch:
        return None
    batch = Path(os.path.normpath(record.batch))
    beside = all(path.is_relative_to(batch.parent) for path in paths)
    if record.launcher == LOCAL:
        return _queue(batch if beside else None, trusted, detach)
    return _cluster(batch, beside, trusted) if record.launcher == SLURM else None


def _queue(folder: Path | None, trusted: Sequence[str], detach: bool) -> Launcher:
    from leyden.launch.local.launcher import LocalQueue
    from leyden.launch.local.record import Options, QueueRecord

    try:
        options = Options() if folder is None else QueueRecord.read(folder).options
    except (RunError, ConfigurationError):
        options = Options()  # it is gone: the machine decides
    return LocalQueue(options.slots, options.gpus_per_job, detach, trusted)


def _cluster(batch: Path, beside: bool, trusted: Sequence[str]) -> Launcher | None:
    from leyden.launch.slurm.launcher import SlurmLauncher
    from leyden.launch.slurm.options import Options

    file = batch / FILE
    try:
        content = regular.read(batch.parent, f"{batch.name}/{FILE}", _LARGEST)
    except FileNotFoundError:
        return None
    if not beside or not origin.matches(batch, {FILE: content}):
        raise ConfigurationError(
            f"{file} was not written by a launch of yours, or was changed since: its options, setup and python and "
            "srun_args, would become lines of a batch script. Expected what your own command line or config says. "
            "Submit the runs with that: leyden submit DIR... hydra.launcher.KEY=VALUE"
        )
    options = json.loads(content)["options"]
    try:
        return SlurmLauncher(Options(**{key: value for key, value in options.items() if key not in _ONCE}), trusted)
    except TypeError as error:
        raise ConfigurationError(
            f"{file} does not fit the launcher of this version: {error}. It was written when the runs were submitted. "
            "Mend it there, or submit them anew: leyden submit DIR..."
        ) from error
