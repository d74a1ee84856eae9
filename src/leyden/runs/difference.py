"""What differs between two manifests, and whether results can still be equal bit for bit.

    manifest then ─┐
                   ├─► flatten ─► compare ─► judge: breaks exactness · may · harmless
    manifest now  ─┘

A rule is a pattern of keys and what a difference there means; the first that fits decides. What
two runs always differ in (when, where, under which job number) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from leyden.terminal import printable


class Effect(StrEnum):
    """What a difference means for a result that should be equal bit for bit."""

    BREAKS = "breaks exactness"
    MAY = "may"
    HARMLESS = "harmless"


class Difference(NamedTuple):
    """One value that is not what it was; None where there is none."""

    key: str
    then: Any
    now: Any
    effect: Effect


ABSENT = "(absent)"
STARTING = (  # variables by which runs and ranks are started, or that a library sets: how many there are is world.size
    "TORCHELASTIC_*", "TORCH_NCCL_ASYNC_ERROR_HANDLING", "*RANK", "*WORLD_SIZE", "MASTER_*", "LEYDEN_COMPOSED",
    "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK",
)  # fmt: skip
_IGNORED = (
    *("version", "created", "completed", "argv*", "entry", "work_dir", "process*", "attempts*", "restarts", "slurm*"),
    "data_paths*",
    *(f"environment.variables.{name}" for name in STARTING),
    *(
        "world.ranks*",
        "environment.variables.PL_*",
        "environment.variables.*_CACHE_DIR",
        "code.root",
        "code.note",
        "code.leyden.path",
        "code.patch",
        "code.masked",
        "code.skipped*",
        "code.snapshot",
        "code.left_out*",
    ),
)
_READ_BY_TORCH = (
    "OMP_* MKL_* KMP_* CUDA_* CUBLAS_* CUDNN_* NCCL_* TORCH* PYTORCH_* ATEN_* ONEDNN_* PYTHONHASHSEED".split()
)
_RULES: tuple[tuple[str, Effect], ...] = (
    ("code.hash", Effect.MAY),
    ("code.leyden.hash", Effect.MAY),
    ("code.*", Effect.HARMLESS),
    ("environment.torch.*", Effect.BREAKS),
    ("environment.packages.torch", Effect.BREAKS),
    ("environment.packages.numpy", Effect.BREAKS),
    ("environment.packages.*", Effect.MAY),
    ("environment.python", Effect.MAY),
    ("environment.platform", Effect.MAY),
    ("environment.host", Effect.HARMLESS),
    ("environment.executable", Effect.HARMLESS),
    ("environment.threads.*", Effect.BREAKS),
    ("environment.gpus*", Effect.BREAKS),
    ("environment.driver", Effect.MAY),
    ("environment.cpu.capability", Effect.BREAKS),
    ("environment.cpu.cores", Effect.HARMLESS),
    ("environment.cpu.usable", Effect.HARMLESS),
    ("environment.cpu.*", Effect.MAY),
    *((f"environment.variables.{pattern}", Effect.MAY) for pattern in _READ_BY_TORCH),
    ("environment.variables.*", Effect.HARMLESS),
    ("determinism.*", Effect.BREAKS),
    ("seeds.*", Effect.BREAKS),
    ("world.size", Effect.BREAKS),
    ("loaders.*.num_workers", Effect.MAY),
    ("loaders.*", Effect.BREAKS),
    ("data.config.*", Effect.MAY),  # whole folders: more may lie in them than was read
    ("data.*", Effect.BREAKS),
    ("config", Effect.BREAKS),
)


def differences(then: Mapping[str, Any], now: Mapping[str, Any], parts: tuple[str, ...] = ()) -> list[Difference]:
    """Compare two manifests.

    Args:
        then: Of the run that is there.
        now: Of the one that is to be like it.
        parts: Top-level keys to compare; empty for all.

    Returns:
        What differs, the worst first, and by key.
    """
    left, right = (dict(_flat(_chosen(each, parts))) for each in (then, now))
    found = [
        Difference(key, left.get(key, ABSENT), right.get(key, ABSENT), effect(key))
        for key in sorted({*left, *right})
        if left.get(key, ABSENT) != right.get(key, ABSENT) and not _ignored(key)
    ]
    return sorted(found, key=lambda each: (list(Effect).index(each.effect), each.key))


def effect(key: str) -> Effect:
    """Return what a difference under *key* means; one that nobody has thought of may break exactness."""
    return next((meaning for pattern, meaning in _RULES if fnmatchcase(key, pattern)), Effect.MAY)


def table(found: list[Difference]) -> str:
    """Write differences as lines for a terminal."""
    if not found:
        return "nothing differs between then and now"
    rows = [(each.effect.value, printable(each.key), _short(each.then), _short(each.now)) for each in found]
    widths = [max(len(row[column]) for row in (("", "", "then", "now"), *rows)) for column in range(3)]
    head = ("", "", "then", "now")
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in (head, *rows)
    )


def _chosen(manifest: Mapping[str, Any], parts: tuple[str, ...]) -> Mapping[str, Any]:
    return {key: value for key, value in manifest.items() if not parts or key in parts}


def _ignored(key: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in _IGNORED)


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif value is not None:
        yield prefix, value


def _short(value: Any, longest: int = 40) -> str:
    text = printable(" ".join(str(value).split()))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
