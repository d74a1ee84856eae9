"""What the subcommands of ``leyden jobs`` share: places, questions to a person, and what SLURM did not tell."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from leyden import terminal
from leyden.launch.jobs.questions import Questions
from leyden.runs.listing import default_root

PLACES = (
    """A job is named by its run directory, by a folder with runs in it, by a part of its name, or by the word last."""
)


def parser(command: str, description: str, epilog: str = PLACES) -> ArgumentParser:
    """Return the parser of a subcommand.

    Args:
        command: Its name, with a space before it; empty for the table itself.
        description: What it does.
        epilog: Stands below the options.
    """
    made = ArgumentParser(
        prog=f"leyden jobs{command}",
        description=description,
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
    )
    made.add_argument("--in", dest="root", metavar="FOLDER", type=Path, help="the output folder (default: runs)")
    return made


def parse(made: ArgumentParser, argv: Sequence[str]) -> Namespace:
    """Parse, and settle where the output folder is."""
    found = made.parse_intermixed_args(list(argv))
    found.root = found.root or default_root()
    return found


def complain(questions: Questions) -> None:
    """Say on the error stream what SLURM did not tell, so that nobody takes the files for the whole truth."""
    if questions.silence:
        terminal.complain(f"what SLURM knows is missing ({questions.silence}): its jobs stand here as their files tell")


def several(number: int, word: str = "job") -> str:
    """Write a number of things."""
    return f"1 {word}" if number == 1 else f"{number} {word}s"
