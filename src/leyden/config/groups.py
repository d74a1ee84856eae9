"""Config groups and their options, as far as the search path has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType


class Groups(Protocol):
    """What can be asked about config groups."""

    def has(self, group: str, /) -> bool:
        """Tell whether there is a group of that name."""
        ...

    def options(self, group: str, /) -> Sequence[str]:
        """Return the options of a group, sorted."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all groups, sorted; subgroups as ``group/subgroup``."""
        ...


class FoundGroups:
    """The groups that Hydra finds on its search path.

    Args:
        loader: Hydra's loader of the session.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._found: dict[str, bool] = {}

    def has(self, group: str) -> bool:
        """Tell whether there is a group of that name; looked up once."""
        if group not in self._found:
            self._found[group] = bool(group) and any(source.is_group(group) for source in self._loader.get_sources())
        return self._found[group]

    def options(self, group: str) -> Sequence[str]:
        """Return the options of a group, sorted."""
        return sorted(self._loader.get_group_options(group)) if self.has(group) else []

    def names(self, parent: str = "") -> Sequence[str]:
        """Return the names of all groups, sorted; subgroups as ``group/subgroup``."""
        found: list[str] = []
        for child in self._loader.get_group_options(parent, results_filter=ObjectType.GROUP):
            name = f"{parent}/{child}" if parent else child
            found += [name, *self.names(name)]
        return sorted(found)


class NoGroups:
    """The groups of a saved config: there are none left, it is composed already."""

    def has(self, _group: str) -> bool:
        """Return False."""
        return False

    def options(self, _group: str) -> Sequence[str]:
        """Return nothing."""
        return []

    def names(self) -> Sequence[str]:
        """Return nothing."""
        return []
