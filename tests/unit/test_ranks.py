"""Which of several processes this one is, as torchrun and srun say it."""

import pytest

from leyden import ranks
from leyden.errors import ConfigurationError
from leyden.ranks import Rank

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1"}
SRUN = {
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "2,1,3",
}


def test_torchrun_and_srun_are_understood_and_a_process_alone_is_none():
    assert ranks.current(TORCHRUN) == Rank(3, 4, 1, 2, 1)
    assert ranks.current(SRUN) == Rank(4, 6, 1, 3, 2)
    assert ranks.current({}) is None


def test_torchrun_within_a_job_of_slurm_wins():
    assert ranks.current(SRUN | TORCHRUN) == Rank(3, 4, 1, 2, 1)


def test_a_step_of_one_task_and_a_batch_script_are_processes_of_their_own():
    assert ranks.current(SRUN | {"SLURM_STEP_NUM_TASKS": "1"}) is None
    assert ranks.current({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) is None


def test_two_variables_are_enough_on_one_machine():
    assert ranks.current({"RANK": "1", "WORLD_SIZE": "2"}) == Rank(1, 2, 1, 2, 0)


def test_a_variable_that_is_no_number_is_refused():
    with pytest.raises(ConfigurationError, match="the environment variable RANK is 'first', which tells no rank"):
        ranks.current({"RANK": "first", "WORLD_SIZE": "2"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("gpu[07-09,12],login", "gpu07"),
        ("a[1,5]", "a1"),
        ("login,gpu[1-2]", "login"),
        ("rack3-[01-04]", "rack3-01"),
    ],
)
def test_the_first_host_of_a_list_is_found(nodes, first):
    assert ranks.first_host(nodes) == first


@pytest.mark.parametrize(("text", "counts"), [("2(x3),1", [2, 2, 2, 1]), ("4", [4]), ("1,2(x2)", [1, 2, 2]), ("", [])])
def test_tasks_per_node_are_counted(text, counts):
    assert ranks.tasks_per_node(text) == counts


def test_steps_side_by_side_meet_at_different_ports_and_those_of_one_at_the_same():
    found = [ranks.port("4711", "0"), ranks.port("4711", "1"), ranks.port("4712", "0")]

    assert len(set(found)) == 3
    assert ranks.port("4711", "0") == found[0]
    assert all(12_000 <= port < 32_000 for port in found)


def test_a_process_alone_shares_no_store():
    with pytest.raises(ConfigurationError, match="this process is none of several"):
        ranks.store()


def test_a_process_alone_tells_itself():
    assert ranks.told(lambda: {"run": "here"}) == {"run": "here"}
