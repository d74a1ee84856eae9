"""What a row of the catalogue is: a wall, how it is taken away, and the test that must notice.

A wall is a line or two of the code that keep something out, or keep something from being lost. The catalogue is the
lists called ``WALLS`` in ``tests/mutations/walls_*.py``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

SOURCE = Path("src") / "leyden"


class Wall(NamedTuple):
    """A row of the catalogue."""

    name: str
    """What the wall does: a sentence that is false without it; unique."""
    file: str
    """Where it stands, below ``src/leyden``."""
    text: str
    """The wall; occurs exactly once in that file."""
    instead: str
    """What stands in its place when it is taken away."""
    test: str
    """The test that fails then, as pytest names it: the smallest there is."""

    def removed(self, root: Path) -> str:
        """Return the source of its file, below *root*, without the wall.

        Raises:
            LookupError: If the wall is not to be found there, or more than once.
        """
        source = (root / SOURCE / self.file).read_text()
        if (found := source.count(self.text)) != 1:
            raise LookupError(f"the text occurs {found} times in {self.file}, not once: {self.text!r}")
        return source.replace(self.text, self.instead)


def hostile(attack: str, verb: str) -> str:
    """Return the test in which a hostile directory meets a command."""
    return f"tests/hostile/test_hostile_directories.py::test_nothing_of_it_happens[{attack}-{verb}]"


def catalogue() -> list[Wall]:
    """Return all rows."""
    files = sorted(Path(__file__).parent.glob("walls_*.py"))
    return [wall for file in files for wall in import_module(f"tests.mutations.{file.stem}").WALLS]
