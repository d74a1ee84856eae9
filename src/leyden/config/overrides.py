"""Overrides in Hydra's grammar: reading them, judging them, applying them.

    key=value     change        key must exist, or its target must take it as an argument
    +key=value    add           key must not exist
    ++key=value   change or add
    ~key          remove        key must exist
    group=option  choose        only while a config is composed

Hydra stops at the first mistake and speaks of its own insides. `review` looks at all of
them at once, against the config they are meant for, and says what was probably meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from leyden.config.groups import Groups, NoGroups
from leyden.config.lookup import arguments_at, exists, select, suggestion, takes
from leyden.config.problems import ConfigProblems, Problem, did_you_mean


def read(lines: Sequence[str], parser: OverridesParser | None = None) -> tuple[list[Override], list[Problem]]:
    """Parse overrides one by one.

    Returns:
        Those that can be read, and one problem for each that cannot.
    """
    parsed: list[Override] = []
    problems: list[Problem] = []
    for line in lines:
        try:
            parsed += _parsed(line) if parser is None else parser.parse_overrides([line])
        except HydraException as error:
            problems.append(Problem(line, _unreadable(line, error)))
    return parsed, problems


@lru_cache(maxsize=1024)
def _parsed(line: str) -> list[Override]:
    """Parse one line, once: each point of a grid is looked at several times, and nobody changes an `Override`."""
    return OverridesParser.create().parse_overrides([line])


def _unreadable(line: str, error: HydraException) -> str:
    key, equals, value = line.partition("=")
    if not equals:
        return f"is no override. Expected {key}=<value>, or ~{key} to remove it."
    reason = str(error).partition("\n")[0].rstrip(".")
    return f"cannot be read ({reason}). Quote the value, once for the shell and once for Hydra: \"{key}='{value}'\""


def review(
    overrides: Sequence[Override],
    config: DictConfig,
    groups: Groups,
    choices: Sequence[str] = (),
    composed: Sequence[str] = (),
) -> tuple[list[str], list[Problem]]:
    """Judge overrides against the config they are meant for.

    Args:
        overrides: Parsed ones.
        config: What is composed without those that set a value.
        groups: The groups that can be chosen from.
        choices: Groups that the config already chooses an option of.
        composed: Choices that *config* was composed with: such groups can be chosen from.

    Returns:
        The overrides as lines, with a ``+`` before each key that *config* does not list
        but whose target takes it as an argument; and what is wrong with the others.
    """
    lines: list[str] = []
    problems: list[Problem] = []
    for override in overrides:
        line = override.input_line or override.key_or_group
        if is_choice(override, groups):
            problems += _unknown_options(override, line, groups)
            problems += () if line in composed else _wrong_choice(override, line, choices)
        elif not override.is_hydra_override() or OmegaConf.select(config, "hydra") is not None:
            found = _wrong_value(override, line, config, groups)
            if found and _may_be_added(override, config):
                line, found = f"+{line}", []
            problems += found
        lines.append(line)
    return lines, problems


def is_choice(override: Override, groups: Groups) -> bool:
    """Whether *override* chooses options of a group, rather than setting a value."""
    return groups.has(override.key_or_group) and not isinstance(_value(override), dict)


def _value(override: Override) -> Any:
    return None if override.is_sweep_override() else override.value()


def _values(override: Override) -> list[Any]:
    """Return the values that a choice gives: one, or those of a sweep."""
    if not override.is_sweep_override():
        return [override.value()]
    return list(override.sweep_iterator(Transformer.identity)) if override.is_discrete_sweep() else []


def _without(group: str, options: Sequence[str]) -> str:
    """Say how to do without an option of *group*."""
    if "none" in options:
        return f"To do without: {group}=none"
    if group in ("experiment", "debug"):
        return "Leave it out to choose none"
    return did_you_mean("", options, "Choose one of its options")


def _wanted(override: Override) -> Iterator[str]:
    """Yield every option that a choice asks for: one, a list, or those of a sweep's values."""
    for value in _values(override):
        yield from (str(item) for item in (value if isinstance(value, list) else [value]) if item is not None)


def _unknown_options(override: Override, line: str, groups: Groups) -> Iterator[Problem]:
    group = override.key_or_group
    options = groups.options(group)
    if None in _values(override) and not override.is_delete():
        yield Problem(line, f"null is no option of the group {group!r}. {_without(group, options)}")
    for option in _wanted(override):
        if option.removesuffix(".yaml") not in options and "/" not in option:
            hint = did_you_mean(option, options, "Its options are")
            yield Problem(line, f"the group {group!r} has no option {option!r}. {hint}")


def _wrong_choice(override: Override, line: str, choices: Sequence[str]) -> Iterator[Problem]:
    key = override.get_key_element().lstrip("+~")  # with its package, if one was given
    if override.is_add() and key in choices:
        yield Problem(line, f"the group {key!r} is chosen from already. Leave out the '+': {line[1:]}")
    if override.is_delete() and key not in choices:
        yield Problem(line, f"nothing is chosen from the group {key!r}, so nothing can be removed.")
    if not override.is_add() and not override.is_delete() and key not in choices:
        yield Problem(line, f"the config does not choose from the group {key!r}. Add it: +{line}")


def _wrong_value(override: Override, line: str, config: DictConfig, groups: Groups) -> list[Problem]:
    key = override.key_or_group
    if override.package is not None or "/" in key:
        return [Problem(line, f"there is no config group {key!r}. {did_you_mean(key, groups.names(), 'There are')}")]
    there = exists(config, key)
    if override.is_force_add() or (not there and override.is_add()):
        return []
    if there and override.is_add():
        scalar = not isinstance(override.value(), dict | list)
        return [Problem(line, f"{key} exists already. Leave out the '+': {line[1:]}")] if scalar else []
    if there:
        return [] if override.is_delete() else _wrong_mapping(line, key, _value(override), config, groups)
    if groups.has(key):
        hint = did_you_mean("", groups.options(key), "Choose one of its options")
        return [Problem(line, f"{key!r} is a group of which nothing is chosen, so a mapping changes nothing. {hint}")]
    add = f" To add it all the same: +{line}" if _anything_goes(override, config) else ""
    return [Problem(line, f"there is no {key!r} in the config. {suggestion(key, config, groups)}{add}")]


def _wrong_mapping(line: str, key: str, value: Any, config: DictConfig, groups: Groups) -> list[Problem]:
    """Find what of a mapping cannot be merged into what *key* has: keys there is nothing under, and a list."""
    if not isinstance(value, dict):
        return []
    node = select(config, key)
    if OmegaConf.is_list(node):
        return [Problem(line, f"gives a mapping, but {key} is a list: {node}. Write a list: {key}=[...]")]
    if not OmegaConf.is_dict(node):
        return []  # replaced as a whole
    found: list[Problem] = []
    for name, inner in value.items():
        path = f"{key}.{name}"
        if exists(config, path):
            found += _wrong_mapping(line, path, inner, config, groups)
        else:
            found.append(Problem(line, f"there is no {path!r} in the config. {suggestion(path, config, groups)}"))
    return found


def _anything_goes(override: Override, config: DictConfig) -> bool:
    """Tell whether a new key there could mean something: below a mapping that no target restricts."""
    parent = select(config, override.key_or_group.rpartition(".")[0])
    if override.is_delete() or parent is config or not OmegaConf.is_dict(parent):
        return False
    arguments = arguments_at(parent)
    return "_target_" not in parent or arguments is None or arguments.anything


def _may_be_added(override: Override, config: DictConfig) -> bool:
    if override.is_add() or override.is_delete() or override.package is not None:
        return False
    parent, _, last = override.key_or_group.rpartition(".")
    value, node = _value(override), select(config, override.key_or_group)
    if isinstance(value, dict) and OmegaConf.is_list(node):
        return False
    inside = isinstance(value, dict) and set(map(str, value)) <= takes(node)
    return inside or last in takes(select(config, parent))


def apply(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Carry out overrides that `review` found nothing wrong with, in place."""
    for override in overrides:
        key = override.key_or_group
        if override.is_delete():
            parent, _, last = key.rpartition(".")
            with open_dict(config):
                del (OmegaConf.select(config, parent) if parent else config)[last]
        else:
            OmegaConf.update(config, key, override.value(), merge=True, force_add=True)


def apply_overrides(saved: dict[str, Any], lines: Sequence[str]) -> dict[str, Any]:
    """Change a config that was composed long ago, as ``leyden evaluate DIR key=value`` does.

    Args:
        saved: A resolved config, as `load` gives it. It is not changed.
        lines: ``key=value``, ``+key=value``, ``++key=value`` or ``~key``.

    Returns:
        The changed config, resolved.

    Raises:
        ConfigProblems: If a key does not exist, or a group is to be chosen from: the
            groups were decided when the config was composed.
    """
    config = OmegaConf.create(saved)
    parsed, problems = read(lines)
    for override in parsed:
        line = override.input_line or override.key_or_group
        if override.is_sweep_override():
            problems.append(Problem(line, several_values(line)))
        elif isinstance(override.value(), str) and OmegaConf.is_dict(OmegaConf.select(config, override.key_or_group)):
            problems.append(Problem(line, f"groups were chosen when this config was composed. {_REMEDY}"))
    if not problems:
        reviewed, problems = review(parsed, config, NoGroups())
        parsed, _ = read(reviewed)
    if problems:
        raise ConfigProblems(problems, "the overrides of a saved config")
    apply(config, parsed)
    changed = OmegaConf.to_container(config, resolve=True)
    assert isinstance(changed, dict)
    return {str(key): value for key, value in changed.items()}


_REMEDY = "Change single values, such as data.batch_size=16, or start a new run with leyden train."


def several(lines: Sequence[str]) -> bool:
    """Whether one of *lines* gives several values, as a sweep does."""
    return any(override.is_sweep_override() for override in read(lines)[0])


def several_values(line: str) -> str:
    """Say that *line* gives several values where one is expected."""
    key, _, value = line.partition("=")
    return (
        f"gives several values to one run. For one run each: add -m. "
        f"For a list: '{key}=[{value}]'. For a text with a comma: \"{key}='{value}'\""
    )
