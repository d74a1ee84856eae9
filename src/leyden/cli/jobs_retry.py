"""``leyden jobs retry [RUN... | PLACE]``: start again what did not finish."""

from __future__ import annotations

from collections.abc import Sequence

from leyden.cli.columns import render
from leyden.cli.jobs_arguments import complain, parse, parser
from leyden.cli.trusting import add_trust
from leyden.errors import ConfigurationError
from leyden.launch.jobs.listing import Outcome, jobs_in, named_in
from leyden.launch.jobs.questions import Questions
from leyden.launch.jobs.retrying import refusal, retry
from leyden.runs.record.state import RunState


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code: 1 if a job that was to be started was not, or did not finish here."""
    options = parser(" retry", "Start jobs that did not finish again, with the launcher that had started them.")
    options.add_argument("places", nargs="*", metavar="RUN", help="a run, a folder with runs, or a part of a name")
    options.add_argument("--failed", action="store_true", help="also those that failed by an error of their own")
    options.add_argument(
        "--all-unfinished",
        action="store_true",
        help="all that are neither finished nor under way, never begun ones too",
    )
    options.add_argument("--here", action="store_true", help="run here, one by one, those that no launcher had started")
    options.add_argument("--detach", action="store_true", help="run a queue of this machine in the background")
    add_trust(options)
    arguments = parse(options, argv)
    if not arguments.places and not (arguments.failed or arguments.all_unfinished):
        raise ConfigurationError(
            "leyden jobs retry takes runs, or a folder with runs, or --failed or --all-unfinished for the whole output "
            "folder: one of them is needed. leyden jobs shows what there is."
        )
    questions = Questions(fresh=True)
    jobs = jobs_in(arguments.places, arguments.root, questions, None)
    complain(questions)
    named = named_in(arguments.places, arguments.root)
    flags = (arguments.failed, arguments.all_unfinished, not questions.silence)
    reasons = {job.path: refusal(job, job.path in named, *flags) for job in jobs}
    wanted = [job for job in jobs if reasons[job.path] is None]
    done = retry(wanted[::-1], arguments.here, arguments.trust, arguments.detach)  # the oldest first
    kept = [Outcome(job, f"not started: {reason}") for job in jobs if (reason := reasons[job.path]) is not None]
    _show(done, kept)
    return int(any(each.failed for each in done))


def _show(done: Sequence[Outcome], kept: Sequence[Outcome]) -> None:
    finished = sum(each.job.state == RunState.FINISHED for each in kept)
    told = [*done, *(each for each in kept if each.job.state != RunState.FINISHED)]
    if told:
        rows = [[each.job.name, each.job.state, each.did] for each in told]
        print("\n".join(render(["run", "was", "did"], rows, 2)))
    else:
        print("there is nothing to retry")
    if finished:
        print(f"{finished} finished: not started again")
