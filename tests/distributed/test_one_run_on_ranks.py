"""A run on two ranks: the same bits however they are started, and on another number of ranks the same updates."""

import re
import shutil
import signal

import pytest

from tests.distributed.project import OWN, assert_equal, make, status, torchrun, weights
from tests.journeys.command import leyden, start, wait_until

COUNTING = '''"""Writes down which process composes."""

import os
from pathlib import Path

from hydra.plugins.search_path_plugin import SearchPathPlugin


class Counting(SearchPathPlugin):
    def manipulate_search_path(self, search_path):
        with open(Path(__file__).parents[1] / "composed.txt", "a") as file:
            file.write(f"{os.getpid()}\\n")
'''
SAVED = {"config.yaml", "overrides.yaml", "manifest.json"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def whole(project):
    """A run on two ranks that nobody disturbed."""
    leyden(project, "train", *OWN, "trainer.devices=2", f"paths.run_dir={project}/whole")
    return project / "whole"


def prepared(run, name):
    """Make a run directory like *run*, of which nothing has been executed."""
    shutil.copytree(run, run.parent / name, ignore=lambda _, names: set(names) - SAVED)
    return run.parent / name


def test_torchrun_of_a_directory_and_of_the_command_give_the_same_bits(project, whole):
    (project / "hydra_plugins").mkdir()
    (project / "hydra_plugins" / "counting.py").write_text(COUNTING)
    words = ["-m", "leyden", "train", *OWN, f"paths.run_dir={project}/composed"]

    torchrun(project, 2, *words, PYTHONPATH=str(project))
    said = torchrun(project, 2, "-m", "leyden.run", str(prepared(whole, "given")))

    assert_equal(weights(whole), weights(project / "composed"))
    assert_equal(weights(whole), weights(project / "given"))
    assert (whole / "losses.f64").read_bytes() == (project / "given" / "losses.f64").read_bytes()
    assert (whole / "metrics.csv").read_text() == (project / "composed" / "metrics.csv").read_text()
    assert len(set((project / "composed.txt").read_text().split())) == 1
    assert said.count("results") == 1
    assert status(project / "given")["ranks"] == 2


def test_one_process_with_batches_as_large_makes_the_same_updates(project, whole):
    leyden(project, "train", *OWN, "model.batch_size=8", f"paths.run_dir={project}/alone")

    assert_equal(weights(whole), weights(project / "alone"), within=1e-6)


def test_a_mistake_is_told_once_by_rank_0_and_all_ranks_are_refused(project):
    said = torchrun(project, 2, "-m", "leyden", "train", *OWN, "trainer.max_epoch=3", code=1)

    assert said.count("trainer.max_epoch=3") == 1
    assert set(re.findall(r"exitcode  : (\d+)", said)) == {"2"}


def prepared_for(then, whole, name):
    """Make a run like *whole*, for another number of ranks; return its config and its log, too."""
    run = prepared(whole, name)
    config = (run / "config.yaml").read_text()
    config = config.replace("accumulate_grad_batches: 1", f"accumulate_grad_batches: {2 // then}")
    (run / "config.yaml").write_text(config.replace("pause: 0.0", "pause: 0.1"))
    return run, config, run / "logs" / "rank0.log"


@pytest.mark.parametrize("now", [1, 2])
def test_two_ranks_stopped_within_an_epoch_go_on_as_one_or_two(now, project, whole):
    run, config, log = prepared_for(2, whole, f"from-2-to-{now}")
    process = start(project, "run", str(run))
    wait_until(lambda: log.is_file() and "training starts" in log.read_text(), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert (status(run)["status"], status(run)["resumed_from"]) == ("interrupted", None)
    assert (run / "checkpoints" / "interrupted.ckpt").is_file()
    (run / "config.yaml").write_text(config)

    torchrun(project, now, "-m", "leyden.run", str(run))

    assert status(run)["attempts"] == 2
    assert log.read_text().count("stopped by SIGTERM") == 1
    assert_equal(weights(whole), weights(run), within=0 if now == 2 else 1e-6)


def test_one_process_killed_within_an_epoch_goes_on_as_two_ranks(project, whole):
    run, config, _ = prepared_for(1, whole, "from-1-to-2")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("devices: 2", "devices: 1"))
    process = start(project, "run", str(run))
    wait_until(lambda: list(run.glob("checkpoints/*step=4*.ckpt")), process)
    process.kill()
    process.wait()
    (run / "config.yaml").write_text(config)

    leyden(project, "run", str(run))

    assert status(run)["attempts"] == 2
    assert_equal(weights(whole), weights(run), within=1e-6)


def test_as_many_ranks_as_then_repeat_a_run_exactly_and_one_gives_the_same_recipe(project):
    torchrun(project, 2, "-m", "leyden", "train", *OWN, f"paths.run_dir={project}/repeated")

    exact = leyden(project, "reproduce", str(project / "repeated"))
    recipe = leyden(project, "reproduce", str(project / "repeated"), "--ranks", "1", code=3)

    assert "verdict        exact" in exact
    assert "TORCHELASTIC" not in exact
    assert "ranks            2 then, 1 now" in recipe
    assert "verdict        same recipe" in recipe
