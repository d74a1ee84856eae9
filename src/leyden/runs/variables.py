"""Variables that decide on bits and are read when a process starts: later is too late to set them.

    every run                PYTHONHASHSEED            the order of sets of texts
    deterministic            CUBLAS_WORKSPACE_CONFIG   cuBLAS splits sums in the same way each time
                             MKL_CBWR                  MKL does, whatever else the machine is doing
    deterministic=portable   the last three            instructions that every x86 processor since 2013 has

A value that is set already is left as it is. Nothing heavy is imported here: the command
looks at this before anything else.
"""

from __future__ import annotations

import os
from typing import Any

HASH_SEED = {"PYTHONHASHSEED": "0"}
REPEATABLE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "MKL_CBWR": "AUTO"}
PORTABLE = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}


def variables(level: Any) -> dict[str, str]:
    """Return what should be set for a run whose config says ``deterministic: level``."""
    found = dict(HASH_SEED)
    if level:
        found |= REPEATABLE
    if level == "portable":
        found |= PORTABLE
    return found


def missing(level: Any) -> dict[str, str]:
    """Return those of `variables` that the environment does not have."""
    return {name: value for name, value in variables(level).items() if name not in os.environ}
