"""``leyden jobs why RUN``: why it stopped, waits, or was not requeued, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from leyden.cli.columns import COLOURS, coloured
from leyden.cli.jobs_arguments import complain, parse, parser
from leyden.launch.jobs.listing import Job, jobs_in
from leyden.launch.jobs.questions import Questions
from leyden.launch.jobs.why import Explanation, why
from leyden.terminal import as_json, printable


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser(" why", "Say why a job stopped, why it waits, why it was not requeued, and what to do next.")
    options.add_argument("places", nargs="*", default=["last"], metavar="RUN", help="a run, or a part of its name")
    options.add_argument("--json", action="store_true", help="print it for programs")
    arguments = parse(options, argv)
    questions = Questions(fresh=True)
    jobs = jobs_in(arguments.places or ["last"], arguments.root, questions, None)
    answers = [(job, why(job)) for job in jobs]
    if arguments.json:
        print(as_json([{**job.row(), **answer.row()} for job, answer in answers]))
    else:
        print("\n\n".join("\n".join(_lines(job, answer)) for job, answer in answers))
    complain(questions)
    return 0


def _lines(job: Job, answer: Explanation) -> list[str]:
    state = coloured(answer.state, COLOURS.get(answer.state))
    trace = [f"  {printable(line)}" for line in answer.trace.lines] if answer.trace is not None else []
    next_ = [f"next: {printable(answer.advice)}"] if answer.advice else []
    return [f"{printable(job.name)}  {state}", *map(printable, answer.sentences), *trace, *next_]
