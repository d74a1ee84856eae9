"""Where configs and code are found: the shipped conf/ and the user's own project.

    <project>/conf/<group>/<option>.yaml          the user's groups, looked at first
    <project>/experiments/<slug>/experiment.yaml  one folder per question, experiment=<slug>
    leyden/conf  (a wheel)                        the shipped groups
    <checkout>/conf  (a checkout)

Nothing is configured: the project is the first directory, from the current one upwards,
that holds a ``conf`` directory or a ``pyproject.toml``.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from leyden.terminal import printable

CODE_ROOT = "LEYDEN_CODE_ROOT"  # a project to take code from in the place of the one the current directory lies in


def shipped_conf() -> Path:
    """Return the directory of the configs that come with the package."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def project_root(start: Path | None = None) -> Path | None:
    """Return the project that *start* (default: the current directory) lies in, if any."""
    if start is None and os.environ.get(CODE_ROOT):
        return Path(os.environ[CODE_ROOT])
    here = (start or Path.cwd()).resolve()
    for directory in (here, *here.parents):
        if (directory / "conf").is_dir() or (directory / "pyproject.toml").is_file():
            return directory
    return None


def put_project_on_path() -> None:
    """Make the project's own packages importable, ``experiments.<slug>.model`` among them.

    Every process that builds a config has to call this; `build` and `check` do.
    """
    root = str(project_root() or Path.cwd())
    if root not in sys.path:
        sys.path.insert(0, root)
    importlib.invalidate_caches()


def shown(path: str | Path) -> str:
    """Write *path* as a person in the current directory would, for a terminal."""
    here = Path.cwd().resolve()
    full = Path(path).resolve()
    return printable(full.relative_to(here) if full.is_relative_to(here) else full)
