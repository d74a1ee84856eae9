"""An import hook that refuses to import anything that lies below a directory of a stranger.

    import runs.stranger.run.evil ─► found by the usual finders ─► its file lies below the directory ─► ImportError

It is the second wall: what a config may name is judged before (`leyden.config.judge`). This one holds for every
import, whoever asks for it: a function of a library that takes a module's name, a package that looks for
plug-ins, a namespace package that Python makes of any folder below an entry of ``sys.path``.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


class ImportWall:
    """A finder that stands in front of all others, and looks at what they find.

    Attributes:
        refused: Folders, links resolved, from which nothing is imported; by each the folders that are trusted in it.
    """

    def __init__(self) -> None:
        self.refused: dict[str, tuple[str, ...]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, unless it lies where nothing may be imported from.

        Raises:
            ImportError: If it does.
        """
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(name, path, target)
            if spec is not None:
                return self._checked(name, spec)
        return None

    def _checked(self, name: str, spec: ModuleSpec) -> ModuleSpec:
        """Return *spec*, without the parts of a namespace package that lie where nothing may be imported from."""
        files = [spec.origin] if spec.has_location and spec.origin is not None else []
        folders = list(spec.submodule_search_locations or ())
        bad = [place for place in (*files, *folders) if self.folder_of(place) is not None]
        if not bad:
            return spec
        kept = [place for place in folders if place not in bad]
        if kept and not files:
            spec.submodule_search_locations = kept
            return spec
        folder = self.folder_of(bad[0])
        raise ImportError(
            f"{name} would be imported from {bad[0]}, and nothing in {folder} is: it came with a run directory. "
            f"If the code is yours, move it into your project, or allow it: --trust {folder}{os.sep}",
            name=name,
            path=bad[0],
        )

    def folder_of(self, place: str) -> str | None:
        """Return the refused folder that *place*, or the file it is packed in, lies in; None if it lies in none."""
        real = os.path.realpath(place)
        for folder, trusted in self.refused.items():
            if _lies_in(real, folder) and not any(_lies_in(real, each) for each in (*trusted, *_installed())):
                return folder
        return None


_WALL = ImportWall()


def refuse_imports_from(folders: Sequence[Path], trusted: Sequence[Path]) -> None:
    """Let nothing be imported from *folders* any more in this process, except from what is *trusted*.

    What the interpreter was installed with stays importable, wherever it lies.
    """
    for folder in folders:
        _WALL.refused[os.path.realpath(folder)] = tuple(os.path.realpath(each) for each in trusted)
    if sys.meta_path[:1] != [_WALL]:
        sys.meta_path[:] = [_WALL, *(each for each in sys.meta_path if each is not _WALL)]


def allow_imports_from(folder: Path) -> None:
    """Forget *folder*, where it was refused before."""
    _WALL.refused.pop(os.path.realpath(folder), None)


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    """Return the folders of this interpreter's own packages, and that of Leyden."""
    paths = sysconfig.get_paths()
    named = {paths[each] for each in ("stdlib", "platstdlib", "purelib", "platlib")}
    named |= {*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parents[1])}
    return tuple(os.path.realpath(each) for each in named)
