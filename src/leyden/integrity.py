"""Whether every byte of a checkpoint is as it was written.

    zip archive, as torch.save writes it          folder, as several ranks write it
      record ── CRC-32 of its bytes                 each stored tensor is such an archive
                                                    meta.pt holds the seal of every other file: all are of one save

`torch.load` does not look at the checksums: without this, one flipped bit is another weight. A file is looked at once
in a process, as long as it stays the file it was.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path
from typing import IO, Any

from leyden import sharded
from leyden.errors import DamagedCheckpointError
from leyden.sharded_index import Slice, checked_reader

_CHUNK = 2**20  # bytes
_seen: dict[str, tuple[int, ...]] = {}  # files found whole: which file it was, by path


def check_kind(path: str | os.PathLike[str]) -> None:
    """Refuse what is neither a file nor the folder of a checkpoint, and a file that no memory holds.

    Raises:
        DamagedCheckpointError: If it is a folder of another kind, a pipe or a device, or larger than the memory.
        FileNotFoundError: If there is nothing.
    """
    if sharded.is_folder(path):
        return
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise DamagedCheckpointError(
            f"{os.fspath(path)} cannot be read: it is a folder without {sharded.META}: no checkpoint, or one that was "
            "not written to its end. Expected a file, or a folder that several ranks have written. Take an earlier one."
        )
    if not stat.S_ISREG(found.st_mode):
        raise DamagedCheckpointError(
            f"{os.fspath(path)} cannot be read: it is a pipe, a socket or a device. Expected a file written by a "
            "Trainer. Remove it."
        )
    if found.st_size > _memory():
        raise DamagedCheckpointError(
            f"{os.fspath(path)} cannot be read: it has {found.st_size:,} bytes, more than the memory of this machine "
            f"({_memory():,}). Expected a checkpoint that fits. Take another one."
        )


def check_whole(path: str | os.PathLike[str]) -> None:
    """Compare all of a checkpoint with its checksums.

    Args:
        path: A file, or the folder that several ranks have written. One in torch's format before 1.6, or written
            under ``torch.serialization.set_crc32_options(False)``, has none to compare with.

    Raises:
        DamagedCheckpointError: If something differs; names the file and the part.
    """
    target = os.path.realpath(path)
    known = _signature(target)
    if _seen.get(target) == known:
        return
    if sharded.is_folder(target):
        _check_folder(Path(target))
    else:
        with open(target, "rb") as file:
            _check_archive(file, os.fspath(path))
    _seen[target] = known


def _signature(path: str) -> tuple[int, ...]:
    """Return what changes with the content of a file, or with that of any file in a folder."""
    files = [path, *sorted(entry.path for entry in os.scandir(path))] if os.path.isdir(path) else [path]
    found = [os.stat(each) for each in files]
    return tuple(value for each in found for value in (each.st_ino, each.st_size, each.st_mtime_ns))


def _check_archive(file: IO[bytes], name: str) -> None:
    """Compare the records of an archive with their checksums; what is no archive has none."""
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            if not any(record.CRC for record in records):
                return
            for record in records:
                _check_record(archive, record, name)
    except DamagedCheckpointError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(name, str(error)) from error


def _check_record(archive: zipfile.ZipFile, record: zipfile.ZipInfo, name: str) -> None:
    with archive.open(record) as content:
        try:
            while content.read(_CHUNK):
                pass
        except zipfile.BadZipFile as error:
            part = record.filename.partition("/")[2]
            raise _damaged(name, f"the bytes of {part} are not those that were written") from error


def _check_folder(folder: Path) -> None:
    """Compare what ranks have written with its checksums, and all files with their seals."""
    reader = checked_reader(folder)
    with open(folder / sharded.META, "rb") as file:
        _check_archive(file, str(folder / sharded.META))
    found = sharded.seals(folder, reader.places)
    for name, sealed in sharded.sealed(folder).items():
        if found.get(name) != sealed:
            raise _damaged(str(folder / name), "it belongs to another save than the files beside it")
    for place in reader.places:
        path = folder / place.relative_path
        with open(path, "rb") as file:
            _check_archive(io.BufferedReader(Slice(file, place.offset, place.length)), str(path))


def _damaged(name: str, what: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f"{name} is damaged: {what.rstrip('.')}. Expected a checkpoint as it was written: every record of it has a "
        "checksum. Take an earlier one."
    )


def _memory() -> int:
    """Return the bytes of memory that this machine has."""
    pages: Any = os.sysconf("SC_PHYS_PAGES")
    return int(pages) * int(os.sysconf("SC_PAGE_SIZE"))
