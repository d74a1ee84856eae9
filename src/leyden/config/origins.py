"""Which file set a key: the composed defaults list, searched from its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from leyden.config.groups import FoundGroups
from leyden.config.lookup import exists
from leyden.config.overrides import is_choice, read
from leyden.config.problems import COMMAND_LINE
from leyden.config.project import shown
from leyden.config.search_path import ExperimentsSource

PRESETS = ("experiment",)  # groups whose options say what is wanted of one run; debug is there to overrule them


@dataclass(frozen=True)
class Origins:
    """Tells where keys of one composed config come from. Nothing is read until it is asked.

    Args:
        loader: Hydra's loader.
        config_name: Of the primary config.
        overrides: Those it was composed with.
        found: What was read so far. Configs composed with the same choices, the points of a grid, may share it.
    """

    loader: ConfigLoader
    config_name: str
    overrides: Sequence[str]
    found: dict[str, Any] = field(default_factory=dict, compare=False)

    def of(self, path: str) -> str | None:
        """Return the file that set the dotted *path* last, ``"command line"``, or None."""
        groups = FoundGroups(self.loader)
        typed = {each.key_or_group for each in read(self.overrides)[0] if not is_choice(each, groups)}
        if any(path == key or path.startswith(f"{key}.") for key in typed):
            return COMMAND_LINE
        found = self._last(path)
        return None if found is None else file_of(self.loader, found[1])

    def asked(self, path: str) -> str | None:
        """Return who asked for *path*, or for something below it: the command line, or an experiment's file.

        Who chooses an option of a group asks for the group, not for each of the values that come with the option.
        None where it is as the shipped options, or those that the primary config chooses, have it. What a project's
        ``local`` file says holds for all of its runs, of which one may not need it.
        """
        groups = FoundGroups(self.loader)
        for each in read(self.overrides)[0]:
            key = each.key_or_group
            within = path.startswith(f"{key}.") and not is_choice(each, groups)
            if not each.is_delete() and (path == key or within or key.startswith(f"{path}.")):
                return COMMAND_LINE
        for default in reversed(self._defaults()):
            chooser = _group(default.config_path)
            if chooser in PRESETS and self._sets(default, path):
                return file_of(self.loader, default.config_path)
        return self._chosen_by_preset(path)

    def chosen(self, group: str) -> bool:
        """Tell whether an option of *group* is chosen."""
        return any(_group(each.config_path) == group for each in self._defaults())

    def _sets(self, default: Any, path: str) -> bool:
        content, inside = self._content(default.config_path), _inside(default, path)
        return inside is not None and content is not None and exists(content, inside)

    def _chosen_by_preset(self, group: str) -> str | None:
        """Return the preset that chooses an option of *group* in the place of the primary config's."""
        presets = [each.config_path for each in self._defaults() if _group(each.config_path) in PRESETS]
        if not presets:
            return None
        plain = self.loader.compute_defaults_list(self.config_name, [], RunMode.MULTIRUN)
        before, now = (each.overrides.known_choices.get(group) for each in (plain, self._listed()))
        return file_of(self.loader, presets[-1]) if before != now else None

    def leftover(self, path: str, other: str) -> bool:
        """Tell whether the file that set *path* comes before the one that set *other*."""
        mine, its = self._last(path), self._last(other)
        return mine is not None and its is not None and mine[0] < its[0]

    def groups(self) -> list[str]:
        """Return the groups that options were taken from by configs outside of them, be it one option or several.

        Hydra's own record of choices leaves out ``callbacks: [default, early_stopping]``.
        """
        pairs = ((_group(default.config_path), _group(default.parent or "")) for default in self._defaults())
        return list(dict.fromkeys(group for group, parent in pairs if group not in ("", parent)))

    def _last(self, path: str) -> tuple[int, str] | None:
        """Return the last config that sets *path*, with its place in the defaults list."""
        for place, default in reversed(list(enumerate(self._defaults()))):
            if self._sets(default, path):
                return place, default.config_path
        return None

    def _defaults(self) -> Sequence[Any]:
        defaults: Sequence[Any] = self._listed().defaults
        return defaults

    def _listed(self) -> Any:
        if "" not in self.found:
            mode = RunMode.MULTIRUN  # sweeps among the overrides are left out instead of refused
            self.found[""] = self.loader.compute_defaults_list(self.config_name, list(self.overrides), mode)
        return self.found[""]

    def _content(self, config_path: str) -> Any:
        if config_path not in self.found:
            self.found[config_path] = self._read(config_path)
        return self.found[config_path]

    def _read(self, config_path: str) -> Any:
        source = _source_of(self.loader, config_path)
        try:
            content = None if source is None else source.load_config(config_path).config
        except (OmegaConfBaseException, OSError):
            return None
        return content if OmegaConf.is_dict(content) else None


def _inside(default: Any, path: str) -> str | None:
    """Return *path* as it is within a config of the defaults list; None if that is for another part."""
    package = default.package or ""
    if package in ("", "_global_"):
        return path
    return path.removeprefix(f"{package}.") if path.startswith(f"{package}.") else None


def _group(config_path: str) -> str:
    return config_path.rpartition("/")[0]


def _source_of(loader: ConfigLoader, config_path: str) -> ConfigSource | None:
    return next((source for source in loader.get_sources() if source.is_config(config_path)), None)


def file_of(loader: ConfigLoader, config_path: str) -> str | None:
    """Return the file of a config such as ``model/mlp``, as a person would write it."""
    source = _source_of(loader, config_path)
    if source is None:
        return None
    if isinstance(source, ExperimentsSource):
        return shown(str(source.file(config_path)))
    if source.scheme() == "file":
        return shown(Path(source.path) / f"{config_path.removesuffix('.yaml')}.yaml")
    return f"{source.full_path()}/{config_path}"
