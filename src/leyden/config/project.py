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
import importlib.util
import os
import sys
from pathlib import Path

from leyden.errors import ConfigurationError
from leyden.terminal import printable

RESOLVERS = "resolvers.py"
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


def load_resolvers() -> None:
    """Let the project register resolvers of its own: ``conf/resolvers.py``, if there is one, is executed once.

    Only what composes in a project calls this: a config that was read from a directory has no references left but those
    to the environment.

    Raises:
        ConfigurationError: If it fails; its own error is the cause.
    """
    file = (project_root() or Path.cwd()) / "conf" / RESOLVERS
    name = f"leyden_resolvers_{abs(hash(str(file)))}"
    if name in sys.modules or not file.is_file():
        return
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code: whatever it raises is the answer
        del sys.modules[name]
        raise ConfigurationError(
            f"{shown(file)} fails: {type(error).__name__}: {error}. Expected a module that registers resolvers with "
            "OmegaConf.register_new_resolver(name, function)."
        ) from error


def shown(path: str | Path) -> str:
    """Write *path* as a person in the current directory would, for a terminal."""
    here = Path.cwd().resolve()
    full = Path(path).resolve()
    return printable(full.relative_to(here) if full.is_relative_to(here) else full)
