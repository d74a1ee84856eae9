"""How exactly a run can be repeated: the switch ``deterministic`` of a config, and what torch made of it.

| level | kernels | batches | processor |
|---|---|---|---|
| ``false`` | as torch likes | as the loaders like | as it is |
| ``warn`` | a nondeterministic one warns | depend on seed, epoch and index alone | as it is |
| ``true`` | a nondeterministic one is refused | likewise | as it is |
| ``portable`` | likewise, and no oneDNN | likewise | AVX2, whatever else it has |

Torch's flags are those of the process, so they are set for all of it, before anything is
built, and put back when a later run in the same process asks for less.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Literal

import torch

from leyden.algorithms import algorithms, use_algorithms
from leyden.errors import ConfigurationError
from leyden.runs.variables import HASH_SEED, PORTABLE, REPEATABLE, missing

Level = bool | Literal["warn", "portable"]
_BEFORE: dict[str, Any] = {}  # what the process had, of what has been changed


def apply(level: Level = False, threads: int | None = None) -> None:
    """Bring this process to *level*, with so many threads within an operation.

    Args:
        level: What the config says under ``deterministic``.
        threads: Under ``threads``; None leaves what the process had to begin with.

    Raises:
        ConfigurationError: If ``portable`` is out of reach: variables are read when a process starts.
    """
    if level == "portable":
        _check_portable()
    if level:
        os.environ.update({name: value for name, value in REPEATABLE.items() if name not in os.environ})
    if level or "level" in _BEFORE:
        _set_flags(level)
    if threads is not None or "threads" in _BEFORE:
        before = _BEFORE.setdefault("threads", torch.get_num_threads())
        torch.set_num_threads(threads if threads is not None else before)


def _set_flags(level: Level) -> None:
    cudnn, onednn = torch.backends.cudnn, vars(torch.backends)["mkldnn"]
    before = _BEFORE.setdefault("level", (*algorithms(), cudnn.deterministic, cudnn.benchmark, onednn.enabled))
    wanted = (True, level == "warn", True, False, before[4] and level != "portable") if level else before
    use_algorithms((wanted[0], wanted[1]))
    cudnn.deterministic, cudnn.benchmark = wanted[2], wanted[3]
    onednn.enabled = wanted[4]


def _check_portable() -> None:
    cpu = Path("/proc/cpuinfo")
    if platform.machine() not in ("x86_64", "AMD64") or (cpu.is_file() and "avx2" not in cpu.read_text().split()):
        raise ConfigurationError(
            f"deterministic=portable, but this processor ({platform.machine()}) is no x86 one with AVX2, which is what "
            "portable runs agree on. Use deterministic=true: equal results on equal processors."
        )
    absent = {name: value for name, value in missing("portable").items() if name in PORTABLE}
    if absent:
        typed = " ".join(f"{name}={value}" for name, value in absent.items())
        raise ConfigurationError(
            f"deterministic=portable needs {', '.join(absent)}, which are read when a process starts, and this one has "
            f"started without. Write deterministic=portable on the command line of leyden train, or start with: {typed}"
        )


def flags() -> dict[str, Any]:
    """Return what decides on bits in this process, as torch and the environment say it is now."""
    cudnn, utilities = torch.backends.cudnn, vars(torch.utils)["deterministic"]
    cuda: Any = torch.backends.cuda
    matmul = cuda.matmul
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill_uninitialized_memory": utilities.fill_uninitialized_memory,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onednn": torch.backends.mkldnn.enabled,
        "cudnn": {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic},
        "matmul": {
            "fp16_reduced_precision_reduction": _said(matmul.allow_fp16_reduced_precision_reduction),
            "bf16_reduced_precision_reduction": _said(matmul.allow_bf16_reduced_precision_reduction),
        },
        "attention": {
            "flash": cuda.flash_sdp_enabled(),
            "memory_efficient": cuda.mem_efficient_sdp_enabled(),
            "math": cuda.math_sdp_enabled(),
            "cudnn": cuda.cudnn_sdp_enabled(),
        },
        "variables": {name: os.environ.get(name) for name in (*HASH_SEED, *REPEATABLE, *PORTABLE)},
    }


def _said(value: Any) -> Any:
    """Return a flag that is a truth value, or several of them, as JSON can hold it."""
    return list(value) if isinstance(value, tuple) else value
