"""`leyden train trainer.devices=2` starts ranks, and says which of them failed."""

import pytest

from tests.distributed.project import OWN, make, status
from tests.journeys.command import leyden

TWO = ["train", *OWN, "trainer.devices=2"]


@pytest.fixture
def project(tmp_path):
    return make(tmp_path)


def only_run(folder):
    (found,) = (folder / "runs" / "digits_mlp").iterdir()
    return found


def test_the_error_of_a_rank_is_shown_and_recorded_with_its_number(project):
    said = leyden(project, *TWO, "model.rank=1", "model.step=3", "model.how=raise", code=1)

    run = only_run(project)
    assert "rank 1 of 2 has failed" in said
    assert said.count("ZeroDivisionError: the third step") == 1
    assert "in fall_ill" in said
    assert "Connection closed" not in said
    assert status(run)["status"] == "failed"
    assert status(run)["error"] == "rank 1: ZeroDivisionError: the third step"
    assert "ZeroDivisionError: the third step" in (run / "logs" / "rank1.log").read_text()
    assert "rank 1 has failed" in (run / "logs" / "rank0.log").read_text()


def test_a_rank_that_is_killed_ends_the_others_with_a_clear_message(project):
    said = leyden(project, *TWO, "model.rank=1", "model.step=3", "model.how=kill", code=137)

    assert "rank 1 of 2 was ended by SIGKILL" in said
    assert "Traceback" not in said
    assert status(only_run(project))["error"].startswith("rank 1 of 2 was ended by SIGKILL")


def test_ranks_are_started_again_and_go_on_from_the_last_checkpoint(project):
    leyden(project, *TWO, "model.rank=1", "model.step=6", "model.how=once", "restarts=1")

    run = only_run(project)
    assert status(run)["status"] == "finished"
    assert status(run)["attempts"] == 2
    assert "training starts at epoch 0, step 4" in (run / "logs" / "rank0.log").read_text()


def test_a_rank_that_is_stalled_is_named(project):
    late = ["+trainer.strategy._target_=leyden.strategies.DDPStrategy", "+trainer.strategy.timeout=4"]

    said = leyden(project, *TWO, *late, "model.rank=1", "model.step=3", "model.how=stop", "grace=1", code=1)

    assert "rank 1 did not answer within 4 s" in said
    assert "rank 1 did not answer within 4 s" in status(only_run(project))["error"]
