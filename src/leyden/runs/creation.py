"""A new run directory is complete or not there: it is filled beside its place and then renamed.

    runs/digits/.<name>.<pid>@<host>.making/   ── rename ──►   runs/digits/<name>/

A process that is killed before the rename leaves a hidden folder, which blocks no name and which the next start
removes. The rename succeeds where there is nothing, or an empty folder, and fails where there is anything else: of
two starts at the same moment one gets the name, and no file that exists is touched. What an earlier version left
half made under the name itself is taken over, if it holds nothing but that version's first two files.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from leyden import atomic
from leyden.runs.record.liveness import alive, this_host

_SUFFIX = ".making"
_SHOWN = 60  # letters of a name: names of files are limited
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EBUSY)
_TEMPORARY = re.compile(r"\.(?:overrides\.yaml|status\.json|config\.yaml)\.\d+\.tmp")
_LARGEST = 2**20  # bytes of a file that is looked at


def create(path: Path, fill: Callable[[Path], None]) -> None:
    """Make the directory *path*, with what *fill* writes, in one step.

    Args:
        path: What it is called; missing parents are made.
        fill: Writes the files into the folder it is called with.

    Raises:
        FileExistsError: If there is anything but an empty folder, or what a killed start has left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    _clear_leftover(path)
    scratch = path.with_name(f".{path.name[:_SHOWN]}.{os.getpid()}@{_host()}{_SUFFIX}")
    _discard(scratch)
    scratch.mkdir()
    try:
        fill(scratch)
        _rename(scratch, path)
    except BaseException:
        _discard(scratch)
        raise
    atomic.sync_folder(path.parent)


def _rename(scratch: Path, path: Path) -> None:
    try:
        os.rename(scratch, path)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error


def _sweep(parent: Path) -> None:
    """Remove what processes of this machine have left that were killed while they made a directory in *parent*."""
    ours = re.compile(rf"\..*\.(\d+)@{re.escape(_host())}{re.escape(_SUFFIX)}", re.DOTALL)
    with os.scandir(parent) as entries:
        left = [match for each in entries if (match := ours.fullmatch(each.name)) and not alive(int(match[1]), None)]
    for each in left:
        _discard(parent / each.string)


def _discard(scratch: Path) -> None:
    """Remove a folder that was being filled; what this module does not write stays, and so does its folder then."""
    with _opened(scratch) as folder:
        if folder is None:
            return
        for name in os.listdir(folder):
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    with suppress(OSError):
        scratch.rmdir()


def _clear_leftover(path: Path) -> None:
    """Empty *path* if a start of an earlier version was killed while it made it, before there was a config.

    It is emptied through its descriptor: a directory that another start gives the same name meanwhile is another one.
    """
    with _opened(path) as folder:
        if folder is None:
            return
        names = os.listdir(folder)
        begun = "overrides.yaml" in names or all(map(_TEMPORARY.fullmatch, names))
        if begun and all(_is_leftover(name, folder) for name in names):
            for name in names:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)


def _is_leftover(name: str, folder: int) -> bool:
    """Whether a file is one of those that are written before the config, or another start has removed it meanwhile."""
    try:
        return _is_written_first(name, folder)
    except FileNotFoundError:
        return True


def _is_written_first(name: str, folder: int) -> bool:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
        return False
    if _TEMPORARY.fullmatch(name):
        return True
    if name == "overrides.yaml":
        return bool(re.fullmatch(r"overrides:(?: \[\]|\n- ).*\nchoices:.*", _text(name, folder), re.DOTALL))
    if name == "status.json":
        with suppress(ValueError, RecursionError):
            status = json.loads(_text(name, folder))
            return isinstance(status, dict) and set(status) == {"status", "created", "attempts"}
    return False


def _text(name: str, folder: int) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read(_LARGEST)


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """Open a folder that is no link; None if there is none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _host() -> str:
    return this_host()[:_SHOWN]
