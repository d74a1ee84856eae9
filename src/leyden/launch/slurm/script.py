"""The batch script: shown, tried, or submitted."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from leyden import secrets
from leyden.errors import ConfigurationError
from leyden.launch.slurm.options import Options
from leyden.launch.slurm.parameters import parameters, python
from leyden.launch.slurm_queries import said

if TYPE_CHECKING:
    from submitit import SlurmExecutor

_PATIENCE = 60.0  # seconds


def executor(options: Options, folder: Path, name: str, count: int) -> SlurmExecutor:
    """Return what submits *count* runs from *folder*.

    Raises:
        ConfigurationError: If the options cannot be meant.
    """
    from submitit import SlurmExecutor

    _refuse_secrets(options)

    class Anywhere(SlurmExecutor):
        """Also makes scripts where there is no SLURM; that sbatch is there is looked at before it is called."""

        @classmethod
        def affinity(cls) -> int:
            """Return that this is the executor to use."""
            return 1

    found = Anywhere(folder=folder, python=python(options))
    found.update_parameters(**parameters(options, name, count))
    return found


def _refuse_secrets(options: Options) -> None:
    """Refuse what would put a secret into the batch script, and into the record of the options beside it.

    Raises:
        ConfigurationError: If an option looks like one.
    """
    given = asdict(options)
    names = [name for name, value in given.items() if secrets.masked_values(value, name) != value]
    if names:
        raise ConfigurationError(
            f"hydra.launcher.{names[0]} holds what looks like a secret, and stands in the batch script, which others "
            "may read. Expected none. Export the variable before you submit: SLURM hands the environment on to the "
            "job, and $NAME in a line of setup is looked up there"
        )


def text(options: Options, folder: Path, name: str, count: int) -> str:
    """Return the script by which *count* runs are submitted from *folder*, as submitit writes it."""
    made = executor(options, folder, name, count)
    if count > 1:
        made.parameters["map_count"] = count
    return made._make_submission_file_text(made._submitit_command_str, "")


def tried(script: str) -> str:
    """Have the cluster look at a script, and return what it says: when and where it would start; nothing is queued.

    Raises:
        ConfigurationError: If the cluster would refuse it.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except FileNotFoundError:
        raise ConfigurationError(
            "sbatch is not on the path of this machine. A SLURM launcher needs it, and srun. Submit from a login node "
            "of the cluster, or load its module."
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"SLURM's controller did not answer sbatch within {_PATIENCE:g} s. Expected a controller that is up: see "
            "scontrol ping. Nothing was submitted; try again later."
        ) from None
    complaint = done.stderr.strip()
    if done.returncode:
        raise refused(complaint)
    return "\n".join(line.removeprefix("sbatch: ") for line in complaint.splitlines())


def refused(complaint: str) -> ConfigurationError:
    """Return the error for what sbatch has said."""
    lines = [line.partition("error: ")[2] or line for line in complaint.splitlines() if line.strip()]
    unique = "; ".join(dict.fromkeys(line.strip() for line in lines)) or "it did not say why"
    hint = "Change hydra.launcher.KEY=VALUE; leyden submit --dry-run shows the script"
    if "partition" in unique.lower():
        partitions, problem = said(["sinfo", "--noheader", "--format=%R"])
        known = ", ".join(dict.fromkeys(partitions.split()))
        hint = f"Its partitions are {known}: hydra.launcher.partition=NAME" if known and problem is None else hint
    if "temporarily un" in unique:
        hint = "Its queue is full, of your jobs or of others': submit fewer runs, or later"
    return ConfigurationError(
        f"sbatch refuses the job: {unique}.\n"
        f"  Expected what this cluster has and allows; nothing was submitted.\n  {hint}"
    )
