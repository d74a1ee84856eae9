"""Warnings and messages of the package: said once each, by rank 0 alone, and about the user's own line."""

from __future__ import annotations

import logging
import os
import sys
import warnings

from leyden.tracebacks import is_own

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
    warn(message, category)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with *message*, about the innermost line of the user's own that has led to it; about ours where none has."""
    frame = sys._getframe(1)
    while not is_own(frame.f_code.co_filename):
        if frame.f_back is None:
            warnings.warn(message, category, stacklevel=3)
            return
        frame = frame.f_back
    place, names = frame.f_code.co_filename, frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, place, frame.f_lineno, names.get("__name__"), registry)
