"""A run that is killed at any moment, and whose resumes are killed, too, ends as if nothing had happened.

This is the short form of a campaign: a dozen kills at moments that are the same each time. The long form, with
moments by the clock as well, is ``make chaos ARGS="--kills 300"``.
"""

import pytest

from tests.chaos.__main__ import told
from tests.chaos.campaign import Bench
from tests.chaos.processes import Starter
from tests.chaos.scenarios import SCENARIOS

BY_NAME = {each.name: each for each in SCENARIOS}


@pytest.fixture(scope="module")
def starter():
    with Starter() as found:
        yield found


@pytest.mark.parametrize("name", ["default", "accumulation", "manual", "workers-2-persistent"])
def test_killed_between_two_hooks_it_ends_as_if_nothing_had_happened(name, starter, tmp_path):
    bench = Bench(BY_NAME[name], starter, tmp_path, seed=0, only="mark on_before")

    for _ in range(3):
        bench.trial(starter)

    assert bench.tally.chosen >= 3
    assert not bench.tally.differences, "\n".join(map(told, bench.tally.differences))
