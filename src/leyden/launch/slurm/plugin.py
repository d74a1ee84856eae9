"""Options of ``hydra.launcher`` in, a launcher out; Hydra finds it through `hydra_plugins.leyden_slurm_launcher`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leyden.config.launchers import LauncherPlugin
from leyden.launch.slurm.options import Options

if TYPE_CHECKING:
    from leyden.launch.slurm.launcher import SlurmLauncher


class SlurmPlugin(LauncherPlugin):
    """Submits runs to a SLURM cluster; it takes what `Options` takes.

    They are kept apart from the plugin: one of them has the name of a method that Hydra calls, ``setup``.
    """

    __signature__ = inspect.signature(Options)

    def __init__(self, **options: Any) -> None:
        self.options = Options(**options)

    def launcher(self, wait: bool = False, trusted: Sequence[str] = ()) -> SlurmLauncher:
        """Return the launcher, once the cluster has had a look at what the options ask for."""
        found = self.unchecked(wait, trusted)
        found.check()
        return found

    def unchecked(self, wait: bool = False, trusted: Sequence[str] = ()) -> SlurmLauncher:
        """Return the launcher without asking any cluster."""
        from leyden.launch.slurm.launcher import SlurmLauncher

        return SlurmLauncher(replace(self.options, wait=wait or self.options.wait), trusted)
