"""The launcher that had started a run, made once more from what it left in the folder of its batch.

    slurm   launcher.json   {"launcher": "slurm", "options": {"partition": "gpu", "time": "12:00:00", ...}}
    local   queue.json      slots, and GPUs for each run

What holds for one submission only is not taken over: whether to wait, and the jobs it was to come after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leyden import atomic
from leyden.errors import ConfigurationError, RunError
from leyden.launch.launcher import Launcher
from leyden.runs.reading import document
from leyden.runs.record.job import LOCAL, SLURM, JobRecord

FILE = "launcher.json"
_ONCE = ("wait", "dependency")


def keep(batch: Path, launcher: str, options: Mapping[str, Any]) -> None:
    """Write down with which options a launcher was made, for `again`.

    Args:
        batch: Folder of everything that it starts together.
        launcher: Its name in job.json.
        options: Plain values, by the names of the launcher's arguments.
    """
    atomic.write_json(batch / FILE, {"launcher": launcher, "options": dict(options)})


def again(record: JobRecord, trusted: Sequence[str] = (), detach: bool = False) -> Launcher | None:
    """Return the launcher that *record* tells of, with the options it had; None if that was not kept.

    Args:
        record: Of a run.
        trusted: What the configs of runs may name that were not composed on this command line.
        detach: Run a queue of this machine in the background.

    Raises:
        ConfigurationError: If what was kept does not fit any more.
    """
    if not record.batch:
        return None
    if record.launcher == LOCAL:
        return _queue(Path(record.batch), trusted, detach)
    return _cluster(Path(record.batch) / FILE, trusted) if record.launcher == SLURM else None


def _queue(folder: Path, trusted: Sequence[str], detach: bool) -> Launcher:
    from leyden.launch.local.launcher import LocalQueue
    from leyden.launch.local.record import Options, QueueRecord

    try:
        options = QueueRecord.read(folder).options
    except RunError:
        options = Options()  # it is gone: the machine decides
    return LocalQueue(options.slots, options.gpus_per_job, detach, trusted)


def _cluster(file: Path, trusted: Sequence[str]) -> Launcher | None:
    from leyden.launch.slurm.launcher import SlurmLauncher
    from leyden.launch.slurm.options import Options

    options = document(file, 1_000_000).get("options")
    if not isinstance(options, dict):
        return None
    try:
        return SlurmLauncher(Options(**{key: value for key, value in options.items() if key not in _ONCE}), trusted)
    except TypeError as error:
        raise ConfigurationError(
            f"{file} does not fit the launcher of this version: {error}. It was written when the runs were submitted. "
            "Mend it there, or submit them anew: leyden submit DIR..."
        ) from error
