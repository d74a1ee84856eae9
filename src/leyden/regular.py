"""Files of a folder that anybody may have filled: opened once, links not followed, and only if they are files.

    read  end  opened       what is read: a regular file of at most so many bytes
    appended  held          what is written in place: a regular file that has no other name elsewhere
    folder  there  listed   folders and names

A name is a path below *root*, ``logs/rank0.log`` say. Every folder on the way is opened without following links, and
what is judged is what was opened: nothing can be exchanged in between. Where a path leads out of a folder on purpose,
to a disk that ``--trust`` names, `leyden.runs.guard` decides beforehand.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from leyden.errors import UnsafeFileError

StrPath = str | os.PathLike[str]
_KIND = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a named pipe would be waited for
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_EXPECTED = "Expected a file of the run itself. Remove it, or the whole directory if it is not yours"


def read(root: StrPath, name: str, largest: int) -> bytes:
    """Return the content of a file of at most *largest* bytes.

    Raises:
        FileNotFoundError: If it is not there.
        UnsafeFileError: If it is no regular file, is larger, or cannot be read.
    """
    handle = _open(root, name, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        content = os.read(handle, size + 1) if size <= largest else b""
        if len(content) < size <= largest:  # a file system that gives less at a time
            with open(handle, "rb", closefd=False) as file:
                content += file.read(largest + 1 - len(content))
    finally:
        os.close(handle)
    if size > largest or len(content) > largest:
        raise UnsafeFileError(
            f"{os.path.join(root, name)} has {max(size, len(content)):,} bytes: too large to be what it should be. "
            f"Expected at most {largest:,}; it was not read."
        )
    return content


def end(root: StrPath, name: str, most: int) -> tuple[bytes, int]:
    """Return the last *most* bytes of a file, and how many it has; raises what `read` raises."""
    with opened(root, name) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - most))
        content = file.read(most)
        return content, file.tell()


@contextmanager
def opened(root: StrPath, name: str) -> Iterator[BinaryIO]:
    """Open a file to read from; raises what `read` raises, whatever its size."""
    handle = _open(root, name, os.O_RDONLY)
    with open(handle, "rb") as file:
        yield cast("BinaryIO", file)


def appended(root: StrPath, name: str) -> IO[bytes]:
    """Open a file to append to, unbuffered; it and its folder are made.

    Raises:
        UnsafeFileError: If it is no regular file, has another name, or its folder is none.
    """
    return os.fdopen(append(root, name), "ab", buffering=0)


def append(root: StrPath, name: str) -> int:
    """Return the descriptor of what `appended` opens, for a process that is to print there."""
    return _in_place(root, name, os.O_WRONLY | os.O_APPEND)


def held(root: StrPath, name: str) -> IO[bytes]:
    """Open a file to lock and to write to; it and its folder are made. Raises what `appended` raises."""
    return os.fdopen(_in_place(root, name, os.O_RDWR), "r+b", buffering=0)


def folder(root: StrPath, name: str) -> Path:
    """Make a folder in *root* if it is not there; returns its path.

    Raises:
        UnsafeFileError: If it is anything else, a link to a folder included.
    """
    path = Path(root, name)
    with suppress(FileExistsError):
        path.mkdir()
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise UnsafeFileError(_described(path, path.lstat().st_mode, "a folder"))
    return path


def there(root: StrPath, name: str) -> bool:
    """Whether *root* has a regular file of that name; links are none."""
    try:
        return stat.S_ISREG(os.lstat(os.path.join(root, name)).st_mode)
    except (OSError, ValueError):
        return False


def listed(root: StrPath, name: str) -> list[str]:
    """Return the names of the regular files in a folder below *root*; none if it is no folder, but a link, say."""
    try:
        at = _folder_of(root, f"{name}/.")
    except OSError:
        return []
    try:
        with os.scandir(at) as entries:
            return sorted(each.name for each in entries if each.is_file(follow_symlinks=False))
    except OSError:
        return []
    finally:
        os.close(at)


def check(root: StrPath, files: tuple[str, ...], folders: tuple[str, ...] = ()) -> None:
    """Refuse a folder in which one of these names is taken by anything else than a file, or a folder, of its own.

    Raises:
        UnsafeFileError: Names the first one.
    """
    for name in (*files, *folders):
        path = os.path.join(root, name)
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if not (stat.S_ISDIR if name in folders else stat.S_ISREG)(mode):
            raise UnsafeFileError(_described(path, mode, "a folder" if name in folders else "a file"))


def _open(root: StrPath, name: str, flags: int) -> int:
    """Open a regular file below *root*; whatever is wrong but that it is absent becomes an `UnsafeFileError`."""
    path = os.path.join(root, name)
    try:
        if "/" not in name:
            handle = os.open(path, flags | _KIND, 0o666)
        else:
            at = _folder_of(root, name)
            try:
                handle = os.open(name.rpartition("/")[2], flags | _KIND, 0o666, dir_fd=at)
            finally:
                os.close(at)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE):
            raise
        raise UnsafeFileError(_why(root, name, error)) from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise UnsafeFileError(_described(path, mode, "a file"))
    return handle


def _in_place(root: StrPath, name: str, flags: int) -> int:
    if "/" in name:
        folder(root, name.rpartition("/")[0])
    handle = _open(root, name, flags | os.O_CREAT)
    if os.fstat(handle).st_nlink > 1:
        os.close(handle)
        raise UnsafeFileError(
            f"{os.path.join(root, name)} has another name somewhere else (a hard link): what is written to it would "
            "be written there, too. Expected a file of the run alone. Put a copy in its place"
        )
    return handle


def _folder_of(root: StrPath, name: str) -> int:
    """Open the folder that *name* lies in, without following a link on the way from *root*."""
    at = os.open(root, _FOLDER)
    for part in name.split("/")[:-1]:
        try:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
        finally:
            os.close(at)
        at = inner
    return at


def _why(root: StrPath, name: str, error: OSError) -> str:
    """Say what is wrong with a file that cannot be opened: the first on the way to it that is not what it should be."""
    path = Path(root)
    for part in name.split("/"):
        path /= part
        last = path == Path(root, name)
        with suppress(OSError):
            mode = path.lstat().st_mode
            if not (stat.S_ISREG if last else stat.S_ISDIR)(mode):
                return _described(path, mode, "a file" if last else "a folder")
    return f"{path} cannot be read: {error.strerror}. Expected a file that you may read. Look whose it is: ls -l"


def _described(path: StrPath, mode: int, expected: str) -> str:
    if stat.S_ISLNK(mode):
        target = ""
        with suppress(OSError):
            target = f", to {os.readlink(path)}"
        return f"{os.fspath(path)} is a link{target}: it is not followed. {_EXPECTED}."
    names = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    found, kind = names.get(stat.S_IFMT(mode), "a device"), "regular file" if expected == "a file" else "folder"
    return f"{os.fspath(path)} is {found}, no {kind}. {_EXPECTED}."
