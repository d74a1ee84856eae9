"""The finder that answers for Lightning's modules with Leyden's.

`install` puts it in front of all others. From then on ``import lightning.pytorch as pl``,
``import pytorch_lightning`` and ``import lightning_fabric`` give modules that are made on
the spot from the table in `leyden.lightning.names`; Lightning, if it is installed as well,
is never looked at.

The modules are Lightning's tree, the classes are Leyden's: ``pl.Trainer.__module__`` is
``leyden.trainer``. A pickle made here therefore names Leyden's classes and is read back
wherever Leyden is installed, with or without the aliases; a pickle made with Lightning
names Lightning's, and is read back where the aliases are.

Processes started by this one find the aliases through one more directory on the
``PYTHONPATH`` (`DOORWAY`): in it lie three modules of a line each, called `lightning`,
`pytorch_lightning` and `lightning_fabric`, which install the finder when somebody imports
them, and the metadata of the three distributions, for those who ask for a version. That
holds for workers that are forked or spawned, for ranks, and for any other Python program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from leyden import options
from leyden.errors import ConfigurationError
from leyden.lightning import names
from leyden.lightning.absent import stand_in

DOORWAY = Path(__file__).parent / "doorway"

table = cache(names.read)


class AliasModule(ModuleType):
    """One module of Lightning's tree; its names are looked up on first use."""

    def __getattr__(self, name: str) -> Any:
        places = table()[names.written(self.__name__)]
        if name in places:
            value = self._find(name, *places[name])
        elif is_alias(f"{self.__name__}.{name}"):
            value = import_module(f"{self.__name__}.{name}")
        elif name.startswith("__"):
            raise AttributeError(name)
        else:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}: the table in {names.__file__} "
                f"does not have it, which names what there is of Lightning {names.VERSION}."
            )
        setattr(self, name, value)
        return value

    def _find(self, name: str, home: str, there: str) -> Any:
        if home == names.ABSENT:
            return stand_in(f"{self.__name__}.{name}")
        return getattr(import_module(home), there)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *table()[names.written(self.__name__)]})


class AliasFinder(MetaPathFinder, Loader):
    """Find, make and fill the modules under Lightning's three roots."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a module of the table, None for any other."""
        if not is_alias(fullname):
            return None
        # The place that an ImportError names for a missing name is the table.
        return ModuleSpec(fullname, self, origin=names.__file__, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make an empty module."""
        return AliasModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Say what the module offers; nothing is imported for it yet."""
        offered = table()[names.written(module.__name__)]
        module.__file__ = names.__file__
        module.__doc__ = f"Leyden, under the name that Lightning {names.VERSION} gives it."
        module.__dict__["__all__"] = sorted(
            name for name, (home, _) in offered.items() if home != names.ABSENT and not name.startswith("_")
        )
        if "." not in module.__name__ or module.__name__ in ("lightning.pytorch", "lightning.fabric"):
            module.__dict__["__version__"] = names.VERSION


def is_alias(module: str) -> bool:
    """Tell whether *module* is one of Lightning's that the table answers for."""
    return module.partition(".")[0] in names.ROOTS and names.written(module) in table()


def install() -> None:
    """Answer for Lightning in this process, and in those it starts. May be called again.

    Raises:
        ConfigurationError: If Lightning itself has been imported before.
    """
    for root in names.ROOTS:
        if root in sys.modules and not isinstance(sys.modules[root], AliasModule):
            raise ConfigurationError(
                f"{root!r} has already been imported from {sys.modules[root].__file__}. "
                "The aliases have to come first: start the program with `leyden lightning`, "
                "or call leyden.lightning.install() before anything else."
            )
    options.environment_prefix = "PL_TRAINER_"
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())
    door = str(DOORWAY)
    if door not in sys.path:
        sys.path.insert(1, door)
    inherited = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if door not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([door, *inherited])


def enter(root: str) -> None:
    """Put the alias in the place of the module in the doorway that is just being imported."""
    del sys.modules[root]
    install()
    import_module(root)
