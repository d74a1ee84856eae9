"""``python -m tests.chaos``: run a campaign, print a table, and exit with 1 if a run came to something else."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from tests.chaos.campaign import Bench, Difference
from tests.chaos.processes import Starter
from tests.chaos.scenarios import SCENARIOS, Scenario


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    names = [each.name for each in SCENARIOS]
    parser.add_argument("--kills", type=int, default=100, help="how many, of all scenarios together")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same moments; the clock's roughly")
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--only-moment", metavar="TEXT", help="only events with this in their name, or: clock")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for runs that differ; default a temporary one")
    parser.add_argument(
        "--jobs", type=int, default=min(4, os.cpu_count() or 1), help="trials at a time, of as many scenarios"
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no more after so many")
    parser.add_argument("--list", action="store_true", help="show scenarios and the moments of an undisturbed run")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="leyden-chaos-"))
    folder = folder.resolve() / time.strftime("%H%M%S")
    folder.mkdir(parents=True)
    chosen = [each for each in SCENARIOS if not arguments.scenario or each.name in arguments.scenario]
    began = time.monotonic()
    if arguments.list:
        with Starter() as starter:
            for each in chosen:
                show_moments(Bench(each, starter, folder, 0, arguments.only_moment))
        return 0
    seconds = 60 * arguments.minutes
    campaign = Campaign(chosen, arguments.kills, arguments.seed, arguments.only_moment, folder, seconds)
    threads = [threading.Thread(target=campaign.work) for _ in range(arguments.jobs)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    print(table(campaign.benches))
    found = sum(len(each.tally.differences) for each in campaign.benches)
    print(f"\nseed {arguments.seed}, {time.monotonic() - began:.0f} s, kept in {folder}")
    return 1 if found or campaign.failed else 0


class Campaign:
    """Shares the kills among the scenarios, which take turns, and the trials among threads.

    Args:
        scenarios: What is run.
        kills: In all.
        seed: Of the moments.
        only: Part of the names of the moments that count.
        folder: For everything.
        seconds: After which no more trials begin.
    """

    def __init__(
        self, scenarios: list[Scenario], kills: int, seed: int, only: str | None, folder: Path, seconds: float
    ) -> None:
        whole = sum(each.weight for each in scenarios)
        self._wanted = {each.name: max(1, -int(-kills * each.weight // whole)) for each in scenarios}
        self._new, self._waiting = deque(scenarios), deque[Bench]()
        self._seed, self._only, self._folder, self._over = seed, only, folder, time.monotonic() + seconds
        self._lock = threading.Lock()
        self.benches: list[Bench] = []
        self.failed = False

    def work(self) -> None:
        """Run one trial after the other; the body of a thread."""
        with Starter() as starter:
            while time.monotonic() < self._over:
                try:
                    bench = self._next(starter)
                    if bench is None:
                        return
                    for each in bench.trial(starter):
                        print(told(each), flush=True)
                except Exception as error:
                    self.failed = True
                    print(error, file=sys.stderr, flush=True)
                    continue
                if bench.tally.kills < self._wanted[bench.scenario.name]:
                    self._waiting.append(bench)

    def _next(self, starter: Starter) -> Bench | None:
        """Return a scenario that no other thread is at, with its reference run; None if there is none any more."""
        with self._lock:
            if not self._new:
                return self._waiting.popleft() if self._waiting else None
            scenario = self._new.popleft()
        bench = Bench(scenario, starter, self._folder, self._seed, self._only)
        self.benches.append(bench)
        return bench


def told(found: Difference) -> str:
    """Return a difference in a few lines."""
    strikes = "; then ".join(map(str, found.strikes))
    lines = [f"{found.scenario}, trial {found.trial}: killed {strikes}", *(f"    {each}" for each in found.said[:6])]
    more = [f"    and {len(found.said) - 6} more"] if len(found.said) > 6 else []
    return "\n".join([*lines, *more, f"    {found.kept}"])


def table(benches: list[Bench]) -> str:
    """Return the results, a line for each scenario."""
    head = ("scenario", "trials", "kills", "by clock", "chosen", "kinds", "resumes", "killed", "new", "differences")
    rows = [
        (each.scenario.name, tally.trials, tally.kills, tally.by_clock, tally.chosen, len(tally.kinds), tally.resumes,
         tally.resumes_killed, tally.anew, len(tally.differences))
        for each in benches for tally in [each.tally]
    ]  # fmt: skip
    total = ("all", *(sum(row[column] for row in rows) for column in range(1, len(head))))
    lines = [[str(cell) for cell in row] for row in (head, *rows, total)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def show_moments(bench: Bench) -> None:
    """Print how often each kind of event comes in an undisturbed run."""
    print(f"{bench.scenario.name}, {bench.moments.seconds:.1f} s")
    for kind, count in sorted(bench.moments.counts.items()):
        print(f"  {count:4}  {kind}")


if __name__ == "__main__":
    sys.exit(main())
