"""Checkpoints of which every rank writes a part: a folder, written through `torch.distributed.checkpoint`.

    NAME.ckpt/
      .metadata            which part of which tensor lies where    } torch's own
      __0_0.distcp ...     tensors, one file for each rank          }
      meta.pt              the checkpoint itself, without these tensors: see `leyden.engine.checkpoint`;
                           and a seal of each of the others, which tells them from those of another save

    .NAME.ckpt.part/  ─► every rank has written, meta.pt comes last  ─► renamed to NAME.ckpt/

The tensors are those under ``state_dict`` and in the states under ``optimizer_states``. They are read as a whole, by
one process (`in_memory`), or by each rank what it needs (`fill`), whatever the number of ranks. Nothing in a folder
is executed: `leyden.sharded_index` reads torch's metadata, which is a pickle.
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leyden.errors import CheckpointError
from leyden.sharded_index import FILE, checked_reader

META = "meta.pt"
_TAIL = 256  # bytes at the end of a stored tensor: they hold a checksum of all that is in it


class Stored:
    """A tensor of a checkpoint that has not been read.

    Args:
        folder: Where it lies.
        name: Under which it lies there.
        shape: Of the whole tensor.
        dtype: Its type.
    """

    def __init__(self, folder: Path, name: str, shape: torch.Size, dtype: torch.dtype) -> None:
        self.folder = folder
        self.name = name
        self.shape = shape
        self.dtype = dtype

    def tensor(self) -> Tensor:
        """Read all of it."""
        found = torch.empty(self.shape, dtype=self.dtype)
        fill(self.folder, {self.name: found})
        return found


def is_folder(path: Any) -> bool:
    """Whether a checkpoint that several ranks have written lies at *path*."""
    return isinstance(path, (str, os.PathLike)) and Path(path, META).is_file()


def scratch_of(path: str | os.PathLike[str]) -> Path:
    """Return where the ranks write what becomes *path*; all of them find the same place."""
    target = Path(path)
    return target.with_name(f".{target.name}.part")


def split(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors that ranks write, by name, and the checkpoint with None in their places."""
    tensors: dict[str, Tensor] = {}

    def taken(name: str, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        tensors[name] = value
        return None

    return tensors, _visited(checkpoint, taken)


def write(tensors: dict[str, Tensor], folder: Path) -> None:
    """Write what this rank holds of *tensors* into *folder*; every rank calls this.

    Args:
        tensors: Divided ones on every rank, others on rank 0 alone.
        folder: Is there, and empty.

    Raises:
        CheckpointError: If a rank cannot write.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        save(tensors, storage_writer=FileSystemWriter(folder, sync_files=True))
    except CheckpointException as error:
        first = next(iter(error.failures.items()))
        raise CheckpointError(
            f"the checkpoint in {folder} cannot be written: rank {first[0]} says {first[1][0]!r}. Make room, or save "
            "elsewhere; the earlier checkpoints are untouched."
        ) from error


def seals(folder: Path, places: Iterable[Any] | None = None) -> dict[str, int]:
    """Return a checksum for each file that ranks have written into *folder*, from a few bytes of each stored tensor.

    Args:
        folder: Of the checkpoint.
        places: Where the tensors lie in it, if that is known already.
    """
    lying = sorted(
        (str(place.relative_path), int(place.offset + place.length))
        for place in (checked_reader(folder).places if places is None else places)
    )
    found = {FILE: zlib.crc32((folder / FILE).read_bytes())}
    for name in dict.fromkeys(name for name, _ in lying):
        with open(folder / name, "rb") as file:
            for end in (end for each, end in lying if each == name):
                file.seek(max(0, end - _TAIL))
                found[name] = zlib.crc32(file.read(min(end, _TAIL)), found.get(name, 0))
    return found


def seal(checkpoint: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return *checkpoint*, what becomes ``meta.pt`` in *folder*, with the seals of the files there."""
    ours = checkpoint.get("leyden")
    return {**checkpoint, "leyden": {**(ours if isinstance(ours, Mapping) else {}), "parts": seals(folder)}}


def sealed(folder: Path) -> dict[str, int]:
    """Return the seals that ``meta.pt`` in *folder* holds; none if it has none, or cannot be read: `read` says why."""
    try:
        found = torch.load(folder / META, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # a damaged pickle can raise anything
        return {}
    ours = found.get("leyden") if isinstance(found, dict) else None
    parts = ours.get("parts") if isinstance(ours, dict) else None
    return parts if isinstance(parts, dict) else {}


def read(folder: str | os.PathLike[str], weights_only: bool = True) -> dict[str, Any]:
    """Read a checkpoint, with `Stored` in the place of tensors that ranks have written.

    Raises:
        CheckpointError: If a file is missing or damaged.
        UnsafeCheckpointError: If it would execute something, or is made to fill the memory.
        Exception: What torch raises for a damaged ``meta.pt``.
    """
    where = Path(folder)
    index = checked_reader(where).index
    found = torch.load(where / META, map_location="cpu", weights_only=weights_only)
    if not isinstance(found, dict):
        raise CheckpointError(f"{where / META} holds a {type(found).__name__}. Expected a dict written by a Trainer.")

    def stored(name: str, value: Any) -> Any:
        about = index.get(name)
        return value if about is None else Stored(where, name, about.size, about.properties.dtype)

    return _visited(found, stored)


def in_memory(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return *checkpoint* with the tensors themselves in the place of every `Stored`."""
    tensors: dict[str, Tensor] = {}
    folders: list[Path] = []

    def emptied(name: str, value: Any) -> Any:
        if not isinstance(value, Stored):
            return value
        folders.append(value.folder)
        tensors[name] = torch.empty(value.shape, dtype=value.dtype)
        return tensors[name]

    found = _visited(checkpoint, emptied)
    if tensors:
        fill(folders[0], tensors)
    return found


def fill(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Read *tensors*, by name, from *folder*, in place: of divided ones the part of this rank.

    Raises:
        CheckpointError: If they cannot be read.
    """
    from torch.distributed.checkpoint.state_dict_loader import load

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is")  # it takes this for an oversight
            load(dict(tensors), storage_reader=checked_reader(folder), no_dist=True)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(
            f"{folder} cannot be read: {error!r:.200}. A file is damaged, or another checkpoint's. Take an earlier one."
        ) from error


def _visited(checkpoint: Mapping[str, Any], visit: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Return *checkpoint* with what *visit* makes of each weight and each state of an optimizer, given its name."""
    found = dict(checkpoint)
    if isinstance(found.get("state_dict"), Mapping):
        found["state_dict"] = {key: visit(f"state_dict/{key}", value) for key, value in found["state_dict"].items()}
    if isinstance(found.get("optimizer_states"), list):
        found["optimizer_states"] = [
            _visited_state(state, f"optimizer_states/{at}", visit) for at, state in enumerate(found["optimizer_states"])
        ]
    return found


def _visited_state(state: Any, name: str, visit: Callable[[str, Any], Any]) -> Any:
    if not isinstance(state, Mapping) or not isinstance(state.get("state"), Mapping):
        return state
    own = {
        key: {each: visit(f"{name}/{key}/{each}", value) for each, value in values.items()}
        if isinstance(values, Mapping)
        else values
        for key, values in state["state"].items()
    }
    return {**state, "state": own}
