"""A run that was killed against one that was not: every file, by what it holds.

Bit for bit the same: configs, losses, rows, result, fingerprint, and all of every checkpoint; both were at the same
place when they ran, so that their paths are the same as well. Left out is what has to tell of times and processes,
entry by entry; logs have to be there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

_OF_THE_TIME = {  # by file: entries that differ between any two runs
    "status.json": {"created", "started", "ended", "updated", "pid", "attempts", "resumed_from", "from_step", "run_id"},
    "attempts.jsonl": {"attempt", "started", "ended", "from_step"},
    "job.json": {"id", "submitted"},
    "queue.json": {"pid", "updated"},
    "manifest.json": {
        "attempts", "completed", "created", "process", "restarts", "argv", "entry",  # which process has written it
        "LEYDEN_COMPOSED", "MASTER_PORT", "TORCHELASTIC_ERROR_FILE", "TORCHELASTIC_RESTART_COUNT",
        "TORCHELASTIC_RUN_ID", "TORCHINDUCTOR_CACHE_DIR",
    },
}  # fmt: skip
_OF_THE_ATTEMPT = {  # in a checkpoint: how long training has taken, and which attempt at which run has written it
    "progress": {"seconds", "validated"},
    "run": {"id", "attempt", "save"},
}
_ONLY_THERE = (".lock", ".log", ".out")  # by the end of the name


def differences(reference: Path, found: Path) -> Iterator[str]:
    """Yield what differs, a line each, beginning with the file.

    Args:
        reference: A folder of runs that nobody disturbed.
        found: Of runs that were killed.
    """
    expected, there = names(reference), names(found)
    for name in sorted(expected - there):
        yield f"{name}: missing"
    for name in sorted(there - expected):
        yield f"{name}: should not be there"
    for name in sorted(expected & there):
        for said in _in_file(reference, found, name):
            yield f"{name}: {said}"


def names(folder: Path) -> set[str]:
    """Return the files and folders below *folder*; what a link leads to is part of its name."""
    found = set()
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        found.add(f"{name} -> {os.readlink(path)}" if path.is_symlink() else f"{name}/" if path.is_dir() else name)
    return found


def _in_file(reference: Path, found: Path, name: str) -> Iterator[str]:
    if name.endswith("/") or " -> " in name or name.endswith(_ONLY_THERE):
        return
    file = Path(name).name
    one, two = reference / name, found / name
    if name.endswith(".ckpt"):
        yield from _unlike(*(_checkpoint(path) for path in (one, two)))
    elif file in _OF_THE_TIME:
        try:
            yield from _unlike(*(_without(_json(path), _OF_THE_TIME[file]) for path in (one, two)))
        except ValueError as error:
            yield f"cannot be read: {error}"
    elif one.read_bytes() != two.read_bytes():
        yield f"{one.stat().st_size} bytes, and {two.stat().st_size} that differ"


def _json(path: Path) -> Any:
    """Return what a file says; of one with a line per attempt, the last line."""
    text = path.read_text()
    return json.loads(text.splitlines()[-1] if path.suffix == ".jsonl" else text)


def _without(value: Any, keys: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


def _checkpoint(path: Path) -> Any:
    found = torch.load(path, weights_only=False)
    for part, keys in _OF_THE_ATTEMPT.items():
        for key in keys & found.get("leyden", {}).get(part, {}).keys():
            del found["leyden"][part][key]
    return found


def _unlike(one: Any, two: Any, where: str = "") -> Iterator[str]:
    """Yield the places within two values in which they differ."""
    if type(one) is not type(two):
        yield f"{where or 'it'} is {one!r:.60} and {two!r:.60}"
    elif isinstance(one, dict):
        for key in one.keys() | two.keys():
            if key in one and key in two:
                yield from _unlike(one[key], two[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is in one of them only"
    elif isinstance(one, (list, tuple)):
        if len(one) != len(two):
            yield f"{where} has {len(one)} entries, and {len(two)}"
        for index, (a, b) in enumerate(zip(one, two, strict=False)):
            yield from _unlike(a, b, f"{where}[{index}]")
    elif isinstance(one, torch.Tensor):
        if not _same_bits(one, two):
            yield f"{where} is another tensor"
    elif one != two and one == one:  # noqa: PLR0124 - NaN is like NaN
        yield f"{where} is {one!r:.60} and {two!r:.60}"


def _same_bits(one: torch.Tensor, two: torch.Tensor) -> bool:
    alike = one.dtype == two.dtype and one.shape == two.shape
    return alike and one.cpu().contiguous().numpy().tobytes() == two.cpu().contiguous().numpy().tobytes()
