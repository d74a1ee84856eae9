"""Runs are dealt out to as many arrays as the cluster's limits make necessary."""

import pytest

from leyden.errors import ConfigurationError
from leyden.launch.slurm.limits import Limits, parse

CONFIG = """\
Configuration data as of 2026-11-22T14:00:00
MaxArraySize            = 1001
MaxJobCount             = 10000
SchedulerParameters     = sched_interval=5{more}
"""


def test_the_limits_of_arrays_and_of_the_queue_are_read():
    assert parse(CONFIG.format(more="")) == Limits(elements=1001, jobs=10000)


def test_a_limit_of_the_scheduler_counts_too():
    assert parse(CONFIG.format(more=",max_array_tasks=50,bf_interval=2")) == Limits(elements=50, jobs=10000)


def test_a_cluster_without_arrays_gets_every_run_by_itself():
    none = parse(CONFIG.format(more="").replace("1001", "0"))

    assert none.dealt("abc") == ["a", "b", "c"]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (8, [8]), (9, [8, 1]), (20, [8, 8, 4])])
def test_runs_are_dealt_out_in_order(count, sizes):
    parts = Limits(elements=8, jobs=100).dealt(list(range(count)))

    assert [len(part) for part in parts] == sizes
    assert [item for part in parts for item in part] == list(range(count))


def test_more_runs_than_the_queue_takes_are_refused():
    with pytest.raises(ConfigurationError) as caught:
        Limits(elements=8, jobs=10).dealt(range(11))

    assert "11 runs were to be submitted, but this cluster keeps at most 10 jobs (MaxJobCount" in str(caught.value)
