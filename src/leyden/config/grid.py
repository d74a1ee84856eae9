"""Every point of a multirun, checked before the first one starts.

Points that choose the same options of all groups share one composition; the values in
which they differ are set on copies of it, which costs milliseconds instead of a tenth of a
second.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from leyden.config.check import ensure
from leyden.config.compose import OVERRIDES, Composed, Session
from leyden.config.origins import Origins
from leyden.config.overrides import apply, read
from leyden.config.problems import ConfigProblems, Problem

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def check_grid(opened: Session, composed: Composed, overrides: Sequence[str]) -> None:
    """Check all that a multirun is going to run.

    A sweeper other than Hydra's basic one decides its points as it goes: only what they
    have in common is checked then.

    Args:
        opened: The session.
        composed: What the points have in common: composed without the sweeps.
        overrides: All of them, sweeps included.

    Raises:
        ConfigProblems: Those of the first wrong point, with its number and overrides.
    """
    if composed.hydra.sweeper.get("_target_") != BASIC:
        return ensure(composed.config, composed.origins)
    points = _points(opened, composed, overrides)
    bases: dict[tuple[str, ...], Composed] = {}
    seen: set[tuple[str, ...]] = set()
    for number, point in enumerate(points):
        if tuple(point) in seen:
            continue
        seen.add(tuple(point))
        try:
            _check_point(opened, point, bases)
        except ConfigProblems as error:
            subject = f"job {number} of {len(points)}: {' '.join(point) or 'no overrides'}"
            raise ConfigProblems(error.problems, subject) from error
    return None


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
    fixed = list(composed.hydra.overrides.hydra)
    return [[*fixed, *point] for point in batches[0]]


def _check_point(opened: Session, point: list[str], bases: dict[tuple[str, ...], Composed]) -> None:
    values, _ = read([line for line in point if not opened.chooses(line) and not line.startswith("hydra.")])
    shared = tuple(line for line in point if opened.chooses(line) or line.startswith("hydra."))
    if shared not in bases:
        bases[shared] = opened.compose(shared, RunMode.MULTIRUN)
    config: DictConfig = copy.deepcopy(bases[shared].config)
    OmegaConf.set_struct(config, False)
    try:
        apply(config, values)
    except (OmegaConfBaseException, KeyError, TypeError):  # composing says what does not fit
        config = opened.compose(point).config
    ensure(config, Origins(opened.loader, opened.config_name, point))
