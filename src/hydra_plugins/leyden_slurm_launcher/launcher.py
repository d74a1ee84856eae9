"""The plugin of ``hydra/launcher=slurm``: where Hydra looks for it, and nothing else. See `leyden.launch.slurm`."""

from __future__ import annotations

from leyden.launch.slurm.plugin import SlurmPlugin


class SlurmLauncher(SlurmPlugin):
    """Submits runs to a SLURM cluster; see `leyden.launch.slurm.options.Options` for what it takes.

    Hydra executes this module once more when it looks for plugins: nothing may depend on the identity of this class.
    """
