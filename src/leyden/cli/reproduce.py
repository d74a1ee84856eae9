"""``leyden reproduce DIR``: run it once more in a new directory, and say whether the result is the same."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from leyden.cli.trusting import add_trust
from leyden.config.project import shown
from leyden.errors import ConfigurationError, RunError
from leyden.runs import reproduction
from leyden.runs.difference import table
from leyden.runs.directory import RunDirectory
from leyden.runs.guard import admitted
from leyden.runs.reproduction import TOLERANCE, Reproduction
from leyden.runs.verdict import Outcome
from leyden.terminal import complain, printable_lines

EXIT_CODES = {Outcome.EXACT: 0, Outcome.SAME_RECIPE: 3, Outcome.DIFFERENT: 4}


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_intermixed_args(argv)
    out = sys.stderr if arguments.json else sys.stdout
    try:
        original = RunDirectory(arguments.directory)
        admitted(original, arguments.trust)  # before anything is asked or written: anybody may have made it
        launcher, typed = _for_launcher(arguments)
        ranks = reproduction.ranks_to_start(original, arguments.ranks, typed)
        overrides = [*reproduction.same_updates(original, arguments.ranks), *typed]
        copy = reproduction.copied(original, arguments.out, overrides)
        print(
            f"then and now\n\n{printable_lines(table(reproduction.preflight(original, copy)))}\n", file=out, flush=True
        )
        launcher += _tasks(launcher, ranks)
        code = reproduction.execute(
            original, copy, arguments.code, arguments.until, arguments.trust, out, ranks, launcher
        )
        if code:
            complain(f"the repetition ended with exit code {code}; see {shown(copy.path)}/logs")
            return code
        found = reproduction.judge(original, copy, arguments.tolerance, arguments.until)
    except (ConfigurationError, RunError) as error:
        complain(error)
        return 2
    if arguments.json:
        print(printable_lines((copy.path / "reproduction.json").read_text(encoding="utf-8"), sys.maxsize), end="")
    else:
        print(printable_lines(report(found)))
    return EXIT_CODES[found.verdict.outcome]


def _for_launcher(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return what ``leyden submit`` is told, and the overrides of the run.

    Raises:
        ConfigurationError: If it is told something without being asked for.
    """
    words = [word for word in arguments.overrides if word.lstrip("+").startswith("hydra.launcher.")]
    if words and not arguments.launcher:
        raise ConfigurationError(
            f"{' '.join(words)}: a repetition runs on this machine. Expected no launcher. Add --launcher slurm."
        )
    chosen = [f"hydra/launcher={arguments.launcher}"] if arguments.launcher else []
    return [*chosen, *words], [word for word in arguments.overrides if word not in words]


def _tasks(launcher: Sequence[str], ranks: int | None) -> list[str]:
    """Ask for as many tasks as there are ranks, on one node, unless somebody has said where they go."""
    said = any("tasks_per_node" in word or "hydra.launcher.nodes" in word for word in launcher)
    return [] if not launcher or ranks is None or said else [f"hydra.launcher.tasks_per_node={ranks}"]


def report(found: Reproduction) -> str:
    """Write a verdict for a terminal."""
    verdict = found.verdict
    width = max(len(check.what) for check in verdict.checks)
    marks = {True: "equal   ", False: "differs "}
    lines = [f"{marks[check.equal]} {check.what:<{width}}  {check.said}" for check in verdict.checks]
    late = [each for each in found.differences if each.key.split(".")[0] in ("data", "loaders", "determinism", "world")]
    if late:
        lines += ["", table(late)]
    said = {
        Outcome.EXACT: "exact: every bit that was recorded is the same",
        Outcome.SAME_RECIPE: f"same recipe: at most {verdict.largest:.3g} apart, of {verdict.tolerance:g} (relative)",
        Outcome.DIFFERENT: "different",
    }[verdict.outcome]
    if verdict.first_diverging_step is not None:
        by = "" if verdict.difference is None else f", by {verdict.difference:.3g}"
        said += f"; first diverging step {verdict.first_diverging_step}{by}"
    return "\n".join(["", *lines, "", f"verdict        {said}", f"run directory  {shown(found.copy.path)}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leyden reproduce",
        description="Run a finished run once more, in a new directory, and compare. "
        "Exit code: 0 exact, 3 same recipe, 4 different, 2 nothing to compare.",
    )
    parser.add_argument("directory", help="what leyden train made; nothing is written into it")
    parser.add_argument("overrides", nargs="*", help="key=value: what is to be different, to see whether it matters")
    parser.add_argument(
        "--code",
        choices=("current", "original"),
        default="current",
        help="run the code of now, or the recorded commit and patch from a git worktree",
    )
    parser.add_argument("--until", type=_number, metavar="STEP", help="compare only the first so many training steps")
    parser.add_argument(
        "--ranks",
        type=_number,
        metavar="N",
        help="start N ranks, whose updates see as many samples; default as many as then, which alone can be exact",
    )
    parser.add_argument(
        "--launcher",
        metavar="NAME",
        help="run it on a cluster: slurm, or a preset built on it; with hydra.launcher.KEY=VALUE as for leyden submit",
    )
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="relative; for 'same recipe' (%(default)g)")
    parser.add_argument("--out", type=Path, help="the new directory; default beside the original")
    parser.add_argument("--json", action="store_true", help="print reproduction.json, and all else on standard error")
    add_trust(parser)
    return parser


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 on")
    return number
