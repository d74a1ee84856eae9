"""``hydra/launcher=local``: the queue of this machine. Hydra finds the package by its place."""
