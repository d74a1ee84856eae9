"""Options of ours in submitit's words, and what cannot be meant.

time "1-06:30"  ─►  time 1830          minutes
mem 32G         ─►  mem 32G            a bare number would be megabytes to SLURM: refused
requeue         ─►  --requeue
use_srun false  ─►  --signal=B:USR2@120, and the script's shell becomes Python, so that the signal arrives
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from typing import Any

from leyden.errors import ConfigurationError
from leyden.launch.slurm.options import Options

_SAME = (
    "partition account qos nodes cpus_per_task gpus_per_node gpus_per_task cpus_per_gpu gres constraint exclude "
    "nodelist dependency comment mail_type mail_user wckey teardown srun_args use_srun signal_delay_s "
    "stderr_to_stdout"
).split()
_FAILED = "leyden: a line of setup failed with exit code $?, and the run was not started: $BASH_COMMAND"
_OWN_DEFAULT = ("time", "wckey")  # submitit has opinions on these; None leaves them to the cluster
_MEMORY = re.compile(r"^(\d+)([KMGT])B?$", re.IGNORECASE)
_TIME = re.compile(r"^(?:(?P<days>\d+)-)?(?P<rest>\d+(?::\d+){0,2})$")
_UNLIMITED = ("unlimited", "infinite")
_MINUTES = 24 * 60


def parameters(options: Options, name: str, count: int) -> dict[str, Any]:
    """Return what ``submitit.SlurmExecutor.update_parameters`` takes.

    Args:
        options: What the user asks for.
        name: Of the job, where the options have none.
        count: Of the runs in this submission.

    Raises:
        ConfigurationError: If an option cannot be meant, or contradicts another one.
    """
    _check(options)
    time, memory = _either(options, "time", "timeout_min"), _either(options, "mem", "mem_gb")
    found = {key: getattr(options, key) for key in _SAME}
    found |= {
        "job_name": options.name or name,
        "time": None if time is None else minutes(time),
        "ntasks_per_node": options.tasks_per_node,
        "mem": f"{_whole(options.mem_gb)}" if options.mem_gb is not None else size("mem", memory),
        "mem_per_cpu": size("mem_per_cpu", options.mem_per_cpu),
        "mem_per_gpu": size("mem_per_gpu", options.mem_per_gpu),
        "exclusive": options.exclusive or None,
        "array_parallelism": options.array_parallelism or count,
        "additional_parameters": _additional(options),
        "setup": _setup(options),
    }
    return {key: value for key, value in found.items() if value is not None or key in _OWN_DEFAULT}


def python(options: Options) -> str:
    """Return the words by which the job calls Python, as shell takes them."""
    called = shlex.quote(sys.executable) if options.python is None else options.python
    return called if options.use_srun else f"exec {called}"


def restarts(options: Options) -> int | None:
    """Return how often a job may be requeued; None does not limit it."""
    if options.max_num_timeout is None:
        return options.restarts if options.requeue else 0
    return options.max_num_timeout if options.requeue else 0


def minutes(limit: int | str) -> int | str:
    """Return a time limit in whole minutes, rounded up.

    Args:
        limit: Minutes, or one of sbatch's forms: ``M:S  H:M:S  D-H  D-H:M  D-H:M:S  UNLIMITED``.

    Raises:
        ConfigurationError: If it has another form, or is nothing.

    Example:
        >>> minutes("12:30:00"), minutes("1-06"), minutes("90"), minutes("0:30")
        (750, 1800, 90, 1)
    """
    text = str(limit).strip()
    if text.lower() in _UNLIMITED:
        return text.upper()
    match = _TIME.match(text)
    if match is None:
        raise _wrong_time(limit)
    parts = [int(part) for part in match["rest"].split(":")]
    if match["days"] is not None:
        hours, minute, second = (*parts, 0, 0)[:3]
        found = int(match["days"]) * _MINUTES + hours * 60 + minute + second / 60
    else:
        hours, minute, second = {1: (0, *parts, 0), 2: (0, *parts), 3: tuple(parts)}[len(parts)]
        found = hours * 60 + minute + second / 60
    if found <= 0:
        raise _wrong_time(limit)
    return math.ceil(found)


def size(key: str, memory: str | int | float | None) -> str | None:
    """Return an amount of memory as sbatch takes it.

    Raises:
        ConfigurationError: If it has no unit: SLURM would take 32 for 32 megabytes.

    Example:
        >>> size("mem", "32GB"), size("mem", 0)
        ('32G', '0')
    """
    if memory is None or str(memory) == "0":
        return None if memory is None else "0"  # 0: all that the node has
    match = _MEMORY.match(str(memory).strip())
    if match is None:
        raise ConfigurationError(
            f"hydra.launcher.{key} is {memory!r}. Expected a whole number and its unit: 32G, 500M, 1T; or 0 for all "
            "that a node has. (SLURM takes a bare number for megabytes.)"
        )
    return f"{match[1]}{match[2].upper()}"


def _check(options: Options) -> None:
    if not options.use_srun and options.nodes * options.tasks_per_node > 1:
        raise ConfigurationError(
            f"hydra.launcher.use_srun is false, but nodes={options.nodes} and tasks_per_node={options.tasks_per_node} "
            "make several ranks, which srun starts. Set both to 1, or leave use_srun true."
        )
    if not options.use_srun and (options.srun_args or options.teardown):
        key = "srun_args" if options.srun_args else "teardown"
        raise ConfigurationError(
            f"hydra.launcher.{key} is set, but use_srun is false: the script's shell becomes Python then, and nothing "
            "comes after it. Leave one of them out."
        )


def _either(options: Options, ours: str, other: str) -> Any:
    """Return the value of the one of two names that is given."""
    values = {key: getattr(options, key) for key in (ours, other) if getattr(options, key) is not None}
    if len(values) > 1:
        raise ConfigurationError(
            f"hydra.launcher has {ours}={values[ours]} and {other}={values[other]}, which mean the same. Expected one "
            f"of them. Leave {other} out."
        )
    return next(iter(values.values()), None)


def _setup(options: Options) -> list[str] | None:
    """Return the lines of setup; the first that fails ends the job, unless they may.

    Without its module or its variables a run fails later for a reason that is hard to find, or computes on less than
    what was asked for.
    """
    if not options.setup or options.setup_may_fail:
        return options.setup
    return ["set -e", f"trap 'echo \"{_FAILED}\" >&2' ERR", *options.setup, "trap - ERR", "set +e"]


def _additional(options: Options) -> dict[str, Any]:
    found: dict[str, Any] = {"requeue" if options.requeue else "no-requeue": True}
    if options.reservation is not None:
        found["reservation"] = options.reservation
    if not options.use_srun:
        found["signal"] = f"B:USR2@{options.signal_delay_s}"
    given = {key.strip("-"): value for key, value in (options.additional_parameters or {}).items()}
    return found | {key: value for key, value in given.items() if value is not None and value is not False}


def _whole(gigabytes: float) -> str:
    """Return gigabytes in the largest unit that has no fraction."""
    return f"{int(gigabytes)}G" if gigabytes == int(gigabytes) else f"{math.ceil(gigabytes * 1024)}M"


def _wrong_time(limit: int | str) -> ConfigurationError:
    return ConfigurationError(
        f"hydra.launcher.time is {limit!r}. Expected minutes, or one of sbatch's forms: 90, 1:30:00, 2-12 "
        "(days-hours), 2-12:30:00. In a YAML file put it between quotes."
    )
