"""GPUs are lent to one run at a time, processors are divided, and what cannot be had is refused."""

import pytest

from leyden.errors import ConfigurationError
from leyden.launch.local.share import CORES_PER_RUN, Leases, Need, default_slots, named, need, variables

CPU = {"trainer": {"accelerator": "auto", "devices": "auto"}}


def asking(devices, accelerator="auto", **config):
    return {"trainer": {"accelerator": accelerator, "devices": devices}, **config}


def test_a_gpu_is_lent_to_nobody_else_until_it_is_given_back():
    leases = Leases(["0", "1", "2"])

    first, second = leases.take(2), leases.take(2)
    leases.give_back(first)

    assert first == ("0", "1")
    assert second is None
    assert leases.take(3) == ("0", "1", "2")


def test_a_run_without_gpus_is_lent_none_and_never_waits_for_one():
    leases = Leases(["0"])
    leases.take(1)

    assert leases.take(0) == ()


def test_gpus_that_a_run_of_an_earlier_queue_has_are_not_lent():
    leases = Leases(["0", "1"])

    leases.claim(["0"])

    assert leases.take(2) is None
    assert leases.take(1) == ("1",)


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 2, ["0", "1"]),
        ("2,5", 2, ["2", "5"]),
        ("GPU-8f1a, GPU-11c2", 2, ["GPU-8f1a", "GPU-11c2"]),
        ("", 0, []),
        ("3,9", 1, ["3"]),  # there is no device 9
    ],
)
def test_only_gpus_that_the_queue_was_shown_are_lent_by_the_names_it_knows(visible, count, names):
    assert named(visible, count) == names


@pytest.mark.parametrize(
    ("config", "per_job", "found"),
    [
        (asking("auto"), None, Need(1, 1)),
        (asking(2), None, Need(2, 2)),
        (asking("3"), None, Need(3, 3)),
        (asking(-1), None, Need(1, 1)),
        (asking("auto"), 2, Need(2, 2)),
        (asking("auto"), 0, Need(0, 1)),
        (asking(2, "cpu"), None, Need(0, 2)),
        (asking("auto", threads=3), None, Need(1, 1, 3)),
    ],
)
def test_what_a_run_needs_is_what_its_config_asks_for_unless_the_queue_says_otherwise(config, per_job, found):
    assert need(config, 4, per_job) == found


def test_where_there_are_no_gpus_none_are_asked_for():
    assert need(asking(2), 0) == Need(0, 2)


@pytest.mark.parametrize("devices", [[2, 3], "2,3"])
def test_particular_gpus_are_refused_since_the_queue_lends_those_that_are_free(devices):
    with pytest.raises(ConfigurationError) as caught:
        need(asking(devices), 4)

    assert "trainer.devices=2" in str(caught.value)
    assert "CUDA_VISIBLE_DEVICES" in str(caught.value)


@pytest.mark.parametrize(("per_job", "key"), [(None, "trainer.devices"), (6, "hydra.launcher.gpus_per_job")])
def test_more_gpus_than_there_are_is_refused_by_the_key_that_asks(per_job, key):
    with pytest.raises(ConfigurationError) as caught:
        need(asking(6), 4, per_job)

    assert str(caught.value).startswith(f"{key} asks for 6 GPUs a run, and there are 4 to lend.")


def test_the_variable_shows_a_run_what_it_was_lent_and_nothing_else():
    assert variables(Need(2), ("4", "7"), 8, 4, {})["CUDA_VISIBLE_DEVICES"] == "4,7"
    assert variables(Need(0), (), 8, 4, {})["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in variables(Need(0), (), 0, 4, {})


def test_threads_are_divided_among_the_ranks_of_a_run():
    found = variables(Need(0, ranks=2), (), 0, 8, {})

    assert set(found) == {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"}
    assert set(found.values()) == {"4"}
    assert variables(Need(0, ranks=4), (), 0, 2, {})["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("wants", "environ"), [(Need(0, threads=2), {}), (Need(0), {"OMP_NUM_THREADS": "1"})])
def test_threads_that_the_config_or_the_user_has_set_are_left_alone(wants, environ):
    assert variables(wants, (), 0, 8, environ) == {}


def test_slots_are_the_gpus_or_a_share_of_the_processors():
    assert default_slots([Need(1), Need(1)], 4, 64) == 4
    assert default_slots([Need(0)], 4, 4 * CORES_PER_RUN) == 4
    assert default_slots([], 0, 1) == 1
