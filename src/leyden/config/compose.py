"""From groups and overrides to one config: Hydra's composition, with errors one can act on.

overrides ─► Hydra composes ─► Composed
                 │ fails
                 ▼
             review every override: keys that a target takes get their '+', once;
             whatever else is wrong is said, all of it, as `ConfigProblems`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from leyden.config.groups import FoundGroups, Groups
from leyden.config.lookup import exists
from leyden.config.mistakes import explain
from leyden.config.origins import Origins
from leyden.config.overrides import is_choice, read, review, several, several_values
from leyden.config.plain import settle
from leyden.config.problems import ConfigProblems, Problem
from leyden.config.project import shipped_conf
from leyden.config.search_path import register

OVERRIDES = "the overrides"


@dataclass(frozen=True)
class Composed:
    """A config, and how it came about.

    Args:
        config: The composed config, without Hydra's own part; not resolved, but independent of Hydra.
        hydra: Hydra's own part.
        overrides: What was typed for the job, plus the ``+`` that were left out.
        choices: The option chosen of each group.
        origins: Tells which file set a key.
        whole: As Hydra composed it.
    """

    config: DictConfig
    hydra: DictConfig
    overrides: list[str]
    choices: dict[str, Any]
    origins: Origins
    whole: DictConfig


class Session:
    """Hydra set up on one search path. Made by `session`.

    Args:
        config_name: Of the primary config.
    """

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name
        self.app: Any = GlobalHydra.instance().hydra
        self.loader: ConfigLoader = GlobalHydra.instance().config_loader()
        self.groups = FoundGroups(self.loader)
        self._last: tuple[list[str], Composed] | None = None

    def compose(self, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> Composed:
        """Compose one config.

        Args:
            overrides: In Hydra's grammar.
            mode: ``RunMode.MULTIRUN`` leaves sweeps (``seed=1,2``) out instead of refusing them.

        Raises:
            ConfigProblems: If an override or a config file is wrong.
        """
        lines = list(overrides)
        try:
            return self._compose(lines, mode)
        except Exception as error:  # nothing but composition runs here: whatever is raised is why it failed
            failure = error
        admitted = self.review(lines, mode)
        if admitted == lines:
            chosen = [line.lstrip("+").replace("=", "/", 1) for line in lines if self.chooses(line)]
            raise ConfigProblems([explain(failure, self.loader, self.groups, chosen)]) from failure
        return self.compose(admitted, mode)

    def compose_common(self, overrides: Sequence[str]) -> Composed:
        """Compose what stands for all points of a multirun until each of them is composed by itself.

        Where points choose different options of a group, or different experiments, a value that was typed may fit each
        of them and not the default option. Then the choices of the first point are composed without the values, and
        each point is judged by itself: see `leyden.config.grid`.

        Raises:
            ConfigProblems: If an option does not exist, or what is common to all points is wrong.
        """
        try:
            return self.compose(overrides, RunMode.MULTIRUN)
        except ConfigProblems as error:
            failure = error
        parsed, unreadable = read(overrides, OverridesParser.create(config_loader=self.loader))
        if unreadable:
            raise failure
        choices = [each for each in parsed if is_choice(each, self.groups)]
        self.check_choices([each.input_line or "" for each in choices])
        kept = [each for each in parsed if each in choices or each.is_hydra_override()]
        common = self.compose([_first(each) for each in kept], RunMode.MULTIRUN)
        swept = any(each.is_sweep_override() for each in choices) or common.hydra.sweeper.get("params")
        if not swept:
            raise failure
        return common

    def _compose(self, overrides: list[str], mode: RunMode) -> Composed:
        whole = self.app.compose_config(config_name=self.config_name, overrides=overrides, run_mode=mode)
        HydraConfig.instance().set_config(whole.copy())  # what ${hydra:...} reads; it is made read-only
        config = whole.copy()
        with open_dict(config):
            hydra_part = config.pop("hydra")
        settle(config)
        choices = {str(group): option for group, option in hydra_part.runtime.choices.items()}
        origins = Origins(self.loader, self.config_name, overrides)
        composed = Composed(config, hydra_part, overrides, choices, origins, whole)
        self._last = [line for line in overrides if not several([line])], composed
        return composed

    def choice(self, group: str) -> str | None:
        """Return the option of *group* that the primary config chooses by itself; nothing is composed."""
        found: str | None = self.loader.compute_defaults_list(
            self.config_name, [], RunMode.RUN
        ).overrides.known_choices.get(group)
        return found

    def run(self, composed: Composed, job: Callable[[DictConfig], Any]) -> Any:
        """Let Hydra run *job* on what was composed for one run, without composing it once more."""
        loader: Any = self.loader
        loader.load_configuration = lambda *_, **__: composed.whole.copy()
        try:
            return self.app.run(config_name=self.config_name, task_function=job, overrides=composed.overrides)
        finally:
            del loader.load_configuration

    def check_choices(self, overrides: Sequence[str]) -> None:
        """Refuse options that do not exist, which Hydra leaves out without a word where a group is optional.

        Raises:
            ConfigProblems: All of them.
        """
        chosen = [override for override in read(overrides)[0] if is_choice(override, self.groups)]
        lines = [override.input_line or "" for override in chosen]
        _, problems = review(chosen, OmegaConf.create(), self.groups, composed=lines)
        if problems:
            raise ConfigProblems(problems, OVERRIDES)

    def review(self, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> list[str]:
        """Return *overrides* with the ``+`` that keys known to a target may lack.

        Raises:
            ConfigProblems: Everything that is wrong with any of them.
        """
        parsed, problems = read(overrides, OverridesParser.create(config_loader=self.loader))
        if mode is RunMode.RUN:
            sweeps = [override.input_line or "" for override in parsed if override.is_sweep_override()]
            problems += [Problem(line, several_values(line)) for line in sweeps]
        chosen = [line for line in overrides if self.chooses(line)]
        base = self._base(chosen)
        if base is not None:
            config = base.config.copy()
            with open_dict(config):
                config.hydra = base.hydra
            known = [*base.choices, *base.origins.groups()]
            lines, more = review(parsed, config, self.groups, known, chosen)
            problems += more
        else:  # a group choice is wrong: the others cannot be judged before that is put right
            choices = [override for override in parsed if self.groups.has(override.key_or_group)]
            default = self._base([])
            known = list(self.groups.names()) if default is None else [*default.choices, *default.origins.groups()]
            lines, more = review(choices, OmegaConf.create(), self.groups, known)
            problems += more
        if problems:
            raise ConfigProblems(problems, OVERRIDES)
        return lines if base is not None else list(overrides)

    def for_hydra(self, overrides: Sequence[str]) -> list[str]:
        """Return *overrides* of a multirun, of which all points were judged, as Hydra takes them.

        Hydra composes the default options first, which may not have a key that every point has: ``++`` lets it pass.
        """
        parsed, _ = read(overrides, OverridesParser.create(config_loader=self.loader))
        base = self._base([line for line in overrides if self.chooses(line)])
        known = None if base is None else base.whole
        return [_added(each) if _is_missing(each, known, self.groups) else each.input_line or "" for each in parsed]

    def chooses(self, override: str) -> bool:
        """Tell whether *override* chooses one option of a group (a sweep chooses several)."""
        parsed, _ = read([override])
        return bool(parsed) and not parsed[0].is_sweep_override() and is_choice(parsed[0], self.groups)

    def _base(self, choices: list[str]) -> Composed | None:
        if self._last is not None and self._last[0] == choices:  # sweeps had been left out
            return self._last[1]
        try:
            return self._compose(choices, RunMode.MULTIRUN)
        except Exception:  # the caller is told why by explaining the failure of the whole
            return None


def _is_missing(override: Override, config: DictConfig | None, groups: Groups) -> bool:
    changes = not (override.is_add() or override.is_force_add() or override.is_delete() or override.is_hydra_override())
    return changes and not is_choice(override, groups) and (config is None or not exists(config, override.key_or_group))


def _added(override: Override) -> str:
    return f"++{override.input_line}"


def _first(override: Override) -> str:
    """Return *override*, of several values the first."""
    if not override.is_discrete_sweep():
        return override.input_line or ""
    return f"{override.get_key_element()}={next(override.sweep_iterator(Transformer.encode))}"


@contextmanager
def session(config_name: str, config_path: Path | None = None, config_dir: Path | None = None) -> Iterator[Session]:
    """Set up Hydra for composing, and put back afterwards what was there.

    Args:
        config_name: Of the primary config.
        config_path: Directory of the primary config; the shipped one by default.
        config_dir: One more directory to look into.
    """
    register(config_dir)
    primary = str((config_path or shipped_conf()).resolve())
    state = HydraConfig.instance().cfg
    try:
        with hydra.initialize_config_dir(config_dir=primary, job_name="leyden", **version_base()):
            yield Session(config_name)
    finally:
        HydraConfig.instance().cfg = state


def version_base() -> dict[str, Any]:
    """Return the argument by which Hydra before 1.4 is told not to imitate older versions."""
    major, minor = (int(part) for part in hydra.__version__.split(".")[:2])
    return {"version_base": "1.3"} if (major, minor) < (1, 4) else {}


def compose(overrides: Sequence[str] = (), config_name: str = "train") -> Composed:
    """Compose one config in Python, as the command line does; it is not checked yet.

    Raises:
        ConfigProblems: If an override or a config file is wrong.

    Example:
        >>> compose(["model=mlp", "seed=3"]).config.seed
        3
    """
    with session(config_name) as hydra_session:
        return hydra_session.compose(overrides)
