"""A directory for the ``PYTHONPATH``, not a package to import: see `leyden.lightning.aliases`."""
