"""Shell completion for a command with subcommands.

The shell script that Hydra installs asks the first word alone, ``leyden -sc query=bash``,
with the line so far in ``COMP_LINE``. Hydra then completes that line as if everything
after the first word were overrides. So the subcommand is taken out of the line first:

    leyden tr<TAB>           ─►  the names of the subcommands
    leyden train mo<TAB>     ─►  "leyden mo", completed by Hydra: groups, options, keys
    leyden runs l<TAB>       ─►  the commands of ``leyden runs``
    leyden evaluate ru<TAB>  ─►  nothing, so that the shell completes files
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.plugins.completion_plugin import CompletionPlugin
from omegaconf import ListConfig, OmegaConf

from leyden.config.app import run_app

_MATCHES = "_get_matches"  # what Hydra asks for the keys of a config that a word may go on as


def complete(
    argv: Sequence[str],
    apps: Mapping[str, str],
    commands: Sequence[str],
    inner: Mapping[str, Callable[[], Sequence[str]]] | None = None,
) -> int:
    """Answer the shell: ``-sc install=bash``, ``-sc uninstall=bash`` or ``-sc query=bash``.

    Args:
        argv: Everything after the name of the program, beginning with ``-sc``.
        apps: Subcommands that compose, with the name of their primary config.
        commands: All subcommands.
        inner: Of those that have commands of their own, what returns the names.

    Returns:
        The exit code.
    """
    default = next(iter(apps.values()))
    query = next((word.removeprefix("query=") for word in argv if word.startswith("query=")), None)
    if query is None:
        return _hydra(default, argv, os.environ.get("COMP_LINE", ""))
    program, _, rest = os.environ.get("COMP_LINE", "").lstrip().partition(" ")
    command, space, overrides = rest.lstrip().partition(" ")
    if not space:
        return _offer(query, [name for name in sorted(commands) if name.startswith(command)])
    if inner is not None and command in inner and " " not in overrides.lstrip():
        return _offer(query, [name for name in sorted(inner[command]()) if name.startswith(overrides.lstrip())])
    if command not in apps:
        return 0
    with _lists_as_values():
        return _hydra(apps[command], argv, f"{program} {overrides}")


def _offer(shell: str, names: Sequence[str]) -> int:
    print("\n".join(f"{name} " for name in names) if shell == "fish" else " ".join(names))
    return 0


@contextmanager
def _lists_as_values() -> Iterator[None]:
    """Have Hydra complete a list as a value, ``model.hidden=[64]``, and not by its places, ``model.hidden.0=``."""
    original: Callable[[Any, str], list[str]] = getattr(CompletionPlugin, _MATCHES)

    def matches(config: Any, word: str) -> list[str]:
        if word.endswith("=") and isinstance(listed := _select(config, word[:-1]), ListConfig):
            return [f"{word}{_written(listed)}"]
        found = original(config, word)
        ends = [(match, match.endswith(".") and isinstance(_select(config, match[:-1]), ListConfig)) for match in found]
        return [f"{match[:-1]}=" if is_list else match for match, is_list in ends]

    setattr(CompletionPlugin, _MATCHES, staticmethod(matches))
    try:
        yield
    finally:
        setattr(CompletionPlugin, _MATCHES, staticmethod(original))


def _select(config: Any, key: str) -> Any:
    return OmegaConf.select(config, key) if OmegaConf.is_dict(config) else None


def _written(listed: ListConfig) -> str:
    """Return a list of simple values as it is typed; nothing of one that is not as easily typed."""
    values: Any = OmegaConf.to_container(listed, resolve=False)
    if not all(isinstance(each, (int, float, str)) for each in values):
        return ""
    return f"[{','.join(str(each).lower() if isinstance(each, bool) else str(each) for each in values)}]"


def _hydra(config_name: str, argv: Sequence[str], line: str) -> int:
    os.environ["COMP_LINE"] = line
    return run_app(config_name, argv, lambda *_: 0)
