"""Everything that is wrong with a composed config, found before anything is built.

Hydra refuses a misspelt key on the command line, and carries the same key along silently
when it stands in a file. Here every node with a ``_target_`` is held against the signature
of what it names:

    _target_   imports
    keys       are arguments of the target
    arguments  without a default are given (unless ``_partial_``)
    values     fit the annotations, bounds included
    ${...}     leads somewhere;  ???  is filled in
    secrets    are referred to, not written down

The root is such a node as well (`leyden.experiment.Experiment`), so a key at the top level
that nobody reads is found in the same way.
"""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from omegaconf import DictConfig

from leyden.config.effect import without_effect
from leyden.config.folder_names import no_folder
from leyden.config.origins import Origins
from leyden.config.plain import BROKEN, plain
from leyden.config.problems import COMMAND_LINE, ConfigProblems, Problem, did_you_mean
from leyden.config.project import put_project_on_path
from leyden.config.references import literal_secrets
from leyden.config.targets import Arguments, arguments_of, locate
from leyden.config.torch_bounds import out_of_bounds
from leyden.config.values import mismatch, type_name
from leyden.config.variables import BESIDE_ROOT, free_keys
from leyden.errors import ConfigurationError

SPECIAL = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")
COLLECTIONS = ("callbacks", "logger")  # at the top level: objects by name
PATHS = ("work_dir", "data_dir", "output_dir", "run_dir")


def check(
    config: DictConfig | Mapping[str, Any], origins: Origins | None = None, sound: set[str] | None = None
) -> list[Problem]:
    """Find every problem of a composed config.

    Args:
        config: Composed, resolved or not. It is not changed.
        origins: Tells which file set a key, for the messages.
        sound: Top-level parts in which nothing is wrong; they are not looked at again, and those of a config in which
            nothing is wrong are added. The points of a grid have most of them in common.

    Returns:
        All problems, in the order of the config; empty if it can be built.
    """
    put_project_on_path()
    values, broken, raw = plain(config)
    if broken:  # a module may register a resolver of its own
        _import_targets(raw)
        values, broken, raw = plain(config)
    beside = (*BESIDE_ROOT, *free_keys(values, raw, BESIDE_ROOT))
    inner = {key: value for key, value in values.items() if key not in beside}
    new = _new_parts(inner, raw, sound)
    outer = {key: values[key] for key in beside if key in values and key != "hydra"}
    secrets = literal_secrets({**{key: inner[key] for key in new}, **outer}, raw)
    found = [*broken, *secrets, *_name(values), *_paths(values.get("paths"), origins), *_node(inner, "", new)]
    if sound is not None and not found:
        sound.update(new.values())
    if origins is not None and not found:
        return list(without_effect(values, raw, origins))
    return found if origins is None else [_with_origin(one, origins) for one in found]


def _import_targets(raw: Mapping[str, Any]) -> None:
    """Import what a config names."""
    for target in dict.fromkeys(_targets(raw)):
        with suppress(ConfigurationError):  # said where the node itself is looked at
            locate(target)


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        target = value.get("_target_")
        if isinstance(target, str) and "${" not in target and target != "???":
            yield target
        for item in value.values():
            yield from _targets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _targets(item)


def _new_parts(values: dict[str, Any], raw: dict[str, Any], sound: set[str] | None) -> dict[str, str]:
    """Return the keys of parts that are not known to be sound, with what each of them is known by."""
    target = values.get("_target_")  # says what the others have to be
    found = {key: repr((target, key, value, raw.get(key))) for key, value in values.items()}
    return {key: identity for key, identity in found.items() if sound is None or identity not in sound}


@dataclass(frozen=True)
class UnknownKey(Problem):
    """A key that the target of its node does not take."""

    target: str = ""


def _with_origin(problem: Problem, origins: Origins) -> Problem:
    """Add where a problem comes from, and what to do about keys left over from another target."""
    origin = origins.of(problem.path)
    group, _, key = problem.path.rpartition(".")
    if not isinstance(problem, UnknownKey) or origin in (None, COMMAND_LINE) or not group or "." in group:
        return Problem(problem.path, problem.message, origin)
    if not origins.leftover(problem.path, f"{group}._target_"):
        return Problem(problem.path, problem.message, origin)
    remedy = (
        f"{origins.of(f'{group}._target_')} names another _target_: add '- override /{group}: null' to its defaults"
    )
    return Problem(problem.path, f"{problem.target} takes no argument {key!r}. {remedy}", origin)


def ensure(
    config: DictConfig | Mapping[str, Any],
    origins: Origins | None = None,
    subject: str | None = None,
    sound: set[str] | None = None,
) -> None:
    """Raise what `check` finds.

    Raises:
        ConfigProblems: If it finds anything.
    """
    problems = check(config, origins, sound)
    if problems:
        raise ConfigProblems(problems, subject or "the composed config")


def _name(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Find a name that leads out of the folder of all runs, or that no file system takes."""
    name = values.get("name")
    if not isinstance(name, str):
        return
    said = no_folder(name)
    if said is not None:
        yield Problem("name", f"is {name if len(name) < 80 else name[:77] + '...'!r}, {said}")


def _paths(paths: Any, origins: Origins | None) -> Iterator[Problem]:
    """Find paths that are none, and keys that nobody reads: those that no file of that group brought along."""
    for key, value in paths.items() if isinstance(paths, dict) else ():
        if (
            key in PATHS
            and not isinstance(value, str)
            and value is not BROKEN
            and (value is not None or key != "run_dir")
        ):
            yield Problem(f"paths.{key}", f"expects str, got {value!r} ({type(value).__name__})")
    for key in paths if isinstance(paths, dict) and origins is not None else ():
        origin = None if key in PATHS else origins.of(f"paths.{key}") or COMMAND_LINE  # type: ignore[union-attr]
        if origin is not None and "/paths/" not in f"/{origin}":
            yield Problem(f"paths.{key}", f"is no path that is used. {did_you_mean(key, PATHS, 'There are')}")


def _node(value: Any, path: str, only: Container[str] | None = None) -> Iterator[Problem]:
    """Walk everything below *path*, or *only* what is below some of the keys there."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from _node(item, _join(path, str(at)))
    elif isinstance(value, dict) and "_target_" in value:
        yield from _target(value, path, only)
    elif isinstance(value, dict):
        if not path:
            yield Problem("_target_", "is missing: what to build from this config. It is leyden.experiment.Experiment")
        for key, item in value.items():
            yield from _node(item, _join(path, str(key)))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _target(node: dict[str, Any], path: str, only: Container[str] | None = None) -> Iterator[Problem]:
    """Hold one node against the signature of its target, and walk what is below."""
    yield from _special(node, path)
    target, arguments = None, None
    try:
        target = _located(node["_target_"])
        arguments = arguments_of(target) if target is not None else None
    except ConfigurationError as error:
        yield Problem(_join(path, "_target_"), str(error))
    given = {key: value for key, value in node.items() if key not in SPECIAL}
    for key, value in given.items():
        if only is not None and key not in only:
            continue
        before = _argument(key, value, target, arguments, path) if arguments is not None else None
        if before is not None:
            yield before
        yield from _node(value, _join(path, str(key)))
    yield from _node(node.get("_args_"), _join(path, "_args_"))
    if arguments is not None:
        yield from _absent(node, target, arguments, path)


def _located(name: Any) -> Any:
    if name is BROKEN:
        return None
    if not isinstance(name, str):
        raise ConfigurationError(f"expects the dotted path of a class or function, got {name!r}")
    target = locate(name)
    if not callable(target):
        raise ConfigurationError(f"{name} is {target!r}, which cannot be called. Name a class or a function")
    return target


def _special(node: dict[str, Any], path: str) -> Iterator[Problem]:
    for key in ("_partial_", "_recursive_"):
        if not isinstance(node.get(key, False), bool) and node[key] is not BROKEN:
            yield Problem(_join(path, key), f"expects true or false, got {node[key]!r}")
    if not isinstance(node.get("_args_", []), list):
        yield Problem(_join(path, "_args_"), f"expects a list of positional arguments, got {node['_args_']!r}")
    modes = ("none", "partial", "object", "all")
    if node.get("_convert_", "all") not in modes:
        hint = did_you_mean(str(node["_convert_"]), modes, "It is one of")
        yield Problem(_join(path, "_convert_"), f"is {node['_convert_']!r}. {hint}")


def _argument(key: str, value: Any, target: Any, arguments: Arguments, path: str) -> Problem | None:
    name = getattr(target, "__name__", str(target))
    if key not in arguments.parameters:
        if arguments.anything:
            return None
        return UnknownKey(_join(path, key), _unknown(key, value, name, arguments, path), target=name)
    default = arguments.parameters[key].default
    nothing = not path and value == {}  # an empty group: optimizer=none
    if nothing or value is BROKEN or (type(value) is type(default) and value == default):
        return None
    unbuilt = _unbuilt(key, value, path)
    if unbuilt is not None:
        return unbuilt
    annotation = arguments.annotation(key)
    said = _wrong_class(value, annotation) if _contains_target(value) else mismatch(value, annotation)
    said = said or out_of_bounds(target, key, value)
    return None if said is None else Problem(_join(path, key), said)


def _unbuilt(key: str, value: Any, path: str) -> Problem | None:
    """Find settings of a callback or a logger that nothing builds: the option that it belongs to is not chosen."""
    if path or key not in COLLECTIONS or not isinstance(value, dict):
        return None
    for name, item in value.items():
        if isinstance(item, dict) and "_target_" not in item:
            said = (
                f"holds {', '.join(map(str, item)) or 'nothing'}, but no _target_, so that nothing is built from it. "
                f"Choose the option it is meant for, {key}=[default,{name}] say, or give it a _target_"
            )
            return Problem(_join(key, str(name)), said)
    return None


def _unknown(key: str, value: Any, name: str, arguments: Arguments, path: str) -> str:
    if not path and key in ("experiment", "debug", "local") and isinstance(value, dict):
        return f"holds what belongs to the top level. Write '# @package _global_' as the first line of the {key} file"
    known = [*arguments.parameters, *(BESIDE_ROOT if not path else ())]
    what = "is read by nobody" if not path else f"{name} takes no argument {key!r}"
    return f"{what}. {did_you_mean(key, known, 'Its arguments are' if path else 'The top level has')}"


def _contains_target(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(_contains_target(item) for item in value.values())
    return isinstance(value, list) and any(_contains_target(item) for item in value)


def _wrong_class(value: Any, annotation: Any) -> str | None:
    """Say that a node builds an object of a class the argument cannot be; None when unsure.

    Sure is: the target is a class, nothing partial, and every class the annotation allows
    is a plain one that it does not derive from.
    """
    if not isinstance(value, dict) or "_target_" not in value or value.get("_partial_"):
        return None
    try:
        built = _located(value["_target_"])
    except ConfigurationError:
        return None  # said where the node itself is looked at
    allowed = _classes(annotation)
    if not inspect.isclass(built) or allowed is None or any(issubclass(built, one) for one in allowed):
        return None
    return f"expects {type_name(annotation)}, but {value['_target_']} is none"


def _classes(annotation: Any) -> list[type] | None:
    """Return the classes an annotation allows; None if it allows something else too."""
    if hasattr(annotation, "__metadata__"):
        return _classes(annotation.__origin__)
    if type(annotation).__name__ in ("UnionType", "Union", "_UnionGenericAlias"):
        parts = [_classes(part) for part in get_args(annotation)]
        return None if any(part is None for part in parts) else [one for part in parts for one in part or []]
    if get_origin(annotation) is not None or not inspect.isclass(annotation) or annotation in (object, Any):
        return None
    return None if getattr(annotation, "_is_protocol", False) else [annotation]


def _absent(node: dict[str, Any], target: Any, arguments: Arguments, path: str) -> Iterator[Problem]:
    """Find arguments that must be given and are not."""
    if node.get("_partial_") or node.get("_recursive_") is False:
        return  # somebody else adds the rest
    args = node.get("_args_") or []
    filled = {*node, *arguments.positional[: len(args) if isinstance(args, list) else None]}
    for name in arguments.required():
        if name not in filled:
            said = f"must be given: {getattr(target, '__name__', target)} has no default for it"
            yield Problem(_join(path, name), said)
