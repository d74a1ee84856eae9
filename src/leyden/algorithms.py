"""Torch's switch for deterministic algorithms, which imports torch's compiler whenever it is set."""

from __future__ import annotations

import torch


def algorithms() -> tuple[bool, bool]:
    """Return whether algorithms have to be deterministic, and whether one that is not only warns."""
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def use_algorithms(wanted: tuple[bool, bool]) -> None:
    """Set what `algorithms` returns; nothing is done, or imported, where it is so already."""
    if algorithms() != wanted:
        torch.use_deterministic_algorithms(wanted[0], warn_only=wanted[1])
