"""Checkpoints of a run directory that anybody may have written: looked at before torch reads them.

torch's restricted unpickler executes nothing (`leyden.loading.read`), nor does ours, for the folders of several
ranks (`leyden.sharded_index`). What is left is a file that expands to more than the memory holds, and one that holds
something else than a checkpoint.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leyden import recency, sharded
from leyden.errors import UnsafeCheckpointError
from leyden.runs import gate
from leyden.sharded_index import check_parts


def is_checkpoint(path: Path) -> bool:
    """Whether *path* is a file, or a folder that several ranks have written."""
    return path.is_file() or sharded.is_folder(path)


def named_as_such(run: Path) -> Iterator[Path]:
    """Yield what is called like a checkpoint in the folder of a run directory; a link in its place is not followed."""
    top = run / "checkpoints"
    for folder, folders, names in os.walk(top) if gate.is_followed(top, run) else ():
        found = (Path(folder, name) for name in (*folders, *names) if name.endswith(".ckpt"))
        yield from filter(is_checkpoint, found)


def outline(path: Path) -> dict[str, Any]:
    """Read a checkpoint of a run, but not its tensors, nor what would tell that one of these is damaged.

    Raises:
        UnsafeCheckpointError: If it would execute something, or is made to fill the memory.
        CheckpointError: If it is damaged, or no checkpoint of a run.
    """
    check_size(path)
    return recency.outline(path)


def check_size(path: Path) -> None:
    """Refuse an archive, or a folder of them, that holds more than its own size: torch compresses nothing.

    Raises:
        UnsafeCheckpointError: If it does.
        CheckpointError: If part of a folder is missing.
    """
    if sharded.is_folder(path):
        check_parts(path)
        path = path / sharded.META
    try:
        with zipfile.ZipFile(path) as archive:
            size, inside = path.stat().st_size, archive.infolist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return  # no archive, or a damaged one: `read` says so
    if sum(each.file_size for each in inside) > size or any(each.compress_type for each in inside):
        raise UnsafeCheckpointError(
            f"{path} is not safe to load: it is compressed, and expands to {sum(each.file_size for each in inside):,} "
            "bytes. Nothing of it was read. Expected an archive as torch.save writes it. Remove it."
        )
