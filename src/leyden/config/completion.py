"""Shell completion for a command with subcommands.

The shell script that Hydra installs asks the first word alone, ``leyden -sc query=bash``,
with the line so far in ``COMP_LINE``. Hydra then completes that line as if everything
after the first word were overrides. So the subcommand is taken out of the line first:

    leyden tr<TAB>           ─►  the names of the subcommands
    leyden train mo<TAB>     ─►  "leyden mo", completed by Hydra: groups, options, keys
    leyden evaluate ru<TAB>  ─►  nothing, so that the shell completes files
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from leyden.config.app import run_app


def complete(argv: Sequence[str], apps: Mapping[str, str], commands: Sequence[str]) -> int:
    """Answer the shell: ``-sc install=bash``, ``-sc uninstall=bash`` or ``-sc query=bash``.

    Args:
        argv: Everything after the name of the program, beginning with ``-sc``.
        apps: Subcommands that compose, with the name of their primary config.
        commands: All subcommands.

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
        names = [f"{name} " if query == "fish" else name for name in sorted(commands) if name.startswith(command)]
        print(("\n" if query == "fish" else " ").join(names))
        return 0
    if command not in apps:
        return 0
    return _hydra(apps[command], argv, f"{program} {overrides}")


def _hydra(config_name: str, argv: Sequence[str], line: str) -> int:
    os.environ["COMP_LINE"] = line
    return run_app(config_name, argv, lambda *_: 0)
