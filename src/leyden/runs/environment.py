"""What a run depends on besides code, config and data: interpreter, packages, machine, variables.

Nothing here starts a process or a device: packages are read from the names of their folders,
devices from what the driver says in ``/proc``, so that a login node, or a process that is
about to fork, can ask as well.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from leyden import secrets

_PREFIXES = (
    "ATEN_ CUBLAS_ CUDA_ CUDNN_ DNNL_ FI_ GLOO_ GOMP_ HF_ HYDRA_ KMP_ LEYDEN_ MIOPEN_ MKL_ NCCL_ NUMEXPR_ NVIDIA_ "
    "OMP_ ONEDNN_ OPENBLAS_ PL_ PYTHON PYTORCH_ ROCR_ TF32_ TORCH TORCHINDUCTOR_ TRITON_ WANDB_ XLA_"
).split()
_NAMES = frozenset(
    "CONDA_DEFAULT_ENV LANG LC_ALL LD_LIBRARY_PATH LD_PRELOAD LOCAL_RANK MALLOC_CONF MASTER_ADDR MASTER_PORT NODE_RANK "
    "RANK TOKENIZERS_PARALLELISM TZ VIRTUAL_ENV WORLD_SIZE".split()
)
_SLURM = (
    "CLUSTER_NAME JOB_ID JOB_NAME JOB_PARTITION ARRAY_JOB_ID ARRAY_TASK_ID JOB_NODELIST JOB_NUM_NODES NTASKS "
    "NTASKS_PER_NODE CPUS_PER_TASK PROCID LOCALID NODEID RESTART_COUNT SUBMIT_DIR"
).split()
_DRIVER = Path("/proc/driver/nvidia")


def environment() -> dict[str, Any]:
    """Describe the process and the machine it runs on."""
    return {
        "python": platform.python_version(), "implementation": platform.python_implementation(),
        "executable": sys.executable, "platform": platform.platform(), "host": platform.node(),
        "packages": packages(), "torch": _torch(), "gpus": gpus(), "driver": _driver(), "cpu": _cpu(),
        "threads": threads(), "variables": variables(os.environ),
    }  # fmt: skip


def packages() -> dict[str, str]:
    """Return the installed packages with their versions, as the folders on the path name them."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            match = re.fullmatch(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info", name)
            if match is not None:
                found.setdefault(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2])
    return dict(sorted(found.items()))


def threads() -> dict[str, int]:
    """Return how many threads torch computes with."""
    return {"intra": torch.get_num_threads(), "inter": torch.get_num_interop_threads()}


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may change what is computed; those that look secret by name are masked."""
    wanted = {name for name in environ if name in _NAMES or name.startswith(tuple(_PREFIXES))}
    return {name: _shown(name, environ[name]) for name in sorted(wanted)}


def slurm(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the identity of the SLURM job this process is part of; None outside of any."""
    found = {name.lower(): environ[f"SLURM_{name}"] for name in _SLURM if f"SLURM_{name}" in environ}
    return found if "job_id" in found else None


def gpus() -> list[str]:
    """Return the names of the GPUs in this machine, without touching one."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    found = sorted(_DRIVER.glob("gpus/*/information"))
    return [match[1].strip() for path in found if (match := re.search(r"^Model:(.*)$", _text(path), re.MULTILINE))]


def _shown(name: str, value: str) -> str:
    return secrets.MASK if secrets.names_variable(name) and not value.startswith("/") else secrets.masked(value)


def _torch() -> dict[str, Any]:
    cuda = torch.version.cuda
    return {
        "version": torch.__version__, "git": torch.version.git_version, "config": torch.__config__.show(), "cuda": cuda,
        "cudnn": _cudnn() if cuda else None, "nccl": _nccl() if cuda else None,
    }  # fmt: skip


def _cudnn() -> int | None:
    found: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return found


def _nccl() -> str | None:
    try:
        from torch.cuda import nccl

        return ".".join(map(str, nccl.version()))  # type: ignore[no-untyped-call]
    except (ImportError, AttributeError, RuntimeError):  # a build without it
        return None


def _driver() -> str | None:
    match = re.search(r"Kernel Module(?:\s+for\s+\S+)?\s+([\d.]+)", _text(_DRIVER / "version"))
    return match[1] if match else None


def _cpu() -> dict[str, Any]:
    names = dict(_cpu_lines())
    return {
        "model": names.get("model name") or platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(), "usable": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
    }  # fmt: skip


def _cpu_lines() -> Iterator[tuple[str, str]]:
    """Yield what the system says of its first processor."""
    for line in _text(Path("/proc/cpuinfo"), 4096).splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            return
        yield name.strip(), value.strip()


def _text(path: Path, most: int = 65536) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(most)
    except OSError:
        return ""
