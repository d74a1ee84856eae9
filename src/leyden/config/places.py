"""Where a config from a directory wants to read, write and send to: inside of that directory, unless trusted.

    FOLDER   written to: the directory
    NAME     part of a path: no way out of its folder
    DATA     read, or downloaded to: the directory, or the project; images that are there are read from anywhere
    SERVER   where results are sent to: a place in the directory, a database of all runs on the way to it, the user's
             own server, a trusted one
    TEAM     whose W&B page they are sent to: that of the user's environment, or a trusted one
    NOTHING  not for a config from a directory

Arguments of Leyden's own classes are judged by the parameter they become, whichever way they are given, and so are
those of classes derived from them. Elsewhere a value is judged by the key it stands under, where that is one of
a few names that mean a folder or a server everywhere.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from leyden.config.arguments import BUILT, Argument, missing, settled, too_many
from leyden.config.problems import Problem
from leyden.config.trust import Trust


class Place(Enum):
    """What a value decides on."""

    FOLDER = auto()
    NAME = auto()
    DATA = auto()
    SERVER = auto()
    TEAM = auto()
    NOTHING = auto()


GUARDED: Mapping[str, Mapping[str, Place]] = {
    "leyden.callbacks.checkpoint_folder.CheckpointFolder": {"dirpath": Place.FOLDER, "filename": Place.NAME},
    "leyden.callbacks.on_exception_checkpoint.OnExceptionCheckpoint": {
        "dirpath": Place.FOLDER, "filename": Place.NAME,
    },
    "leyden.datasets.mnist.MNIST": {"root": Place.DATA},
    "leyden.datasets.text.Text": {"path": Place.DATA, "pattern": Place.NAME},
    "leyden.experiment.Experiment": {"ckpt_path": Place.DATA, "name": Place.NAME},
    "leyden.loggers.folder.FolderLogger": {
        "save_dir": Place.FOLDER, "name": Place.NAME, "version": Place.NAME, "sub_dir": Place.NAME,
    },
    "leyden.loggers.mlflow.MLFlowLogger": {
        "tracking_uri": Place.SERVER, "save_dir": Place.SERVER, "artifact_location": Place.FOLDER,
        "checkpoint_path_prefix": Place.NAME,
    },
    "leyden.loggers.tensorboard.TensorBoardLogger": {"filename_suffix": Place.NAME},
    "leyden.loggers.wandb.WandbLogger": {
        "name": Place.NAME, "save_dir": Place.FOLDER, "dir": Place.FOLDER, "version": Place.NAME, "id": Place.NAME,
        "project": Place.NAME, "checkpoint_name": Place.NAME, "entity": Place.TEAM, "experiment": Place.NOTHING,
        "settings": Place.NOTHING,
    },
    "leyden.profiler.Profiler": {"dirpath": Place.FOLDER, "filename": Place.NAME},
    "leyden.strategies.deepspeed.DeepSpeedStrategy": {"config": Place.NOTHING, "remote_device": Place.NAME},
    "leyden.trainer.Trainer": {"default_root_dir": Place.FOLDER},
}  # fmt: skip
"""What the arguments of our classes decide on; what is not named here decides on nothing outside."""

FURTHER: Mapping[str, frozenset[str]] = {
    "leyden.loggers.tensorboard.TensorBoardLogger": frozenset(
        ("comment", "filename_suffix", "flush_secs", "max_queue", "purge_step")
    ),
    "leyden.loggers.wandb.WandbLogger": frozenset(("entity", "group", "job_type", "notes", "settings", "tags")),
    "leyden.strategies.deepspeed.DeepSpeedStrategy": frozenset(),
}
"""What may be given to a ``**kwargs`` that goes on to another library."""

_FOLDERS = {"default_root_dir", "dirpath", "log_dir", "output_dir", "save_dir"}
_OURS = {"dir", "artifact_location"}  # written to as well, in what is ours
_NAMES = {"filename", "filename_suffix", "name", "sub_dir", "version", "checkpoint_path_prefix", "checkpoint_name"}
_GROUPS = ("logger", "callbacks", "trainer")
_CALLED_BY_US = "leyden.trainer.Trainer"  # by the experiment, which gives it callbacks and loggers
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_STRANGE = re.compile(r"[\x00-\x20\x7f\\]")
_WIDE = re.compile(r"\{[^}]*\d{4}")  # a format that writes thousands of characters
_DATABASE = re.compile(r"\.(?:db|sqlite3?)$|^mlruns$")
_HOSTED = ("databricks", "databricks-uc", "uc")  # MLflow's names of servers that need no address
_ADDRESS = "https://wandb.ai/"


def strays(config: Mapping[str, Any], recorded: Mapping[str, Any], trust: Trust) -> Iterator[Problem]:
    """Find values that lead where they may not, as far as that is told by the keys they stand under.

    Args:
        config: Of the run in ``trust.directory``, references looked up.
        recorded: Folders that its manifest names, by the name they have there.
        trust: What is trusted.
    """
    paths = config.get("paths", {})
    work_dir = paths.get("work_dir")
    for where, found in {"paths.work_dir": work_dir, **recorded}.items():
        if found is not None and not _may_be_entered(found, trust):
            yield Problem(
                where, f"is {str(found)!r:.200}, where what came with the run may lie. Give the command in that folder"
            )
    base = base_of(config)
    for key, value in config.items():
        if key != "paths":
            yield from _below(value, key, base, trust, ours=key in _GROUPS)
    yield from _judged(Place.NAME, config.get("name"), "name", base, trust)
    yield from _judged(Place.DATA, config.get("ckpt_path"), "ckpt_path", base, trust)


def misplaced(
    found: Any, node: Mapping[Any, Any], given: list[Argument], path: str, base: Path, trust: Trust
) -> Iterator[Problem]:
    """Find arguments of *found* that lead where they may not, by the parameters they become.

    Args:
        found: A class or function that may be called.
        node: Of the config.
        given: Its arguments.
        path: Of the node.
        base: Where relative paths begin.
        trust: What is trusted.
    """
    guarded, further = _guarded(found), _further(found)
    if too_many(found, given):
        yield Problem(f"{path}._args_" if path else "_args_", f"has more arguments than {_shown(found)} takes")
    for argument in given:
        where = f"{path}.{argument.where}" if path else argument.where
        place = guarded.get(argument.name)
        if further is not None and argument.name not in further:
            yield Problem(where, f"is no argument that a config from a directory may give to {_shown(found)}")
        elif place is not None and not (argument.name == "root" and _is_complete(found, argument.value, base)):
            yield from _judged(place, argument.value, where, base, trust)
        elif argument.name in _FOLDERS or argument.name == "tracking_uri":
            where_to = Place.SERVER if argument.name == "tracking_uri" else Place.FOLDER
            yield from _judged(where_to, argument.value, where, base, trust)
    if node.get("_partial_") and guarded and _home(found) != _CALLED_BY_US:
        for name in missing(found, frozenset(guarded), given):
            yield Problem(path, f"leaves {name} of {_shown(found)} to what calls it. Give {name}, by name")


def _is_complete(found: Any, root: Any, base: Path) -> bool:
    """Whether all files of a data set lie in *root*, so that it is read from there and nothing is downloaded to it."""
    from leyden.datasets.mnist import MNIST

    folder = settled(root)
    if not (isinstance(found, type) and issubclass(found, MNIST) and isinstance(folder, str)) or "\0" in folder:
        return False
    data = object.__new__(found)
    data.root = base / folder
    return all(data.locate(name) is not None for name in found.checksums)


def _home(found: Any) -> str:
    return f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', None)}"


def _shown(found: Any) -> str:
    return getattr(found, "__name__", type(found).__name__)


def base_of(config: Mapping[str, Any]) -> Path:
    """Return the folder in which relative paths of *config* begin when it is executed."""
    work_dir = config.get("paths", {}).get("work_dir")
    usable = isinstance(work_dir, str) and "\0" not in work_dir and os.path.isdir(work_dir)
    return Path(work_dir) if usable else Path.cwd()


def _guarded(found: Any) -> dict[str, Place]:
    """Return what arguments of *found* decide on: those of a class, and of all it is derived from."""
    names = [_home(each) for each in getattr(found, "__mro__", ())]
    return {name: place for each in reversed(names) for name, place in GUARDED.get(each, {}).items()}


def _further(found: Any) -> frozenset[str] | None:
    """Return the names of all arguments that *found* may be given; None if it has no ``**kwargs`` to watch."""
    for each in getattr(found, "__mro__", ()):
        allowed = FURTHER.get(_home(each))
        if allowed is not None:
            own = inspect.signature(each).parameters.values()
            mine = inspect.signature(found).parameters.values()
            named = {
                one.name
                for one in (*own, *mine)
                if one.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
            }
            return frozenset(named | allowed)
    return None


def _judged(place: Place, value: Any, path: str, base: Path, trust: Trust) -> Iterator[Problem]:
    """Judge one value that decides on *place*."""
    value = settled(value)
    if value is None or (place is Place.NAME and isinstance(value, bool | int | float)):
        return
    if place is Place.NOTHING:
        yield Problem(path, "is not for a config from a directory: what it says is not looked into. Leave it out")
    elif not isinstance(value, str):
        yield Problem(path, f"is {_told(value)}, and where that leads cannot be told. Expected a text")
    else:
        said = _SAYS[place](value, base, trust)
        if said is not None:
            yield Problem(path, f"is {value!r:.200}{said}")


def _folder(value: str, base: Path, trust: Trust) -> str | None:
    if _may_be_written(value, base, trust):
        return None
    remedy = f"If the run is yours: --trust {value!r:.200}"
    return f", outside of {trust.directory}. What a run writes lies in its directory. {remedy}"


def _name(value: str, base: Path, trust: Trust) -> str | None:
    if os.path.isabs(value) and "\0" not in value and trust.reaches(Path(value)):
        return None
    if os.path.isabs(value) or "\0" in value or ".." in value.replace("\\", "/").split("/"):
        return ", which leads out of its folder. Expected a name, without '..'"
    return ", which is wider than any name. Expected a format without a width" if _WIDE.search(value) else None


def _data(value: str, base: Path, trust: Trust) -> str | None:
    if _may_be_read(value, base, trust):
        return None
    folder = os.path.dirname(value) or "."
    return f", which lies neither in the run nor in the project. If the run is yours: --trust {folder!r:.200}"


def _server(value: str, base: Path, trust: Trust) -> str | None:
    if _may_be_sent(value, base, trust):
        return None
    return f": results would be sent there. If you trust it: --trust {value!r:.200}"


def _team(value: str, base: Path, trust: Trust) -> str | None:
    if value == os.environ.get("WANDB_ENTITY") or trust.covers(_ADDRESS + value):
        return None
    return f": results would be sent to its page. If you trust it: --trust {_ADDRESS}{value!r:.200}"


_SAYS = {Place.FOLDER: _folder, Place.NAME: _name, Place.DATA: _data, Place.SERVER: _server, Place.TEAM: _team}


def _told(value: Any) -> str:
    return repr(BUILT) if value is BUILT else f"a {type(value).__name__}"


def _may_be_entered(folder: Any, trust: Trust) -> bool:
    """Whether *folder* is none that was unpacked together with the run."""
    if not isinstance(folder, str) or "\0" in folder:
        return False
    real, here = Path(folder).resolve(), Path.cwd().resolve()
    return not real.is_relative_to(trust.strange) or here.is_relative_to(real) or trust.reaches(real)


def _may_be_read(path: str, base: Path, trust: Trust) -> bool:
    if "\0" in path:
        return False
    real = _real(path, base)
    inside = trust.home is not None and real.is_relative_to(trust.home)
    return inside or real.is_relative_to(trust.directory) or trust.reaches(real)


def _below(value: Any, path: str, base: Path, trust: Trust, ours: bool) -> Iterator[Problem]:
    """Walk a group; *ours* is what Leyden itself builds there."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from _below(item, f"{path}.{at}", base, trust, ours)
    if not isinstance(value, dict):
        return
    mine = ours or str(value.get("_target_", "")).startswith("leyden.")
    judged = partial(_judged, base=base, trust=trust)
    for key, item in value.items():
        where = f"{path}.{key}"
        text = settled(item)
        if key in _FOLDERS or (mine and key in _OURS):
            if isinstance(text, str):
                yield from judged(Place.FOLDER, text, where)
        elif key == "tracking_uri":
            yield from judged(Place.SERVER, item, where)
        elif mine and key in _NAMES and isinstance(text, str):
            yield from judged(Place.NAME, text, where)
        yield from _below(item, where, base, trust, mine)


def _may_be_written(path: str, base: Path, trust: Trust) -> bool:
    if "\0" in path:
        return False
    if "://" in path or _SCHEME.match(path):
        return trust.covers(path)
    real = _real(path, base)
    return real.is_relative_to(trust.directory) or trust.reaches(real)


def _may_be_sent(address: str, base: Path, trust: Trust) -> bool:
    """Whether results may go to *address*: a place in the run or the project, the user's server, a trusted one."""
    if address == os.environ.get("MLFLOW_TRACKING_URI"):
        return True
    if _STRANGE.search(address) or address in _HOSTED:
        return False
    if trust.covers(address):
        return True
    found = urlsplit(address)
    if found.scheme not in ("", "file", "sqlite") or found.netloc or "?" in address or "#" in address:
        return False
    written = found.path[1:] if found.scheme == "sqlite" and found.path.startswith("/") else found.path
    readings = {written, unquote(written)}
    return all(not _SCHEME.match(each) and _may_be_kept(each, base, trust) for each in readings)


def _may_be_kept(path: str, base: Path, trust: Trust) -> bool:
    """Whether records may be kept at *path*: in the run, or in a database beside it, above it or in the project."""
    if _may_be_written(path, base, trust):
        return True
    real = _real(path, base)
    above = [trust.home, *trust.directory.parents] if trust.home is not None else []
    return _DATABASE.search(real.name) is not None and real.parent in above and _may_be_read(path, base, trust)


def _real(path: str, base: Path) -> Path:
    try:
        return (base / Path(path).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError):  # a user who is not known here, links in a circle
        return Path(os.sep)
