"""Errors of composition that lie in config files, said so that one knows what to write.

What is wrong with overrides is found by `leyden.config.overrides.review`; here is what is
left: a file names an option that does not exist, is no YAML, or does not fit together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.errors import MissingConfigException

from leyden.config.groups import Groups
from leyden.config.origins import file_of
from leyden.config.problems import Problem, did_you_mean
from leyden.config.project import shown

_IN_FILE = re.compile(r"^In '?([^':]+?)'?: |\b[Ii]n '([^']+)'")


def explain(error: Exception, loader: ConfigLoader, groups: Groups, chosen: Sequence[str] = ()) -> Problem:
    """Turn an error that composing raised into a problem of the file it lies in.

    Args:
        error: What composing raised.
        loader: Hydra's loader.
        groups: The groups there are.
        chosen: Configs that were asked for, such as ``experiment/mine``.
    """
    if isinstance(error, yaml.MarkedYAMLError):
        return _not_yaml(error)
    if isinstance(error, RecursionError):
        return _endless(loader, groups, chosen)
    text = _text(error)
    within = _IN_FILE.search(text)
    where = (within.group(1) or within.group(2)) if within else None
    text = text[within.end() :] if within and within.group(1) else text
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        text = _missing(error.missing_cfg_file, groups, loader)
        where = _overriding(error.missing_cfg_file, loader, chosen) or where
    override = re.search(r"Could not override '([^']+)'|No earlier Group Default for '([^']+)'", text)
    if override:
        text = _no_such_group(override.group(1) or override.group(2), groups)
    return Problem(where or "composition", text, None if where is None else file_of(loader, where))


def _endless(loader: ConfigLoader, groups: Groups, chosen: Sequence[str]) -> Problem:
    """Explain defaults without an end: most often an option that builds on another one of its own group."""
    for config in chosen or [f"{group}/{option}" for group in groups.names() for option in groups.options(group)]:
        group, _, option = config.rpartition("/")
        file = file_of(loader, config)
        text = Path(file).read_text(encoding="utf-8") if file is not None and Path(file).is_file() else ""
        found = re.search(rf"^\s*-\s*/?{re.escape(group)}(@\S+)?:\s*(\S+)", text, flags=re.MULTILINE)
        if found:
            base = found.group(2)
            return Problem(
                config,
                f"builds on {base!r} of its own group by {found.group(0).strip()!r}. The choice {group}={option} takes "
                f"the place of that one, too, so that it would build on itself. Write '- {base}' in its defaults",
                file,
            )
    return Problem(
        "composition", "the defaults have no end: configs that build on each other. Look at: --info defaults"
    )


def _text(error: BaseException) -> str:
    """Return the first message along the chain of causes that says something, on one line."""
    said = next((str(cause) for cause in _causes(error) if str(cause).strip()), type(error).__name__)
    kept = said.partition("\nConfig search path:")[0].partition("\nSearch path:")[0]
    return " ".join(line.strip() for line in kept.splitlines() if line.strip())


def _causes(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_causes(error.__cause__)]


def _not_yaml(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    reason = " ".join(part for part in (error.context, error.problem) if part)
    if mark is None:
        return Problem("yaml", f"is no YAML: {reason}.")
    place = f"{shown(mark.name)}:{mark.line + 1}"
    return Problem(
        place, f"is no YAML: {reason}, column {mark.column + 1}. Check indentation, colons and quotes there."
    )


def _missing(config: str, groups: Groups, loader: ConfigLoader) -> str:
    group, _, option = config.rpartition("/")
    if not group:
        names = loader.get_group_options("")
        return f"there is no config {option!r}. {did_you_mean(option, names, 'There are')}"
    _, _, inner = group.partition("/")
    if inner and groups.has(inner) and not groups.has(group):
        return f"there is no group {group!r}. To choose from {inner!r} write '- override /{inner}: {option}' there."
    hint = did_you_mean(option, groups.options(group), "Its options are")
    return f"the group {group!r} has no option {option!r}. {hint}"


def _overriding(missing: str, loader: ConfigLoader, chosen: Sequence[str]) -> str | None:
    """Return the one of *chosen* whose ``override`` asks for the *missing* config: Hydra blames the primary one."""
    group, _, option = missing.rpartition("/")
    written = re.compile(rf"override\s+/?{re.escape(group)}(@\S+)?:\s*['\"]?{re.escape(option)}\b")
    for config in chosen:
        file = file_of(loader, config)
        if file is not None and Path(file).is_file() and written.search(Path(file).read_text(encoding="utf-8")):
            return config
    return None


def _no_such_group(key: str, groups: Groups) -> str:
    key = key.partition("@")[0]
    _, _, inner = key.partition("/")
    if inner and groups.has(inner):
        return f"'override {inner}' lacks its leading slash. Write '- override /{inner}: <option>'."
    hint = did_you_mean(key, groups.names(), "There are")
    return f"'override /{key}' matches nothing in the defaults list. {hint}"
