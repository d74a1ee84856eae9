"""Whose code a config may name that was read from a directory.

Anybody can have written such a config. It may name what is known to be harmless of torch,
torchmetrics and Leyden (`leyden.config.harmless`), the user's own project, and what the user
trusts, on the command line or in the project's pyproject.toml:

    leyden run DIR --trust timm                [tool.leyden]
    leyden run DIR --trust /scratch/me         trust = ["timm", "/scratch/me", "https://mlflow.example.org", "env:DATA"]

The user's own project is that in which the command is given, never one that the config or the
directory brings along: its pyproject.toml, its ``work_dir`` and the code beside it do not count.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import sysconfig
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from leyden.config.bounded import read_text
from leyden.config.harmless import ROOTS, below
from leyden.config.import_wall import allow_imports_from, refuse_imports_from
from leyden.config.project import CODE_ROOT, project_root
from leyden.errors import ConfigurationError

_NEVER = (*ROOTS, "hydra", "omegaconf")
_ENV = "env:"
_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")


@dataclass(frozen=True)
class Trust:
    """What is trusted while a directory is dealt with.

    Attributes:
        directory: That the config was read from.
        project: Folder of the code of the user's own project; None if the command is given inside of *directory*,
            outside of any.
        home: Folder of that project itself; another one only while recorded code stands in for its code.
        packages: Dotted names; what lies below them is trusted, too.
        folders: Code in them is trusted, and paths of the config may lead there.
        addresses: Beginnings of URLs that results may be sent to.
        variables: Of the environment, which the config may read.
    """

    directory: Path
    project: Path | None
    home: Path | None
    packages: tuple[str, ...] = ()
    folders: tuple[Path, ...] = field(default=())
    addresses: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    @classmethod
    def of(cls, directory: Path, given: Iterable[str] = ()) -> Trust:
        """Find out what is trusted.

        Args:
            directory: That the config is read from.
            given: Names of packages, folders (with a slash), URLs and variables (``env:NAME``), beside those of the
                project.

        Raises:
            ConfigurationError: If one of them cannot be trusted, or pyproject.toml cannot be read.
        """
        directory = directory.resolve()
        home = _project(directory)
        stand_in = os.environ.get(CODE_ROOT)
        project = Path(stand_in).resolve() if stand_in else home
        entries = [(each, Path.cwd()) for each in given]
        entries += [(each, home) for each in listed(home)] if home is not None else []
        variables = tuple(_variable(each) for each, _ in entries if each.startswith(_ENV))
        addresses = tuple(each for each, _ in entries if "://" in each)
        others = [(each, at) for each, at in entries if not each.startswith(_ENV) and "://" not in each]
        folders = tuple(_folder(each, at) for each, at in others if _is_path(each))
        packages = tuple(_package(each) for each, _ in others if not _is_path(each))
        return cls(directory, project, home, packages, folders, addresses, variables)

    def reaches(self, path: Path) -> bool:
        """Whether *path*, links followed, lies in a trusted folder."""
        return any(path.resolve().is_relative_to(folder) for folder in self.folders)

    def covers(self, address: str) -> bool:
        """Whether *address* is one of the trusted ones, or lies below one: the same server, the same folder."""
        if re.search(r"[\x00-\x20\x7f\\]", address):
            return False
        asked = urlsplit(address)
        parts = unquote(asked.path).split("/")
        if ".." in parts:
            return False
        for each in map(urlsplit, self.addresses):
            trusted = each.path.rstrip("/")
            below = asked.path.rstrip("/") == trusted or asked.path.startswith(f"{trusted}/")
            if (asked.scheme, asked.netloc) == (each.scheme, each.netloc) and below:
                return True
        return False

    def owns(self, file: Path) -> bool:
        """Whether *file* is code of the user's own project, or of a trusted folder."""
        real = file.resolve()
        if self.project is None or is_installed(file) or is_installed(real):
            return False
        if self.reaches(file):
            return True
        inside = file.is_relative_to(self.project) or real.is_relative_to(self.project)
        return inside and not file.is_relative_to(self.strange) and not real.is_relative_to(self.strange)

    @property
    def strange(self) -> Path:
        """The folder whose code counts as the directory's: the first on the way to it from the project.

        What was unpacked together with a run lies beside it. Who stands within that folder
        has chosen it: then the way begins there.
        """
        here = Path.cwd().resolve()
        starts = [place for place in (here, self.project) if place is not None and place in self.directory.parents]
        return starts[0] / self.directory.relative_to(starts[0]).parts[0] if starts else self.directory

    def names(self, module: str) -> bool:
        """Whether *module* is trusted by its name."""
        return any(below(module, package) for package in self.packages)

    def leads(self, module: str) -> bool:
        """Whether *module* is trusted, or on the way to one that is."""
        return any(below(module, package) or below(package, module) for package in self.packages)

    def put_on_path(self) -> None:
        """Make the user's own project importable, and the directory not.

        Raises:
            ConfigurationError: If the directory bears the name of a package that would be imported.
        """
        inside = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve().is_relative_to(self.directory)]
        sys.path[:] = [entry for entry in sys.path if entry not in inside]
        for entry in (str(self.project or ""), *sys.path):
            self._stands_for_no_package(Path(entry or os.getcwd()).resolve())
        if self.project is not None and str(self.project) not in sys.path:
            sys.path.insert(0, str(self.project))
        refuse_imports_from([self.directory, self.strange], self.folders)
        importlib.invalidate_caches()

    def take_for_own(self) -> None:
        """Make the user's own project importable, for a directory that the user's own launch has made."""
        allow_imports_from(self.directory)
        if self.project is not None and str(self.project) not in sys.path:
            sys.path.insert(0, str(self.project))
        importlib.invalidate_caches()

    def _stands_for_no_package(self, place: Path) -> None:
        """Refuse a directory that ``import`` would find in *place*, and take for a package."""
        if place not in self.directory.parents:
            return
        first = place / self.directory.relative_to(place).parts[0]
        if not any(first.glob("__init__.*")):
            return
        others = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve() != place]
        taken = first.name in sys.stdlib_module_names or PathFinder.find_spec(first.name, others) is not None
        if taken or first == self.directory:
            raise ConfigurationError(
                f"{first} holds Python code, and would be imported as {first.name!r}. A run directory holds no code. "
                "Move it to another folder, such as runs/."
            )


def listed(project: Path) -> list[str]:
    """Return what the project's pyproject.toml lists under ``[tool.leyden] trust``.

    Raises:
        ConfigurationError: If it cannot be read, or the list is none.
    """
    file = project / "pyproject.toml"
    if not file.is_file():
        return []
    try:
        found: Any = tomllib.loads(read_text(file.resolve())).get("tool", {}).get("leyden", {}).get("trust", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} cannot be read: {error}. Expected TOML.") from error
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ConfigurationError(f'{file} has trust = {found!r:.80} under [tool.leyden]. Expected a list: ["timm"].')
    return found


def is_installed(file: Path) -> bool:
    """Whether *file* was installed, rather than written in a project."""
    if not {"site-packages", "dist-packages"}.isdisjoint(file.parts):
        return True
    places = sysconfig.get_paths()
    return any(file.is_relative_to(places[each]) for each in _INSTALLED)


def _project(directory: Path) -> Path | None:
    """Return the project in which the command is given, unless *directory* brought it along."""
    here = Path.cwd().resolve()
    found = project_root(here) or here
    if not found.is_relative_to(directory):
        return found
    above = project_root(directory.parent)
    return None if above is None or above.is_relative_to(directory) else above


def _is_path(entry: str) -> bool:
    return os.sep in entry or entry.startswith(("~", ".")) or entry == ""


def _variable(entry: str) -> str:
    name = entry.removeprefix(_ENV)
    if not name.isidentifier():
        raise ConfigurationError(
            f"{entry!r} cannot be trusted: {name!r} is no name of a variable. Expected one, such as env:DATA."
        )
    return name


def _folder(entry: str, base: Path) -> Path:
    return (base / Path(entry).expanduser()).resolve()


def _package(entry: str) -> str:
    if not all(part.isidentifier() for part in entry.split(".")):
        raise ConfigurationError(
            f"{entry!r} cannot be trusted: it is no dotted name of a package, such as 'timm'. For a folder give a path "
            "with a slash in it."
        )
    root = entry.partition(".")[0]
    if root in sys.stdlib_module_names or root in _NEVER:
        raise ConfigurationError(
            f"{entry!r} cannot be trusted: of {root} only what is known to be harmless may be named by a config that "
            "was read from a directory. Write a function of your own project that calls it, and name that."
        )
    return entry
