"""``leyden train --from RUN [overrides]``: a new run that begins where another one stands, with other settings.

    RUN/overrides.yaml ─► what was typed then, without what is typed otherwise now ─► composed ─► a new run directory
    RUN/checkpoints/   ─► ckpt_path=<the newest that is whole>

The config is composed anew, so that what refers to a changed value follows it: the length of a schedule, say. What wins
where the checkpoint and the settings differ is the table in `leyden.engine.continuing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leyden.config.compose import session
from leyden.config.frozen import freeze, load
from leyden.config.overrides import read
from leyden.config.project import put_project_on_path, shown
from leyden.errors import ConfigurationError, RunError
from leyden.runs import checkpoints, origin
from leyden.runs.differing import same
from leyden.runs.directory import RunDirectory
from leyden.runs.listing import find
from leyden.runs.record.state import RunState
from leyden.runs.sections import flat
from leyden.terminal import complain, printable

FLAG = "--from"
_LIMITS = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer", "experiment", "debug")
CKPT_PATH = "ckpt_path"
_OF_ONE_RUN = ("paths.run_dir", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", CKPT_PATH)
_SHOWN = 5  # keys of a config that has changed


def taken(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take the flag and its value out of *words*.

    Raises:
        ConfigurationError: If there is no value.
    """
    rest, run = list(words), None
    for at, word in enumerate(words):
        if word.startswith(f"{FLAG}="):
            run = word.partition("=")[2]
            rest.remove(word)
        elif word == FLAG:
            run = words[at + 1] if at + 1 < len(words) else ""
            del rest[rest.index(FLAG) : rest.index(FLAG) + 2]
    if run == "" or (run is not None and run.startswith("-")):
        raise ConfigurationError(
            f"{FLAG} says nothing to go on from. Expected a run: leyden train {FLAG} RUN key=value"
        )
    return run, rest


def words_for(run: str, typed: Sequence[str]) -> list[str]:
    """Return what to type for a new run that goes on from *run* with what is *typed*.

    Args:
        run: A directory, a part of its name, or ``last``.
        typed: Flags and overrides of the new run.

    Raises:
        ConfigurationError: If the run was not made here, or has nothing to go on with or from.
        RunError: If there is no such run, or its files are not what they should be.
    """
    put_project_on_path()
    with session("train") as opened:
        root = Path(str(opened.compose([each for each in typed if each.startswith("paths.")]).config.paths.output_dir))
        parent = RunDirectory(find(run, root))
        lines = _lines(parent)
        then = [line for line in lines if _key(line) == CKPT_PATH or _key(line) not in _OF_ONE_RUN]
        _tell_changes(parent, freeze(opened.compose(then).config, parent.path))
        now = [each for each in typed if "=" in each and not each.startswith("-")]
        given = {each.key_or_group for each in read(now)[0]}
        kept = [line for line in lines if not _is_replaced(line, given)]
    _check_limits(parent, given)
    if CKPT_PATH not in given:
        kept.append(f"ckpt_path='{_checkpoint(parent)}'")
    return [*kept, *typed]


def _lines(parent: RunDirectory) -> list[str]:
    """Return what was typed for *parent*."""
    if not origin.is_own(parent.path):
        raise ConfigurationError(
            f"{shown(parent.path)} was not made by a launch of yours in that place, so that what was typed for it "
            "cannot be taken for yours. Expected a run that leyden train has made here. Begin from its checkpoint with "
            "overrides of your own: leyden train ckpt_path=<checkpoint> key=value"
        )
    found = load(parent.path / "overrides.yaml").get("overrides")
    return [str(line) for line in found] if isinstance(found, list) else []


def _is_replaced(line: str, given: set[str]) -> bool:
    """Whether *line* is of the earlier run alone, or typed anew, or of an option that is exchanged."""
    key = _key(line)
    return key in _OF_ONE_RUN or any(key == each or key.startswith(f"{each}.") for each in given)


def _key(line: str) -> str:
    return read([line])[0][0].key_or_group


def _check_limits(parent: RunDirectory, given: set[str]) -> None:
    status = parent.status()
    if status.state is RunState.FINISHED and not given & set(_LIMITS):
        trainer = parent.config().get("trainer")
        epochs = trainer.get("max_epochs") if isinstance(trainer, dict) else None
        raise ConfigurationError(
            f"{shown(parent.path)} has finished (trainer.max_epochs={epochs}), and nothing is typed that would have it "
            f"train any longer. Expected a later end. Give one: leyden train {FLAG} {shown(parent.path)} "
            "trainer.max_epochs=<more>"
        )


def _checkpoint(parent: RunDirectory) -> Path:
    newest = checkpoints.choose(parent).newest
    if newest is None:
        raise ConfigurationError(
            f"{shown(parent.path)} holds no checkpoint that training could go on from. Expected one. Begin anew: "
            "leyden train with the same overrides."
        )
    if "'" in str(newest):
        raise RunError(f"{newest} has a quote in its path, which no override can hold. Give the run another name.")
    return newest


def _tell_changes(parent: RunDirectory, now: dict[str, Any]) -> None:
    """Say in which values the config of *parent*, composed today, is another one."""
    before, after = _values(parent.config()), _values(now)
    keys = [key for key in {**before, **after} if key != "paths.work_dir"]
    changed = [key for key in keys if not same(before.get(key), after.get(key))]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        named = ", ".join(map(printable, changed[:_SHOWN]))
        complain(
            f"the configs of the project have changed since {shown(parent.path)}: {named}{more} are as they are now"
        )


def _values(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for part in config for key, value in flat(config[part], part)}
