"""``leyden runs rm RUN... | conditions``: move runs to the trash."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from leyden.cli.asking import agreed
from leyden.cli.runs_arguments import parse, parser, selected
from leyden.config.project import shown
from leyden.errors import ConfigurationError
from leyden.runs.keeping import empty, refusal, remove, size, trashed
from leyden.runs.listing import find
from leyden.runs.query import condition
from leyden.terminal import complain

UNDONE = "Nothing was removed."


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("rm", "Move runs to the trash, a folder beside them. Pinned and running ones stay.", filters=True)
    options.add_argument("runs", nargs="*", metavar="RUN", help="a directory, a part of its name, or conditions")
    options.add_argument("--yes", action="store_true", help="do not ask")
    options.add_argument("--empty-trash", action="store_true", help="delete what lies in the trash, for good")
    arguments = parse(options, argv)
    if arguments.empty_trash == bool(arguments.runs):
        raise ConfigurationError(
            "leyden runs rm takes runs, or conditions, or --empty-trash alone: one of them is needed."
        )
    if arguments.empty_trash:
        return _empty(arguments.root, arguments.yes)
    paths = _meant(arguments)
    if not paths:
        print("there is nothing to remove")
        return 0
    for path in paths:
        print(shown(path))
    if not agreed(f"Move {_count(len(paths))} to the trash?", arguments.yes, UNDONE):
        return 1
    for path in paths:
        target = remove(path, arguments.root)
        print(f"moved; undo with:  mv {shown(target)} {shown(path)}")
    return 0


def _meant(arguments: Namespace) -> list[Path]:
    """Return the runs named; with conditions, those of them that meet all, or of all runs if none is named.

    What must not be removed is an error where it was named, and stays where it merely meets the conditions.

    Raises:
        ConfigurationError: If a run that was named must not be removed.
    """
    stated = [word for word in arguments.runs if not Path(word).exists() and condition(word) is not None]
    named = list(dict.fromkeys(find(word, arguments.root) for word in arguments.runs if word not in stated))
    meeting = [Path(run.path) for run in selected(arguments, stated)] if stated else named
    paths = [path for path in meeting if not named or path in named]
    reasons = {path: reason for path in paths if (reason := refusal(path)) is not None}
    if reasons and named:
        raise ConfigurationError("\n".join([*reasons.values(), "Nothing was removed."]))
    for reason in reasons.values():
        complain(f"stays: {reason}")
    return [path for path in paths if path not in reasons]


def _empty(root: Path, yes: bool) -> int:
    places = trashed(root)
    if not places:
        print("the trash is empty")
        return 0
    megabytes = sum(map(size, places)) / 1e6
    question = f"Delete what was removed {len(places)} times from {shown(root)}, {megabytes:.1f} MB, for good?"
    if not agreed(question, yes, UNDONE):
        return 1
    empty(root)
    print(f"deleted {megabytes:.1f} MB")
    return 0


def _count(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"
