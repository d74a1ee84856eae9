"""``leyden lightning SCRIPT [arguments]``: run a program written for Lightning on Leyden."""

from __future__ import annotations

from leyden.lightning.launch import main

__all__ = ["main"]
