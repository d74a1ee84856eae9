"""``hydra/launcher=slurm``: see `leyden.launch.slurm`."""
