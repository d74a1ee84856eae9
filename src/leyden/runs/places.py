"""Where a config from a directory wants to read and write: inside of that directory, unless trusted.

    dirpath save_dir ...      folders that are written to
    filename name version ... parts of paths: no way out of their folder
    ckpt_path                 read, with torch's restricted unpickler: the directory, or the project
    tracking_uri              where results are sent to
    work_dir                  where relative paths begin; its git is asked about the code

Data may be read from anywhere (``data_dir``, ``root``): reading files executes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from leyden.config.problems import Problem
from leyden.config.trust import Trust

_FOLDERS = {"default_root_dir", "dirpath", "log_dir", "output_dir", "save_dir"}
_OURS = {"dir", "artifact_location"}  # written to as well, in what is ours
_NAMES = {"filename", "filename_suffix", "name", "sub_dir", "version", "checkpoint_path_prefix", "checkpoint_name"}
_GROUPS = ("logger", "callbacks", "trainer")
_LOCAL = ("", "file", "sqlite")
_REMEDY = "What a run writes lies in its directory. If the run is yours: --trust {folder}"


def strays(config: Mapping[str, Any], recorded: Mapping[str, Any], trust: Trust) -> Iterator[Problem]:
    """Find paths that lead where nobody said they may.

    Args:
        config: Of the run in ``trust.directory``.
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
    base = Path(work_dir) if isinstance(work_dir, str) else Path.cwd()
    for key, value in config.items():
        if key != "paths":
            yield from _below(value, key, base, trust, ours=key in _GROUPS)
    yield from _names(config, "", {"name"}, trust)
    checkpoint = config.get("ckpt_path")
    if checkpoint is not None and not _may_be_read(checkpoint, base, trust):
        yield Problem(
            "ckpt_path",
            f"is {str(checkpoint)!r:.200}, which lies neither in the run nor in the project. If the run is yours: "
            f"--trust {os.path.dirname(str(checkpoint)) or '.'}",
        )


def _may_be_entered(folder: Any, trust: Trust) -> bool:
    """Whether *folder* is none that was unpacked together with the run."""
    if not isinstance(folder, str) or "\0" in folder:
        return False
    real, here = Path(folder).resolve(), Path.cwd().resolve()
    return not real.is_relative_to(trust.strange) or here.is_relative_to(real) or trust.reaches(real)


def _may_be_read(path: Any, base: Path, trust: Trust) -> bool:
    if not isinstance(path, str) or "\0" in path:
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
    if mine:
        yield from _names(value, path, _NAMES, trust)
    for key, item in value.items():
        if isinstance(item, str) and (key in _FOLDERS or (mine and key in _OURS)):
            if not _may_be_written(item, base, trust):
                remedy = _REMEDY.format(folder=f"{item!r:.200}")
                yield Problem(f"{path}.{key}", f"is {item!r:.200}, outside of {trust.directory}. {remedy}")
        elif key == "tracking_uri" and item is not None and not _may_be_sent(item, base, trust):
            yield Problem(
                f"{path}.{key}",
                f"is {item!r:.200}: results would be sent there. If you trust it: --trust {item!r:.200}",
            )
        yield from _below(item, f"{path}.{key}", base, trust, mine)


def _names(node: Mapping[str, Any], path: str, keys: set[str], trust: Trust) -> Iterator[Problem]:
    """Find parts of file names that lead out of their folder."""
    for key in keys & node.keys():
        value = node[key]
        if not isinstance(value, str) or (os.path.isabs(value) and "\0" not in value and trust.reaches(Path(value))):
            continue
        if os.path.isabs(value) or ".." in value.replace("\\", "/").split("/"):
            where = f"{path}.{key}" if path else key
            yield Problem(where, f"is {value!r:.200}, which leads out of its folder. Expected a name, without '..'")


def _may_be_written(path: str, base: Path, trust: Trust) -> bool:
    if "://" in path or "\0" in path or "${" in path:
        return any(path.startswith(address) for address in trust.addresses)
    real = _real(path, base)
    return real.is_relative_to(trust.directory) or trust.reaches(real)


def _may_be_sent(address: Any, base: Path, trust: Trust) -> bool:
    """Whether results may go to *address*: a place in the run or the project, the user's server, a trusted one."""
    if not isinstance(address, str) or "\0" in address:
        return False
    if address == os.environ.get("MLFLOW_TRACKING_URI") or any(address.startswith(each) for each in trust.addresses):
        return True
    found = urlsplit(address)
    if found.scheme not in _LOCAL or found.netloc:
        return False
    written = found.path[1:] if found.scheme == "sqlite" and found.path.startswith("/") else found.path
    return _may_be_read(written.partition("?")[0], base, trust)


def _real(path: str, base: Path) -> Path:
    return (base / Path(path).expanduser()).resolve()
