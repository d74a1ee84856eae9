"""Where the tensors of a sharded checkpoint lie: torch's ``.metadata``, read without executing anything.

It is a pickle of a few plain classes. Nothing else is let through, and what it says is held against the files:
names that lead out of the folder, tensors larger than what is stored of them, and archives that expand are refused.
"""

from __future__ import annotations

import io
import os
import pickle
import stat
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import torch

from leyden.errors import CheckpointError, UnsafeCheckpointError

FILE = ".metadata"
_LARGEST = 2**30  # bytes
_DTYPES = {name for name in vars(torch) if isinstance(getattr(torch, name), torch.dtype)}
_METADATA = "torch.distributed.checkpoint.metadata"
_PLAIN = {
    (_METADATA, "Metadata"), (_METADATA, "TensorStorageMetadata"), (_METADATA, "ChunkStorageMetadata"),
    (_METADATA, "TensorProperties"), (_METADATA, "MetadataIndex"), (_METADATA, "StorageMeta"),
    (_METADATA, "_MEM_FORMAT_ENCODING"), (_METADATA, "BytesStorageMetadata"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"), ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"), ("pathlib", "PurePosixPath"), ("collections", "OrderedDict"),
}  # fmt: skip


def checked_reader(folder: Path) -> Any:
    """Return torch's reader of *folder*, whose metadata has been looked at; ``index`` tells of each tensor by name.

    Raises:
        CheckpointError: If a file is missing or damaged.
        UnsafeCheckpointError: If it would execute something, or does not hold what it says.
    """
    return _reader_type()(folder)


@lru_cache(maxsize=1)
def _reader_type() -> Any:
    """Return the class of reader; torch's is imported when it is needed."""
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    class Reader(FileSystemReader):
        """Reads through `_metadata`."""

        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self._metadata = _metadata(folder)
            self.index = self._metadata.state_dict_metadata
            self.places = list(self._metadata.storage_data.values())

        def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
            """Return what has been read, and looked at, already."""
            return self._metadata

    return Reader


def _metadata(folder: Path) -> Any:
    path = folder / FILE
    try:
        if path.stat().st_size > _LARGEST:
            raise _unsafe(path, f"it has {path.stat().st_size:,} bytes")
        with open(path, "rb") as file:
            found = _Unpickler(file).load()
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} cannot be read: there is no {FILE} in it, which says where its tensors lie. It was copied in "
            "part, or is no checkpoint. Take another one."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(f"{path} cannot be read: {error!r:.200}. It is damaged. Take another one.") from error
    try:
        _check(folder, found)
    except (AttributeError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} is no metadata that torch has written: {error!r:.200}.") from error
    return found


class _Unpickler(pickle.Unpickler):
    """Builds nothing but what torch's metadata consists of."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._name = file.name

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the plain classes.

        Raises:
            UnsafeCheckpointError: If anything else is asked for.
        """
        if (module, name) in _PLAIN or (module == "torch" and name in _DTYPES):
            return super().find_class(module, name)
        raise _unsafe(Path(self._name), f"it asks for {module}.{name}")


def _check(folder: Path, metadata: Any) -> None:
    """Hold what *metadata* says against the files of *folder*."""
    held = dict.fromkeys(metadata.state_dict_metadata, 0)
    sizes: dict[str, int] = {}
    for index, place in metadata.storage_data.items():
        name = str(place.relative_path)
        if Path(name).name != name or getattr(place, "transform_descriptors", None):
            raise _unsafe(folder / FILE, f"it leads to {name!r}")
        if name not in sizes:
            sizes[name] = _size(folder / name)
        if not 0 <= place.offset <= place.offset + place.length <= sizes[name]:
            raise CheckpointError(f"{folder / name} is too short: it was not written to its end. Take another one.")
        held[index.fqn] += place.length
    for name, about in metadata.state_dict_metadata.items():
        needed = torch.Size(about.size).numel() * about.properties.dtype.itemsize
        if needed > held[name]:
            raise _unsafe(folder / FILE, f"{name} takes {needed:,} bytes, of which {held[name]:,} are stored")


def _size(path: Path) -> int:
    """Return the size of a regular file."""
    try:
        found = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path} is missing: the checkpoint was copied in part. Take another one.") from error
    if not stat.S_ISREG(found.st_mode):
        raise _unsafe(path, "it is no regular file")
    return found.st_size


def _unsafe(path: Path, why: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f"{path} is not safe to load: {why}. Nothing in it was executed. Expected what torch.distributed.checkpoint "
        "writes for plain tensors. Remove the checkpoint."
    )


class Slice(io.RawIOBase):
    """A part of an open file, as a file of its own."""

    def __init__(self, file: IO[bytes], offset: int, length: int) -> None:
        self._file = file
        self._start, self._length, self._at = offset, length, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, too."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the part."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as fits into *buffer*."""
        self._file.seek(self._start + self._at)
        found = self._file.read(max(0, min(len(buffer), self._length - self._at)))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def check_parts(folder: Path) -> None:
    """Refuse a folder in which a stored tensor expands to more than its own size: torch compresses nothing.

    Raises:
        UnsafeCheckpointError: If one does.
        CheckpointError: If a file is missing or damaged.
    """
    for place in checked_reader(folder).places:
        path = folder / place.relative_path
        with open(path, "rb") as file:
            try:
                inside = zipfile.ZipFile(io.BufferedReader(Slice(file, place.offset, place.length))).infolist()
            except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
                continue  # damaged: reading it says so
        if sum(each.file_size for each in inside) > place.length or any(each.compress_type for each in inside):
            raise _unsafe(path, "what is stored in it is compressed")
