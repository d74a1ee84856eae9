"""The manifest: what a run depended on, written down so that it can be found again.

    begin      when the directory is made: argv, code and its changes, environment, seeds
    observe    when training starts: this attempt, determinism as read back, ranks, loaders, data
    complete   when the run has finished

    manifest.json   see `read`
    code.patch      changes to the commit: ``git apply`` it there
    code.tar.gz     the sources themselves, where the config says ``snapshot: true``

Whatever cannot be known is null. A secret is nowhere in any of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leyden import atomic, regular, secrets
from leyden.config.bounded import read_json
from leyden.config.project import CODE_ROOT, project_root
from leyden.experiment import Experiment
from leyden.runs import code, origin, shapes
from leyden.runs.data_identity import by_name, of_loader, of_paths, paths_in, recipe
from leyden.runs.determinism import flags
from leyden.runs.directory import RunDirectory
from leyden.runs.environment import environment, slurm
from leyden.runs.ranks import ranks
from leyden.runs.record.liveness import this_host
from leyden.runs.record.moments import now
from leyden.runs.snapshot import FILE as SNAPSHOT
from leyden.runs.snapshot import take
from leyden.trainer import Trainer
from leyden.warnings import rank

VERSION = 1
LARGEST = 64 * 2**20  # bytes; a folder of thousands of untracked sources has one
FILE = "manifest.json"


class Surroundings:
    """What all runs of one command have in common, looked at once: code by its root, and the environment."""

    def __init__(self) -> None:
        self._code: dict[Path, code.Captured] = {}
        self._machine: dict[str, Any] | None = None

    def code_in(self, root: Path) -> code.Captured:
        """Return the code in *root*, secrets masked in its patch."""
        if root not in self._code:
            self._code[root] = _clean(code.capture(root))
        return self._code[root]

    def machine(self) -> dict[str, Any]:
        """Return the environment of this process."""
        self._machine = self._machine or environment()
        return self._machine


_SHAPE: dict[str, Any] = {
    "argv": list, "work_dir": str, "entry": str, "config": str, "process": {}, "restarts": int, "determinism": {},
    "code": {"root": str, "commit": str, "hash": str, "branch": str, "patch": str, "untracked": {}, "snapshot": str},
    "environment": {"variables": {}, "threads": {"intra": int}, "packages": {}},
    "world": {"size": int}, "loaders": {}, "data": {}, "seeds": {}, "data_paths": {}, "slurm": {},
    "attempts": [{"ranks": int}],
}  # fmt: skip


def begin(
    directory: RunDirectory,
    argv: Sequence[str],
    entry: str = "train",
    config: Mapping[str, Any] | None = None,
    surroundings: Surroundings | None = None,
) -> dict[str, Any]:
    """Write the manifest of a run that was just made.

    Args:
        directory: Of the run.
        argv: The command line, program first.
        entry: The subcommand that made it.
        config: Of the run, where it is at hand; read from the directory otherwise.
        surroundings: If other runs of the same command were begun with them.
    """
    around = surroundings or Surroundings()
    config = directory.config() if config is None else config
    work_dir = str(config.get("paths", {}).get("work_dir") or os.getcwd())
    root = project_of(work_dir)
    record = {
        "version": VERSION, "created": now(), "completed": None, "argv": secrets.masked_words(argv),
        "work_dir": work_dir, "entry": entry, "process": _process(), "config": config_hash(directory),
        "code": _keep_code(directory, around.code_in(root), root if config.get("snapshot") else None),
        "environment": around.machine(), "determinism": None, "world": None, "loaders": {}, "data": {},
        "seeds": {"seed": config.get("seed"), "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED")},
        "data_paths": paths_in(config), "slurm": slurm(os.environ), "restarts": 0, "attempts": [],
    }  # fmt: skip
    _write(directory, record)
    return record


def config_hash(directory: RunDirectory) -> str:
    """Return the hash of the config as it is in the directory now; the manifest has that of the first day."""
    return hashlib.sha256(directory.config_file.read_bytes()).hexdigest()


def read(directory: RunDirectory) -> dict[str, Any]:
    """Return the manifest; empty where a run has none.

    Raises:
        RunError: If a part of it has another type than `begin` and `complete` give it.
    """
    file = directory.path / FILE
    found = read_json(file, LARGEST) if regular.there(directory.path, FILE) else {}
    shapes.check(found, _SHAPE, file)
    return found


def project_of(work_dir: str | os.PathLike[str]) -> Path:
    """Return the folder whose code a run started in *work_dir* depends on."""
    if os.environ.get(CODE_ROOT):
        return Path(os.environ[CODE_ROOT])
    start = Path(work_dir)
    return project_root(start) or start if start.is_dir() else Path.cwd()


def observe(directory: RunDirectory, trainer: Trainer, loaders: Mapping[str, Any]) -> None:
    """Add what is known when training starts: this attempt, loaders and data, ranks, flags as they are now.

    The environment becomes that of the executing process: a run may be made on one machine
    and executed on another, days later. With several ranks, all of them have to call this.

    Args:
        directory: Of the run.
        trainer: About to train.
        loaders: By kind: ``train``, ``val`` or ``test``.
    """
    world = {"size": trainer.world_size, "ranks": ranks(trainer)}
    if rank() != 0 or not trainer.is_global_zero:
        return
    record = _attempted(directory, read(directory) or begin(directory, [], "run"))
    record["attempts"][-1]["ranks"] = trainer.world_size
    record |= {"world": world, "determinism": flags()}
    record["data"] = {**_files(record["data_paths"]), **record["data"]}
    _write(directory, _with(record, loaders))


def add(directory: RunDirectory, loaders: Mapping[str, Any]) -> None:
    """Add loaders that appear later."""
    if rank() == 0:
        _write(directory, _with(read(directory), loaders))


def complete(directory: RunDirectory, experiment: Experiment) -> dict[str, Any]:
    """Close the manifest of a run that has finished.

    Args:
        directory: Of the run.
        experiment: As it was executed; its trainer still has the loaders of the last stage.
    """
    record, trainer = read(directory), experiment.trainer
    known = {name.partition("/")[0] for name in record.get("loaders", {})}
    last = {"train": trainer.train_dataloader, "val": trainer.val_dataloaders, "test": trainer.test_dataloaders}
    new = {kind: found for kind, found in last.items() if found is not None and kind not in known}
    record = {**_with(record, new), "completed": now()}
    if rank() == 0:
        _write(directory, record)
    return record


def _attempted(directory: RunDirectory, record: dict[str, Any]) -> dict[str, Any]:
    """Note that this process executes the run, with which code and where.

    The first process to do so decides what the code of the run is; those that resume it are noted.
    """
    here, root = record["process"] == _process(), project_of(record["work_dir"])
    if not here and not record["attempts"]:
        kept = root if record["code"].get("snapshot") else None
        record = {**record, "code": _keep_code(directory, _clean(code.capture(root)), kept)}
        origin.renew_code(directory.path, record["code"])
    executed = record["code"]["hash"] if here or not record["attempts"] else code.state(root)["hash"]
    number = directory.status().attempts or len(record["attempts"]) + 1
    attempts = [*record["attempts"], {"attempt": number, "started": now(), **_process(), "code": executed}]
    return {
        **record,
        "environment": record["environment"] if here else environment(),
        "seeds": {**record["seeds"], "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED")},
        "slurm": slurm(os.environ),
        "attempts": attempts,
        "restarts": len(attempts) - 1,
    }


def _with(record: dict[str, Any], loaders: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: each for kind, given in loaders.items() for name, each in by_name(kind, given).items()}
    return {
        **record,
        "loaders": {**record.get("loaders", {}), **{name: recipe(each) for name, each in named.items()}},
        "data": {**record.get("data", {}), **{name: of_loader(each) for name, each in named.items()}},
    }


def _clean(captured: code.Captured) -> code.Captured:
    """Leave secrets out of the patch, and note how many lines had one."""
    patch, changed = code.masked_patch(captured.patch)
    noted = {"patch": code.PATCH, "masked": changed} if patch else {}
    return code.Captured({**captured.record, **noted}, patch)


def _keep_code(directory: RunDirectory, captured: code.Captured, snapshot_of: Path | None) -> dict[str, Any]:
    """Write the patch of *captured*, which is clean, and maybe the sources; returns the record."""
    record = captured.record
    (directory.path / code.PATCH).unlink(missing_ok=True)
    if captured.patch:
        atomic.write(directory.path / code.PATCH, lambda file: file.write(captured.patch))
    if snapshot_of is not None:
        record = {**record, "snapshot": SNAPSHOT, "left_out": take(snapshot_of, directory.path / SNAPSHOT)}
    return record


def _files(paths: Mapping[str, str]) -> dict[str, Any]:
    """Describe the files that the config names, as one entry beside those of the loaders."""
    found = of_paths(paths)
    return {"config": {"kind": "files", "sha256": code.combined(found), "files": found}} if found else {}


def _process() -> dict[str, Any]:
    return {"host": this_host(), "pid": os.getpid()}


def _write(directory: RunDirectory, record: dict[str, Any]) -> None:
    atomic.write_json(directory.path / FILE, secrets.masked_values(record))
