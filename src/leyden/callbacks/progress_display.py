"""Which progress display suits the place the program runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from leyden.callbacks.line_progress import LineProgress
from leyden.callbacks.progress_bar import ProgressBar

_INTERACTIVE_JOBS = ("bash", "sh", "zsh", "interactive")  # what SLURM calls a job somebody sits in front of


def default_progress_bar() -> ProgressBar:
    """Return a bar on an interactive terminal, above which each epoch leaves a line; single lines anywhere else."""
    if not any(is_interactive(stream, os.environ) for stream in (sys.stdout, sys.stderr)):
        return LineProgress()
    from leyden.callbacks.rich_progress_bar import RichProgressBar

    return RichProgressBar(leave=True)


def is_interactive(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether somebody is watching *stream* on a terminal that can redraw.

    Nobody is in continuous integration and in a SLURM batch job; a dumb terminal cannot.
    """
    batch_job = "SLURM_JOB_ID" in environment and environment.get("SLURM_JOB_NAME") not in _INTERACTIVE_JOBS
    blind = environment.get("TERM") == "dumb" or environment.get("CI", "").lower() not in ("", "0", "false")
    return stream.isatty() and not batch_job and not blind
