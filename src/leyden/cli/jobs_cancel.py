"""``leyden jobs cancel RUN... | --all``: end jobs, whoever started them."""

from __future__ import annotations

from collections.abc import Sequence

from leyden.cli.asking import agreed
from leyden.cli.columns import render
from leyden.cli.jobs_arguments import complain, parse, parser, several
from leyden.config.project import shown
from leyden.errors import ConfigurationError
from leyden.launch.jobs.cancelling import cancel, cancellable
from leyden.launch.jobs.listing import LATELY, jobs_in
from leyden.launch.jobs.questions import Questions


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code: 1 if a job could not be ended."""
    options = parser(" cancel", "End jobs. A run stops at the end of a step and saves; one that waits does not begin.")
    options.add_argument("places", nargs="*", metavar="RUN", help="a run, a folder with runs, or a part of a name")
    options.add_argument("--all", action="store_true", help="all that wait or run in the output folder")
    options.add_argument("--now", action="store_true", help="kill them: nothing is saved")
    options.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parse(options, argv)
    if arguments.all == bool(arguments.places):
        raise ConfigurationError("leyden jobs cancel takes runs, or --all: one of the two is needed.")
    questions = Questions(fresh=True)
    jobs = jobs_in(arguments.places, arguments.root, questions, LATELY if arguments.all else None)
    complain(questions)
    ending = [job for job in jobs if cancellable(job)]
    if arguments.all or len(ending) > 1:
        jobs = ending
    if not jobs:
        print("there is nothing to cancel")
        return 0
    if len(ending) > 1:
        print("\n".join(f"{job.state:<8} {shown(job.path)}" for job in ending))
        verb = "Kill" if arguments.now else "Cancel"
        if not agreed(f"{verb} {several(len(ending))}?", arguments.yes):
            return 1
    outcomes = cancel(jobs, arguments.now)
    rows = [[outcome.job.name, outcome.job.state, outcome.did] for outcome in outcomes]
    print("\n".join(render(["run", "was", "did"], rows, 2)))
    return int(any(outcome.failed for outcome in outcomes))
