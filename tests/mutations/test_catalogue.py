"""Every row of the catalogue of walls can be applied: its text is there once, and the code without it is Python."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.mutations.wall import SOURCE, Wall, catalogue

ROOT = Path(__file__).parents[2]
WALLS = catalogue()


def problem(wall):
    """Return what is wrong with a row, or None."""
    try:
        changed = wall.removed(ROOT)
        ast.parse(changed)
    except (LookupError, OSError, SyntaxError) as error:
        return f"{wall.name}: {error}"
    same = changed == (ROOT / SOURCE / wall.file).read_text()
    return f"{wall.name}: nothing is changed" if same else None


def test_every_wall_can_be_taken_away():
    assert [found for wall in WALLS if (found := problem(wall))] == []
    assert len(WALLS) >= 150


def test_the_test_of_every_wall_is_there():
    missing = []
    for wall in WALLS:
        file, _, rest = wall.test.partition("::")
        if rest and f"def {rest.partition('[')[0]}(" not in (ROOT / file).read_text():
            missing.append(wall.test)

    assert missing == []


def test_every_wall_has_a_name_of_its_own():
    assert [name for name, count in Counter(wall.name for wall in WALLS).items() if count > 1] == []


def test_a_wall_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(LookupError, match=r"occurs 0 times in errors\.py"):
        Wall("none", "errors.py", "not to be found", "", "").removed(ROOT)
