"""Every row of the catalogue of walls can be applied: its text is there once, and the code without it compiles."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutations.wall import SOURCE, Wall, catalogue

ROOT = Path(__file__).parents[2]
WALLS = catalogue()


@pytest.mark.parametrize("wall", WALLS, ids=[wall.name for wall in WALLS])
def test_a_wall_can_be_taken_away(wall):
    changed = wall.removed(ROOT)

    compile(changed, wall.file, "exec")
    assert changed != (ROOT / SOURCE / wall.file).read_text()


@pytest.mark.parametrize("wall", WALLS, ids=[wall.name for wall in WALLS])
def test_the_test_of_a_wall_is_there(wall):
    file, _, rest = wall.test.partition("::")

    assert not rest or f"def {rest.partition('[')[0].rpartition('::')[2]}(" in (ROOT / file).read_text()


def test_every_wall_has_a_name_of_its_own():
    assert [name for name, count in Counter(wall.name for wall in WALLS).items() if count > 1] == []


def test_a_wall_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(LookupError, match=r"occurs 0 times in errors\.py"):
        Wall("none", "errors.py", "not to be found", "", "").removed(ROOT)
