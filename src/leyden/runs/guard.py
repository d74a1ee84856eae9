"""What has to hold before a run directory is dealt with that anybody may have made.

    contained   its files are files, small where they should be, and no link leads out of it
    admitted    its config names nothing but harmless and trusted code, and writes nowhere else

Both only read. What is said about code is in `leyden.config.trust` and `leyden.config.judge`;
checkpoints are the business of `leyden.runs.archive`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from leyden.config.bounded import read_json
from leyden.config.judge import admit
from leyden.config.trust import Trust
from leyden.errors import ConfigurationError, RunError
from leyden.runs.directory import RunDirectory
from leyden.runs.origin import is_own

_WRITTEN_IN_PLACE = (".log", ".out", ".csv", ".f64", ".lock")  # all other files are replaced by new ones
_LIMITS = {  # bytes; what is read as a whole
    "config.yaml": 4 * 2**20, "overrides.yaml": 4 * 2**20, "status.json": 2**20, "result.json": 4 * 2**20,
    "manifest.json": 64 * 2**20, "fingerprint.json": 2**20, "reproduction.json": 64 * 2**20,
}  # fmt: skip


def admitted(directory: RunDirectory, trusted: Iterable[str] = (), without: Iterable[str] = ()) -> dict[str, Any]:
    """Return the config of a run directory, if it is safe to execute.

    Call it where the command was given, before anything is written and before the working
    directory is changed: what the user's own project is depends on it.

    Args:
        directory: Of the run.
        trusted: Packages, folders and URLs; see `Trust`. Those of the project come on top.
        without: Keys of the config that are not used, and not looked at.

    Raises:
        ConfigurationError: If the config names what may not be called, or writes outside of the directory.
        RunError: If the directory is not what it should be.
    """
    trust = Trust.of(directory.path, trusted)
    contained(directory.path, trust)
    config = directory.config()
    used = {key: value for key, value in config.items() if key not in set(without)}
    _check_shape(directory, used)
    if is_own(directory.path):
        trust.take_for_own()
        return config
    admit(used, trust, f"the config of {directory.path}", _of_manifest(directory))
    return config


def contained(path: Path, trust: Trust | None = None) -> None:
    """Refuse a directory that holds anything but files, or links that leave it for where nobody said they may.

    Another process may be executing the run: what it replaces or deletes in the meantime is no fault.

    Raises:
        RunError: Names the file.
    """
    trust = trust or Trust.of(path)
    for entry in _entries(path):
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            if not _nobody_follows(Path(entry.path).relative_to(path)):
                _check_link(Path(entry.path), path, trust)
        elif not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise RunError(f"{entry.path} is neither a file nor a folder. Expected nothing else in a run. Remove it.")
        elif stat.S_ISREG(found.st_mode) and found.st_nlink > 1 and entry.name.endswith(_WRITTEN_IN_PLACE):
            raise RunError(
                f"{entry.path} has another name somewhere else (a hard link): what is written to it would be written "
                "there, too. Expected a file of the run alone. Put a copy in its place."
            )
    for name, largest in _LIMITS.items():
        file = path / name
        if file.is_file() and file.stat().st_size > largest:
            raise RunError(
                f"{file} has {file.stat().st_size:,} bytes: too large to be what it should be. Expected at most "
                f"{largest:,}; it was not read."
            )
        if name.endswith(".json") and file.is_file():
            read_json(file, largest)


def metrics(directory: RunDirectory) -> dict[str, float]:
    """Return the metrics of a finished run.

    Raises:
        RunError: If they are none.
    """
    found = directory.result().get("metrics", {})
    fine = isinstance(found, dict) and all(
        name.isprintable() and isinstance(value, int | float) for name, value in found.items()
    )
    if not fine:
        raise RunError(f"{directory.path / 'result.json'} holds no metrics. Expected numbers by name. Remove the file.")
    return {name: float(value) for name, value in found.items()}


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below *path*, links not followed."""
    folders = [os.fspath(path)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and folder != os.fspath(path):
                continue
            raise RunError(
                f"{folder} cannot be looked into: {error.strerror}. Expected a run, all of which can be judged before "
                "anything is done with it. Remove the folder, or give yourself the right to read it."
            ) from None
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)


def _nobody_follows(link: Path) -> bool:
    """Whether *link*, in a run, is one that W&B leaves to its own logs: neither it nor we open those again."""
    return len(link.parts) > 3 and link.parts[0] == "wandb" and link.parts[2] == "logs"


def _check_link(link: Path, path: Path, trust: Trust) -> None:
    try:
        target = link.resolve()
    except (OSError, RuntimeError):
        raise RunError(f"{link} is a link that leads to itself. Remove it.") from None
    if not target.is_relative_to(path.resolve()) and not trust.reaches(target):
        raise RunError(
            f"{link} is a link that leads out of the run, to {target}. What a run reads and writes lies in its "
            f"directory. Copy the file there, or allow it, if the run is yours: --trust {target.parent}"
        )


def _check_shape(directory: RunDirectory, config: dict[str, Any]) -> None:
    """Refuse values whose type everything relies on."""
    seed = config.get("seed")
    if seed is not None and type(seed) is not int:
        raise ConfigurationError(f"seed is {seed!r:.50} in {directory.config_file}. Expected a whole number.")
    if not isinstance(config.get("trainer"), dict):
        raise ConfigurationError(f"trainer is no mapping in {directory.config_file}. Expected what makes a Trainer.")
    paths = config.get("paths")
    if not isinstance(paths, dict) or paths.get("run_dir") != str(directory.path):
        raise ConfigurationError(
            f"paths.run_dir is missing in {directory.config_file}, or no path. Expected the directory of the run, as "
            "leyden train writes it."
        )


def _of_manifest(directory: RunDirectory) -> dict[str, Any]:
    """Return the folders that the manifest names: git is asked about the code in them."""
    file = directory.path / "manifest.json"
    found = read_json(file, _LIMITS["manifest.json"]) if file.is_file() else {}
    code = found.get("code")
    root = code.get("root") if isinstance(code, dict) else None
    return {"work_dir of manifest.json": found.get("work_dir"), "code.root of manifest.json": root}
