"""Every point of a multirun, composed and checked before the first one starts.

Points that choose the same options of all groups share one composition; the values in
which they differ are set on copies of it, which costs milliseconds instead of a tenth of a
second.

    seed=1,2 model=mlp,conv  ─►  2 compositions (mlp, conv)  ─►  4 points: a copy, the values set, checked
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from leyden.config.check import ensure
from leyden.config.compose import OVERRIDES, Composed, Session
from leyden.config.jobs import Job, context, typed
from leyden.config.origins import Origins
from leyden.config.overrides import apply, read, review
from leyden.config.plain import RUN_DIR, settle
from leyden.config.problems import ConfigProblems, Problem

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def check_grid(opened: Session, composed: Composed, overrides: Sequence[str]) -> list[Job] | None:
    """Check all that a multirun is going to run.

    A sweeper other than Hydra's basic one decides its points as it goes: only what they
    have in common is checked then.

    Args:
        opened: The session.
        composed: What the points have in common: composed without the sweeps.
        overrides: All of them, sweeps included.

    Returns:
        The points, in the order of their numbers; None where a sweeper decides as it goes.

    Raises:
        ConfigProblems: Those of the first wrong point, with its number and overrides.
    """
    if composed.hydra.sweeper.get("_target_") != BASIC:
        _check_place(composed.config)
        ensure(composed.config, composed.origins)
        return None
    points = _points(opened, composed, overrides)
    grid = _Grid(opened, composed, typed(composed.hydra, "hydra"))
    return [grid.job(number, point, len(points)) for number, point in enumerate(points)]


def composed_job(whole: DictConfig, master: DictConfig, number: int) -> Job:
    """Return one job of a sweep as Hydra composed it for its launcher, checked.

    Args:
        whole: Composed for this job, Hydra's part included.
        master: What was composed for the multirun.
        number: Of the job.

    Raises:
        ConfigProblems: If anything is wrong with it.
    """
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(whole)
    try:
        config, overrides = _without_hydra(whole), typed(whole.hydra, "task")
        _at(number, str(master.hydra.sweep.dir), overrides, config)
        settle(config)
        _check_place(config)
        ensure(config, subject=f"job {number}: {' '.join(overrides) or 'no overrides'}")
        return Job(config, context())
    finally:
        HydraConfig.instance().cfg = before


def _points(opened: Session, composed: Composed, overrides: Sequence[str]) -> list[list[str]]:
    """Expand the grid as the basic sweeper will."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    own = [line for line in overrides if not read([line])[0][0].is_hydra_override()]
    params = [f"{key}={value}" for key, value in (composed.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(config_loader=opened.loader)
    try:
        batches = BasicSweeper.split_arguments(parser.parse_overrides([*params, *own]), None)
    except HydraException as error:
        known = "Give choices (1,2,3), a range(...) or a glob(...), or another hydra/sweeper."
        raise ConfigProblems([Problem("sweep", f"{error}. {known}")], OVERRIDES) from error
    return [list(point) for point in batches[0]]


@dataclass(frozen=True)
class _Base:
    """One composition that several points share.

    Args:
        config: Of the composition, without Hydra's part, before anything of Hydra's in it was resolved.
        current: What ``${hydra:...}`` reads while it is used.
        pickled: The config once more: read back in a tenth of the time in which `copy.deepcopy` copies it.
        choices: Groups that it chooses from.
    """

    config: DictConfig
    current: DictConfig
    pickled: bytes | None
    choices: list[str]

    def copy(self) -> DictConfig:
        """Return a copy of the config."""
        copied: DictConfig = copy.deepcopy(self.config) if self.pickled is None else pickle.loads(self.pickled)
        return copied


def _pickled(config: DictConfig) -> bytes | None:
    try:
        return pickle.dumps(config)
    except Exception:  # a resolver of somebody's own has left in its cache what cannot be
        return None


@dataclass
class _Grid:
    """Makes points from few compositions.

    Args:
        opened: The session.
        common: Composed without the sweeps.
        fixed: Overrides of Hydra's own part, which all points share.
        bases: Compositions so far, by the choices they were made with.
        admitted: What values of points were found to be, by the choices they were judged for and as they were typed.
        sound: Parts of points in which nothing is wrong: see `check`.
        found: What was read of configs, by the choices that they are composed of: see `Origins`.
    """

    opened: Session
    common: Composed
    fixed: list[str]
    bases: dict[tuple[str, ...], _Base] = field(default_factory=dict)
    admitted: dict[tuple[Any, ...], bool] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    found: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sweep_dir = str(self.common.whole.hydra.sweep.dir)  # resolved once: it holds the time

    def job(self, number: int, point: list[str], total: int) -> Job:
        """Compose and check one point."""
        choices = tuple(line for line in point if self.opened.chooses(line))
        try:
            base = self._base(choices)
            values = self._admitted(choices, [line for line in point if line not in choices])
            config = self._applied(base, values, point)
            instance: Any = HydraConfig.instance()
            instance.cfg = base.current
            _at(number, self.sweep_dir, point, config)
            settle(config)
            _check_place(config)
            lines, found = [*self.fixed, *point], self.found.setdefault(choices, {})
            origins = Origins(self.opened.loader, self.opened.config_name, lines, found)
            ensure(config, origins, sound=self.sound)
        except ConfigProblems as error:
            subject = f"job {number} of {total}: {' '.join(point) or 'no overrides'}"
            raise ConfigProblems(error.problems, subject) from error
        return Job(config, context())

    def _base(self, choices: tuple[str, ...]) -> _Base:
        if choices not in self.bases:
            made = self.opened.compose([*self.fixed, *choices], RunMode.MULTIRUN)
            self._check_alike(made)
            OmegaConf.copy_cache(from_config=self.common.whole, to_config=made.whole)
            current: Any = HydraConfig.instance().cfg
            config = _without_hydra(made.whole)
            OmegaConf.set_struct(config, False)
            known = [*made.choices, *made.origins.groups()]
            self.bases[choices] = _Base(config, current, _pickled(config), known)
        return self.bases[choices]

    def _check_alike(self, made: Composed) -> None:
        """Refuse a point that wants to be started in another way than the others.

        Raises:
            ConfigProblems: A multirun has one launcher, one sweeper, and one folder.
        """
        for part in ("launcher", "sweeper", "sweep"):
            own, common = (OmegaConf.to_container(each.hydra[part], resolve=False) for each in (made, self.common))
            if own != common:
                said = (
                    f"is {_brief(own)} for this point and {_brief(common)} for the first one, but the runs of a "
                    f"multirun are started together, by one {part}. Choose it for all of them on the command line, or "
                    "start them one by one"
                )
                raise ConfigProblems([Problem(f"hydra.{part}", said)])

    def _admitted(self, choices: tuple[str, ...], lines: list[str]) -> list[Override]:
        """Return the values of one point, each of which its own config has a place for.

        Whether it has depends on the choices and the keys, so that points with other numbers are not looked at again.

        Raises:
            ConfigProblems: All that have none.
        """
        values, _ = read(lines)
        key = (choices, *((each.type, each.key_or_group) for each in values if not isinstance(each.value(), dict)))
        if self.admitted.get(key) and not any(isinstance(each.value(), dict) for each in values):
            return values
        made = self.bases[choices]
        _, problems = review(values, made.config, self.opened.groups, made.choices)
        if problems:
            raise ConfigProblems(problems)
        self.admitted[key] = True
        return values

    def _applied(self, base: _Base, values: Sequence[Override], point: list[str]) -> DictConfig:
        config = base.copy()
        try:
            apply(config, values)
        except (OmegaConfBaseException, KeyError, TypeError):  # composing says what does not fit
            return self.opened.compose([*self.fixed, *point], RunMode.MULTIRUN).config
        return config


def _check_place(config: DictConfig) -> None:
    """Refuse a directory that was given to one run of many.

    Raises:
        ConfigProblems: They would share it, or, where it is another for each, it would not be the one they get.
    """
    paths = OmegaConf.to_container(config, resolve=False).get("paths")  # type: ignore[union-attr]
    written = paths.get("run_dir") if isinstance(paths, dict) else None
    if written not in (None, "???"):
        said = (
            f"is {written}, but each run of a multirun gets a directory of its own: hydra.sweep.dir/0, /1 and so on. "
            "Leave it out, or say where all of them go: hydra.sweep.dir=<directory>"
        )
        raise ConfigProblems([Problem(RUN_DIR, said)], OVERRIDES)


def _brief(part: Any) -> str:
    name = part.get("_target_") if isinstance(part, dict) else None
    return str(part) if name is None else str(name).rpartition(".")[2]


def _without_hydra(whole: DictConfig) -> DictConfig:
    config = whole.copy()
    with open_dict(config):
        config.pop("hydra")
    return config


def _at(number: int, sweep_dir: str, overrides: list[str], config: DictConfig) -> None:
    """Let ``${hydra:...}`` read what is true of one job of a multirun."""
    current: Any = HydraConfig.instance().cfg
    current.hydra._set_parent(config)  # as Hydra does: its own part may refer to the rest
    with read_write(current.hydra), open_dict(current.hydra):
        part = current.hydra
        part.mode, part.sweep.dir, part.overrides.task = RunMode.MULTIRUN, sweep_dir, overrides
        part.job.id = part.job.num = number
        part.job.override_dirname = _dirname(overrides, part.job.config.override_dirname)
        part.runtime.output_dir = str(Path(sweep_dir, str(part.sweep.subdir)).absolute())


def _dirname(overrides: Sequence[str], naming: DictConfig) -> str:
    """Write overrides as Hydra does for the name of a folder."""
    kept = [line for line in overrides if read([line])[0][0].key_or_group not in naming.exclude_keys]
    return str(naming.item_sep).join(sorted(kept)).replace("=", naming.kv_sep)
