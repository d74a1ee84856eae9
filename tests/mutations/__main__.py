"""``python -m tests.mutations``: take each wall away and see whether its test fails; exit with 1 if one does not."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.mutations.scratch import Scratch
from tests.mutations.wall import Wall, catalogue

CAUGHT, MISSED, UNUSABLE = "caught", "NOT NOTICED", "could not be applied"


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only walls with this in their name, file or test")
    parser.add_argument("--jobs", type=int, default=1, help="walls at a time, each in a copy of the checkout")
    parser.add_argument("--no-baseline", action="store_true", help="take it that the tests pass with all walls")
    arguments = parser.parse_args()
    walls = [each for each in catalogue() if arguments.only in f"{each.name}\n{each.file}\n{each.test}"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leyden-mutations-") as folder, ExitStack() as stack:
        copies = [Scratch(Path(folder) / str(number)) for number in range(max(1, min(arguments.jobs, len(walls))))]
        for each in copies:
            stack.callback(each.close)
        names = [] if arguments.no_baseline else sorted({each.test for each in walls})
        outcome, printed = copies[0].tests(*names, first=False) if names else ("passed", "")
        if outcome != "passed":
            print(f"The tests have to pass before a wall is taken away, but they were: {outcome}\n{printed}")
            return 1
        passed = f"; with all of them, the tests pass ({time.monotonic() - began:.0f} s)" if names else ""
        print(f"{len(walls)} walls{passed}\n", flush=True)
        found = Campaign(walls).run(copies)
    counts = {word: found.count(word) for word in (CAUGHT, MISSED, UNUSABLE)}
    print(f"\n{', '.join(f'{count} {word}' for word, count in counts.items())}; {time.monotonic() - began:.0f} s")
    return 0 if counts[CAUGHT] == len(walls) else 1


class Campaign:
    """Shares walls among copies of the checkout, and prints a line of the table for each.

    Args:
        walls: The rows.
    """

    def __init__(self, walls: list[Wall]) -> None:
        self._left: SimpleQueue[Wall] = SimpleQueue()
        for each in walls:
            self._left.put(each)
        self._widths = [max((len(each[column]) for each in walls), default=0) for column in range(2)]
        self._found: list[str] = []

    def run(self, copies: list[Scratch]) -> list[str]:
        """Take one wall after the other away; returns what came of each."""
        threads = [threading.Thread(target=self._work, args=(copy,)) for copy in copies]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return self._found

    def _work(self, copy: Scratch) -> None:
        while True:
            try:
                wall = self._left.get_nowait()
            except Empty:
                return
            began = time.monotonic()
            word, why = tried(wall, copy)
            self._found.append(word)
            name, file = (text.ljust(width) for text, width in zip(wall, self._widths, strict=False))
            print(f"{name}  {file}  {time.monotonic() - began:4.0f} s  {word}", *why, sep="\n    ", flush=True)


def tried(wall: Wall, copy: Scratch) -> tuple[str, list[str]]:
    """Return what came of taking a wall away, and lines that say more where its test did not fail."""
    try:
        outcome, printed = copy.without(wall)
    except (LookupError, OSError) as error:
        return UNUSABLE, [str(error)]
    if outcome == "failed":
        return CAUGHT, []
    return (MISSED, [wall.test]) if outcome == "passed" else (UNUSABLE, printed.splitlines()[-15:])


if __name__ == "__main__":
    sys.exit(main())
