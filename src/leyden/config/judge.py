"""Which ``_target_``s of a config read from a directory may be called: found step by step, nothing imported unseen.

    torch.os.system     torch is on the list ─► its attribute os is a module that is not ─► refused
    mine.build          no list ─► where does `mine` lie? in the user's project ─► imported ─► mine.build defined where?

Every part of a name is looked at before it is imported, and what is found in the end is judged
by the module it was defined in. A config composed on this very command line is not judged:
its author is the user.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

from leyden.config.arguments import KEYS, bound
from leyden.config.harmless import ROOTS, is_harmless, is_public, leads_there
from leyden.config.import_wall import ImportWall
from leyden.config.lookups import looked_up, short
from leyden.config.places import base_of, misplaced, strays
from leyden.config.problems import ConfigProblems, Problem
from leyden.config.targets import locate
from leyden.config.trust import Trust
from leyden.errors import ConfigurationError
from leyden.logger import Logger

_SHOWN = 20  # problems
_CONVERSIONS = ("none", "partial", "object", "all")
_PYTHON = (
    "builtins",
    "collections",
    "datetime",
    "decimal",
    "fractions",
    "pathlib",
)  # a few of their types are harmless


def admit(
    config: Mapping[str, Any], trust: Trust, subject: str, recorded: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Refuse a config that names what may not be called, or leads where it may not.

    The user's own modules are imported last, once nothing else is wrong.

    Args:
        config: As read from a file.
        trust: What may be named beside what is harmless.
        subject: Where it is from, for the message.
        recorded: Folders that the manifest of the run names, by the name they have there.

    Returns:
        The values that will be used: references are looked up.

    Raises:
        ConfigProblems: If anything is wrong with it, with all of it.
        ConfigurationError: If its directory bears the name of a package.
    """
    trust.put_on_path()
    values, problems = looked_up(config, trust)
    problems += list(strays(values, recorded or {}, trust))
    for own in (False, True):
        walk = _Walk(trust, base_of(values), own)
        problems += walk.below(values, "")
        if problems:
            break
    if "_target_" not in config:
        problems.insert(0, Problem("_target_", "is missing: what to build. It is leyden.experiment.Experiment"))
    if problems:
        raise ConfigProblems(list({each.path: each for each in reversed(problems)}.values())[::-1][:_SHOWN], subject)
    return values


class _Walk:
    """Judges every node of a config, wherever it stands: an object may build what it is given as a dict.

    Args:
        trust: What may be named.
        base: Where relative paths begin.
        own: Whether to judge what the user's own code is needed for; otherwise all else.
    """

    def __init__(self, trust: Trust, base: Path, own: bool) -> None:
        self._trust = trust
        self._base = base
        self._own = own

    def below(self, value: Any, path: str) -> Iterator[Problem]:
        """Find what is wrong at *path* and below."""
        if isinstance(value, dict):
            if "_target_" in value and self._own == _is_own_root(value["_target_"], self._trust):
                yield from self._node(value, path)
            for key, item in value.items():
                if key != "_target_":
                    yield from self.below(item, f"{path}.{key}" if path else str(key))
        elif isinstance(value, list):
            for at, item in enumerate(value):
                yield from self.below(item, f"{path}.{at}")

    def _node(self, node: dict[Any, Any], path: str) -> Iterator[Problem]:
        at = short(f"{path}._target_" if path else "_target_")
        wrong = list(_keys(node, path))
        try:
            found = permitted(node["_target_"], self._trust)
        except ConfigurationError as error:
            yield Problem(at, str(error))
            return
        yield from wrong
        if wrong:
            return
        if isinstance(found, type) and issubclass(found, Logger) and "settings" in node:
            yield Problem(at, "takes 'settings', by which any program can be started. Leave it out")
        yield from misplaced(found, node, bound(found, node), path, self._base, self._trust)


def _is_own_root(target: Any, trust: Trust) -> bool:
    """Whether judging a target may import code of the user's own, or code that is trusted."""
    root = target.partition(".")[0] if isinstance(target, str) else ""
    if not root.isidentifier() or root in ROOTS or root in sys.stdlib_module_names:
        return False
    module = sys.modules.get(root)
    spec = module.__spec__ if module is not None else _find(root, None)
    return spec is not None and (trust.leads(root) or _is_namespace(spec) or _is_own(spec, trust))


def _keys(node: Mapping[Any, Any], path: str) -> Iterator[Problem]:
    """Find what Hydra would read of *node* and not understand, or understand in a way that nothing here expects."""
    for key, value in node.items():
        at = short(f"{path}.{key}" if path else key)
        if not isinstance(key, str):
            yield Problem(at, "is no name of an argument. Expected a text")
        elif key.startswith("_") and key not in KEYS:
            yield Problem(at, f"is no key of a node. Expected one of {', '.join(sorted(KEYS))}, or an argument")
        elif key == "_args_" and not isinstance(value, list):
            yield Problem(at, f"is a {type(value).__name__}. Expected a list of arguments")
        elif key in ("_partial_", "_recursive_") and not isinstance(value, bool):
            yield Problem(at, f"is {short(value)}. Expected true or false")
        elif key == "_convert_" and value not in _CONVERSIONS:
            yield Problem(at, f"is {short(value)}. Expected one of {', '.join(_CONVERSIONS)}")


def permitted(target: Any, trust: Trust) -> Any:
    """Return what the dotted path *target* names, if that may be called.

    Raises:
        ConfigurationError: If not, or if there is no such thing.
    """
    parts = target.split(".") if isinstance(target, str) else [""]
    if not all(part.isidentifier() for part in parts):
        raise ConfigurationError(f"'{short(target)}' is no dotted path of a class or function, such as 'mine.Model'")
    if any(part.startswith("__") for part in parts):
        raise ConfigurationError(f"'{short(target)}' leads to the inside of Python, which no config needs")
    if parts[0] in ROOTS and not is_public(target):
        raise ConfigurationError(
            f"'{short(target)}' is private to {parts[0]}. Name what {parts[0]} offers under a public name"
        )
    found: Any = _imported(parts[0], None, target, trust)
    for at, part in enumerate(parts[1:], start=1):
        missing = object()
        inner = _attribute(found, part, missing)
        if inner is missing:  # as Hydra does: what a module has goes before what can be imported
            found = _imported(".".join(parts[: at + 1]), found, target, trust)
            continue
        found = inner
        if isinstance(found, ModuleType):
            _check_module(found.__name__, found.__spec__, target, trust)
    if not callable(found) or not _is_permitted(found, trust):
        raise ConfigurationError(_refusal(target, found))
    return found


def _attribute(owner: Any, name: str, missing: object) -> Any:
    try:
        return getattr(owner, name, missing)
    except Exception as error:  # a package that imports its names when they are first asked for
        raise ConfigurationError(f"{name} cannot be had: {type(error).__name__}: {error}") from error


def _imported(name: str, parent: Any, target: str, trust: Trust) -> ModuleType:
    """Import a module, once it is known to be permitted."""
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else _find(name, parent)
    if spec is None and parent is not None:
        locate(name)  # says what is missing, and what was probably meant
    _check_module(name, spec, target, trust)
    try:
        return importlib.import_module(name)
    except ConfigurationError:
        raise
    except Exception as error:  # the user's own module runs here: whatever it raises is the answer
        raise ConfigurationError(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _find(name: str, parent: Any) -> ModuleSpec | None:
    """Find a module without importing it; its parent has been imported."""
    places = None if parent is None else getattr(parent, "__path__", ())
    finders = [each for each in sys.meta_path if not isinstance(each, ImportWall)]  # where it lies is judged here
    found = (finder.find_spec(name, places) for finder in finders) if places != () else iter(())
    return next((spec for spec in found if spec is not None), None)


def _check_module(name: str, spec: ModuleSpec | None, target: str, trust: Trust) -> None:
    """Refuse a module that nothing may be taken from."""
    root = name.partition(".")[0]
    if root in ROOTS:
        if not leads_there(name):
            raise ConfigurationError(f"'{short(target)}' is not on the list of what is harmless of {root}. {_OWN}")
        return
    if trust.leads(name):
        return
    if spec is not None and ((_is_namespace(spec) and not _came_along(spec, trust)) or _is_own(spec, trust)):
        return
    if name in _PYTHON:
        return
    raise ConfigurationError(_foreign(target, name, spec, trust))


def _is_namespace(spec: ModuleSpec) -> bool:
    """Whether a package is nothing but folders: importing it executes nothing."""
    return spec.origin is None and spec.submodule_search_locations is not None


def _is_own(spec: ModuleSpec, trust: Trust) -> bool:
    return spec.has_location and spec.origin is not None and trust.owns(Path(spec.origin))


def _is_permitted(found: Any, trust: Trust) -> bool:
    """Judge an object by where it was defined."""
    if is_harmless(found):
        return True
    if isinstance(found, functools.partial):
        return _is_permitted(found.func, trust)
    if isinstance(found, MethodType):
        found = found.__func__  # of a class of one's own, inherited or not: what counts is whose function it is
    home = str(getattr(found, "__module__", ""))
    if home.partition(".")[0] in ROOTS:
        return False
    module = sys.modules.get(home)
    spec = module.__spec__ if module is not None else None
    return trust.names(home) or (spec is not None and _is_own(spec, trust))


_OWN = "Write a function of your own project that calls it, and name that"


def _refusal(target: str, found: Any) -> str:
    if not callable(found):
        return f"'{short(target)}' is a {type(found).__name__}, which cannot be called. Name a class or a function"
    home = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', type(found).__name__)}"
    return f"'{short(target)}' is {short(home)}, which a config read from a directory may not call. {_OWN}"


def _foreign(target: str, module: str, spec: ModuleSpec | None, trust: Trust) -> str:
    root = module.partition(".")[0]
    if root in sys.stdlib_module_names:
        return f"'{short(target)}' leads to {root}, a part of Python that such a config may not call. {_OWN}"
    project = f"of the project in {trust.project}" if trust.project is not None else "of a project"
    where = (
        "it is not there"
        if spec is None
        else f"it lies in {spec.origin or list(spec.submodule_search_locations or ())}"
    )
    where += f", and what lies in {trust.strange} came with the run" if _came_along(spec, trust) else ""
    return (
        f"'{short(target)}' is neither of torch, torchmetrics and leyden nor {project}: {where}. If the run is yours, "
        f"give the command in its project. If you trust the package: --trust {root}, or trust = [{root!r}] under "
        "[tool.leyden] in your pyproject.toml"
    )


def _came_along(spec: ModuleSpec | None, trust: Trust) -> bool:
    """Whether a module, or all there is of a namespace package, lies in the folder that the directory is in."""
    if spec is None:
        return False
    places = list(spec.submodule_search_locations or ()) if spec.origin is None else [spec.origin]
    return bool(places) and all(Path(place).resolve().is_relative_to(trust.strange) for place in places)
