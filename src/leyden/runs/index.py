"""Ten thousand run directories in a moment: what was read of them, kept in the user's cache.

The directories are what counts, and the index is a cache: without it everything is read
again and found to be the same. It is brought up to date whenever it is used:

    walk the output folder ─► for each run: is its stamp the one in the index? ─► no: read it again

A stamp holds the times and sizes of the directory and its small files. One that was taken
within two seconds of a change is not believed next time: file systems with coarse clocks
show two changes in such a span as one. Any number of processes may use an index at once:
each replaces the file as a whole, and whoever reads it checks every stamp.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leyden.runs.reading import Facts, facts, is_run
from leyden.runs.sections import Sections
from leyden.terminal import printable

if TYPE_CHECKING:
    from leyden.config.trust import Trust

VERSION = 1
_FILES = ("status.json", "config.yaml", "result.json")
_RACY = 2.0  # seconds
_DEPTH = 8  # folders below the output folder
_WORTH_WRITING = 16  # rows that changed; fewer are read again as quickly


class Index:
    """What is known of the runs below one output folder.

    Args:
        root: The output folder.
        cache: Folder the index is kept in; None for the user's cache.

    Attributes:
        runs: Facts by the path below *root*.
        sections: The parts of configs that the facts refer to.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self.root = Path(os.path.realpath(root))
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:32]
        self.file = (cache or user_cache()) / f"runs-{name}.json"
        self.runs: dict[str, Facts] = {}
        self.sections = Sections()
        self._load()

    def refresh(self) -> Index:
        """Bring the index up to date with what is on disk, and keep it; returns itself."""
        before, self.runs, changed = self.runs, {}, 0
        now = time.time()
        for name in discover(self.root, before):
            path = f"{self.root}/{name}"
            stamp = stamp_of(path)
            row = before.get(name)
            if row is None or row["stamp"] != stamp:
                found = facts(path, self.sections)
                if found is None:
                    continue
                settled = max(stamp[::2], default=0) < (now - _RACY) * 1e9
                row = {**found, "stamp": stamp if settled else []}
                changed += 1
            self.runs[name] = row
        gone = len(before.keys() - self.runs.keys())
        if changed + gone >= _WORTH_WRITING:
            self._save()
        return self

    def _load(self) -> None:
        try:
            found = json.loads(self.file.read_bytes())
            if found["version"] == VERSION and found["root"] == str(self.root):
                self.sections = Sections(found["sections"])
                self.runs = found["runs"]
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
            self.runs, self.sections = {}, Sections()

    def _save(self) -> None:
        """Replace the file in one step; without a flush, since a lost cache is no loss."""
        content = {"version": VERSION, "root": str(self.root), **self._compact()}
        scratch = self.file.with_name(f".{self.file.name}.{os.getpid()}.tmp")
        with suppress(OSError):  # a full or read-only disk: the next listing takes longer, that is all
            self.file.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(content, separators=(",", ":"), default=str), encoding="utf-8")
            os.replace(scratch, self.file)

    def _compact(self) -> dict[str, Any]:
        """Return rows and sections, less those that no run refers to any more."""
        used = sorted({at for row in self.runs.values() for part in ("config", "typed") for at in row[part].values()})
        number = {old: new for new, old in enumerate(used)}
        rows = {
            name: {**row, **{part: {top: number[at] for top, at in row[part].items()} for part in ("config", "typed")}}
            for name, row in self.runs.items()
        }
        return {"sections": [self.sections.rows[old] for old in used], "runs": rows}


def stamp_of(path: str) -> list[int]:
    """Return what tells that a run directory has changed: times at even places."""
    stamp: list[int] = []
    for each in (path, *(f"{path}/{name}" for name in _FILES)):
        try:
            found = os.stat(each)
        except OSError:
            stamp += (0, 0)
        else:
            stamp += (found.st_mtime_ns, found.st_size if each != path else found.st_ino)
    return stamp


def discover(root: Path, known: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths, below *root*, of its run directories; nothing is looked for inside of those.

    Hidden folders are passed over. A link to a folder inside is not followed: its runs are found where they are. One
    to a folder outside is followed if the project trusts that folder: a stranger's may lead anywhere.
    """
    follow = _Links(root).are_followed
    waiting = [("", 0)]
    while waiting:
        folder, depth = waiting.pop()
        for name, linked in _folders(f"{root}/{folder}"):
            path = f"{folder}{name}"
            if linked and not follow(f"{root}/{path}"):
                continue
            if path in known or is_run(f"{root}/{path}"):
                yield path
            elif depth < _DEPTH:
                waiting.append((f"{path}/", depth + 1))


def _folders(path: str) -> list[tuple[str, bool]]:
    """Return the names of the folders in *path*, and whether each is a link."""
    try:
        with os.scandir(path) as entries:
            return sorted((each.name, each.is_symlink()) for each in entries if each.name[0] != "." and each.is_dir())
    except OSError:
        return []


class _Links:
    """Links to folders below *root*; most output folders have none, so that nothing is looked up beforehand."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)

    def are_followed(self, link: str) -> bool:
        """Whether the folder that *link* leads to is looked into; if not, and it lies outside, that is said."""
        real = os.path.realpath(link)
        if os.path.commonpath([real, self.root]) in (real, self.root):
            return False
        if self._trusted.reaches(Path(real)):
            return True
        from leyden.warnings import log  # and with it logging, which a list of runs does without

        log.warning(
            "%s is a link to %s, where no runs are looked for. Name that folder, --in %s, or allow it for good: "
            "trust = [...] under [tool.leyden] in pyproject.toml", *map(printable, (link, real, real)),
        )  # fmt: skip
        return False

    @cached_property
    def _trusted(self) -> Trust:
        from leyden.config.trust import Trust  # imports torch, by the tables of what is harmless

        return Trust.of(Path(self.root))


def user_cache() -> Path:
    """Return the folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leyden"
