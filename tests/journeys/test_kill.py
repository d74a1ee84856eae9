"""A run that is killed or interrupted at any moment goes on and ends as if nothing had happened."""

import json
import re
import signal

import pytest
import torch

from tests.journeys.command import leyden, only_run, start, wait_until

RUN = [
    "train",
    "trainer.max_epochs=12",
    "trainer.log_every_n_steps=1",
    "callbacks.model_checkpoint.every_n_train_steps=8",
    "model.dropout=0.2",
    "logger=csv",
]
BESIDE = [*RUN, "trainer.plugins=async_checkpoint_io"]
BATCHES = 12 * 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    leyden(folder, *RUN)
    return only_run(folder)


def assert_same_outcome(run, whole):
    expected = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    found = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert found["global_step"] == expected["global_step"] == BATCHES
    for name, weight in expected["state_dict"].items():
        assert torch.equal(weight, found["state_dict"][name]), f"{name} differs"
    assert (run / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert json.loads((run / "result.json").read_text()) == json.loads((whole / "result.json").read_text())
    status = json.loads((run / "status.json").read_text())
    assert (status["status"], status["attempts"]) == ("finished", 2)


def saved_steps(folder):
    return [int(re.search(r"step=(\d+)", path.name)[1]) for path in folder.glob("runs/*/*/checkpoints/epoch*.ckpt")]


@pytest.mark.parametrize("step", [8, 104, 232])
def test_killed_in_the_middle_of_an_epoch(step, whole, tmp_path):
    process = start(tmp_path, *RUN)

    wait_until(lambda: max(saved_steps(tmp_path), default=0) >= step, process)
    process.kill()
    process.wait()
    run = only_run(tmp_path)
    assert json.loads((run / "status.json").read_text())["status"] == "running"
    leyden(tmp_path, "run", str(run))

    assert_same_outcome(run, whole)


@pytest.mark.parametrize("words", [RUN, BESIDE], ids=["at once", "beside training"])
def test_killed_while_a_checkpoint_is_being_written(words, whole, tmp_path):
    process = start(tmp_path, *words)

    wait_until(lambda: max(saved_steps(tmp_path), default=0) >= 24, process)
    wait_until(lambda: list(tmp_path.glob("runs/*/*/checkpoints/.*.tmp")), process)
    process.kill()
    process.wait()
    run = only_run(tmp_path)
    leyden(tmp_path, "run", str(run))

    assert_same_outcome(run, whole)


def test_killed_before_the_first_checkpoint(whole, tmp_path):
    process = start(tmp_path, *RUN)

    wait_until(lambda: any('"running"' in path.read_text() for path in tmp_path.glob("runs/*/*/status.json")), process)
    process.kill()
    process.wait()
    run = only_run(tmp_path)
    leyden(tmp_path, "run", str(run))

    assert_same_outcome(run, whole)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_saves_says_how_to_resume_and_exits_with_the_code_of_the_signal(signum, code, whole, tmp_path):
    process = start(tmp_path, *RUN)

    wait_until(lambda: max(saved_steps(tmp_path), default=0) >= 40, process)
    process.send_signal(signum)
    process.wait(timeout=60)
    run = only_run(tmp_path)
    said = (tmp_path / "err.txt").read_text()
    status = json.loads((run / "status.json").read_text())
    saved = torch.load(run / "checkpoints" / "interrupted.ckpt", weights_only=True)
    leyden(tmp_path, "run", str(run))

    assert process.returncode == code
    assert status["step"] == saved["global_step"]
    assert f"leyden run runs/digits_mlp/{run.name}" in said
    assert status["status"] == "interrupted"
    assert signum.name in status["error"]
    assert not (run / "checkpoints" / "interrupted.ckpt").exists()
    assert_same_outcome(run, whole)


def test_asked_to_stop_while_a_checkpoint_is_written_beside_training(whole, tmp_path):
    process = start(tmp_path, *BESIDE)

    wait_until(lambda: max(saved_steps(tmp_path), default=0) >= 24, process)
    wait_until(lambda: list(tmp_path.glob("runs/*/*/checkpoints/.*.tmp")), process)
    process.terminate()
    process.wait(timeout=60)
    run = only_run(tmp_path)
    left = sorted(path.name for path in (run / "checkpoints").iterdir())
    status = json.loads((run / "status.json").read_text())
    leyden(tmp_path, "run", str(run))

    assert process.returncode == 143
    assert len(left) == 3  # the newest, last.ckpt, and interrupted.ckpt; nothing is half written
    assert "interrupted.ckpt" in left
    assert status["status"] == "interrupted"
    assert_same_outcome(run, whole)


def test_a_damaged_checkpoint_is_passed_over(whole, tmp_path):
    process = start(tmp_path, *RUN)
    wait_until(lambda: max(saved_steps(tmp_path), default=0) >= 40, process)
    process.kill()
    process.wait()
    run = only_run(tmp_path)
    newest = max((run / "checkpoints").glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:1000])

    leyden(tmp_path, "run", str(run))

    assert "passing over" in (run / "logs" / "rank0.log").read_text()
    assert_same_outcome(run, whole)


def test_a_directory_is_executed_by_one_process_at_a_time(tmp_path):
    process = start(tmp_path, *RUN, "trainer.max_epochs=200")
    wait_until(lambda: saved_steps(tmp_path), process)
    run = only_run(tmp_path)

    said = leyden(tmp_path, "run", str(run), code=2)

    assert f"is being executed by process {process.pid}" in said
    process.kill()
    process.wait()


def test_a_finished_run_is_not_run_again(whole, tmp_path):
    before = (whole / "status.json").read_text()

    said = leyden(tmp_path, "run", str(whole))

    assert "test_acc" in said
    assert (whole / "status.json").read_text() == before


def test_a_directory_that_was_moved_goes_on_in_its_new_place(whole, tmp_path):
    process = start(tmp_path, *RUN)
    wait_until(lambda: max(saved_steps(tmp_path), default=0) >= 40, process)
    process.kill()
    process.wait()
    moved = tmp_path / "elsewhere"
    only_run(tmp_path).rename(moved)

    leyden(tmp_path, "run", str(moved))

    assert_same_outcome(moved, whole)
    assert list((tmp_path / "runs" / "digits_mlp").iterdir()) == []
