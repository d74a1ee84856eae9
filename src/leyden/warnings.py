"""Warnings and messages of the package: said once each, by rank 0 alone."""

from __future__ import annotations

import logging
import os
import warnings

log = logging.getLogger("leyden")

_SAID: set[str] = set()


def rank() -> int:
    """Rank of this process as its launcher set it; 0 outside of any launcher."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def warn_once(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with *message*, unless this very message was given before in this process."""
    if message in _SAID or rank() != 0:
        return
    _SAID.add(message)
    warnings.warn(message, category, stacklevel=3)
