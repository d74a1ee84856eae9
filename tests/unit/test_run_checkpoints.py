"""A run goes on from the newest of its own checkpoints that is whole, whatever clocks and copies have done to them."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import torch

from leyden.cli.main import main
from leyden.errors import DamagedCheckpointError
from leyden.integrity import check_whole
from leyden.loading import read
from leyden.runs.checkpoints import choose
from leyden.runs.directory import RunDirectory
from tests.stopped_runs import checkpoints, copied, finished, make, outcome, status, stopped, undated

KEPT = "callbacks.model_checkpoint.save_top_k=-1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(folder):
    """A run that was never stopped."""
    return finished(folder / "whole", KEPT)


@pytest.fixture(scope="module")
def stopped_once(folder):
    return stopped(folder / "stopped", KEPT)


@pytest.fixture(scope="module")
def other(folder):
    """A run of another seed, which has come further."""
    return stopped(folder / "other", KEPT, "seed=5", until=17)


@pytest.fixture
def run(stopped_once, tmp_path):
    return copied(stopped_once, tmp_path / "run")


def resumed_from(run):
    assert main(["run", str(run)]) == 0
    return status(run)["resumed_from"]


def named(run, name):
    return run / "checkpoints" / name


# --- which one is the newest ---------------------------------------------------------------------


def ahead(run):
    for path in checkpoints(run):
        os.utime(path, (time.time() + 3 * 3600,) * 2)
    os.utime(named(run, "epoch=0-step=4.ckpt"), (time.time() + 4 * 3600,) * 2)


def back(run):
    for hours, path in enumerate(checkpoints(run)):
        os.utime(path, (time.time() - hours * 3 * 3600,) * 2)


def touched(run):
    named(run, "epoch=0-step=4.ckpt").touch()


def moved_backwards(run):
    """Write all anew, the newest first: what a copy by another tool may do."""
    for path in reversed(checkpoints(run)):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


CLOCKS = [ahead, back, touched, moved_backwards]


@pytest.mark.parametrize("change", CLOCKS, ids=lambda each: each.__name__)
def test_the_newest_checkpoint_is_the_one_that_says_so_whatever_the_clock_says(change, run, whole):
    change(run)

    assert resumed_from(run) == "checkpoints/last.ckpt"
    assert undated(outcome(run)) == undated(outcome(whole))


def test_a_later_attempt_is_newer_than_a_further_step_of_an_earlier_one(run, whole):
    further = [named(run, name) for name in ("last.ckpt", "epoch=1-step=12.ckpt")]
    for path in further:
        path.rename(path.with_suffix(".aside"))
    assert main(["run", str(run), "--until", "5"]) == 0  # attempt 2 saves step 12
    for path in further:
        path.rename(path.with_name(f"second-{path.name}"))
        path.with_suffix(".aside").rename(path)
    change_step(further[0], 17)

    found = resumed_from(run)

    assert Path(found).name == "second-last.ckpt"


def change_step(path, step):
    """Let a checkpoint say that it is further than it is."""
    found = torch.load(path, weights_only=True)
    found["global_step"] = found["leyden"]["progress"]["updates"] = step
    torch.save(found, path)


def test_attempts_are_counted_on_when_the_status_is_lost(run):
    assert main(["run", str(run), "--until", "1"]) == 0
    before = torch.load(named(run, "last.ckpt"), weights_only=True)["leyden"]["run"]
    (run / "status.json").unlink()

    assert resumed_from(run) == "checkpoints/last.ckpt"
    assert status(run)["run_id"] == before["id"]
    assert status(run)["attempts"] > before["attempt"]


def test_a_run_from_before_identities_goes_on(run, whole):
    said = status(run)
    del said["run_id"]
    (run / "status.json").write_text(json.dumps(said))
    for path in checkpoints(run):
        found = torch.load(path, weights_only=True)
        del found["leyden"]["run"]
        torch.save(found, path)

    assert resumed_from(run) == "checkpoints/last.ckpt"
    assert undated(outcome(run)) == undated(outcome(whole))
    assert torch.load(named(run, "last.ckpt"), weights_only=True)["leyden"]["run"]["id"] is None


# --- whose it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["foreign.ckpt", "last.ckpt"])
@pytest.mark.parametrize("command", ["run", "evaluate", "predict"])
def test_a_checkpoint_of_another_seed_is_refused_by_name(command, name, run, other, capsys):
    shutil.copy(other / "checkpoints" / "last.ckpt", named(run, name))
    before = (run / "status.json").read_bytes()
    capsys.readouterr()

    code = main([command, str(run)])

    said = capsys.readouterr().err
    assert code == 2, said
    assert str(named(run, name)) in said
    assert f"of the run '{other.parent.name}/other'" in said
    assert "Remove it" in said
    assert "Traceback" not in said
    assert (run / "status.json").read_bytes() == before


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_checkpoint_of_another_run_is_refused_where_it_is_named_itself(command, run, other, capsys):
    shutil.copy(other / "checkpoints" / "last.ckpt", named(run, "foreign.ckpt"))

    assert main([command, str(named(run, "foreign.ckpt"))]) == 2
    assert "is a checkpoint of the run" in capsys.readouterr().err


def test_a_new_run_may_begin_from_another_runs_checkpoint(other, tmp_path):
    run = make(tmp_path / "new", f"ckpt_path={other / 'checkpoints' / 'last.ckpt'}")

    with (
        pytest.warns(UserWarning, match="The folder of checkpoints has changed"),
        pytest.warns(UserWarning, match="the random numbers are those of the checkpoint, and not of the seed 0"),
    ):
        assert main(["run", str(run), "--until", "1", "--trust", str(other / "checkpoints")]) == 0


def test_a_copy_of_a_run_and_its_original_go_on_each_by_itself(stopped_once, whole, tmp_path):
    first = copied(stopped_once, tmp_path / "first")
    second = copied(first, tmp_path / "second")

    assert resumed_from(first) == resumed_from(second) == "checkpoints/last.ckpt"

    assert undated(outcome(first)) == undated(outcome(second)) == undated(outcome(whole))
    assert status(first)["run_id"] == status(second)["run_id"] == status(stopped_once)["run_id"]


def test_a_run_that_is_made_from_the_same_config_is_another_run(tmp_path):
    identities = {status(make(tmp_path / name))["run_id"] for name in "abc"}

    assert len(identities) == 3


# --- whether it is whole -------------------------------------------------------------------------

_places = random.Random(7)
PLACES = sorted(_places.random() for _ in range(20))


def flip(path, where):
    content = bytearray(path.read_bytes())
    at = int(where * len(content))
    content[at] ^= 1 << (at % 8)
    path.write_bytes(content)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("where", PLACES)
def test_a_flipped_bit_is_found_or_changes_nothing(where, stopped_once, tmp_path):
    path = Path(shutil.copy(named(stopped_once, "last.ckpt"), tmp_path / "copy.ckpt"))
    before = read(path)
    flip(path, where)

    try:
        found = read(path)
    except DamagedCheckpointError:
        return
    assert same(found, before)


def test_a_flipped_bit_in_any_tensor_is_found(stopped_once, tmp_path):
    path = Path(shutil.copy(named(stopped_once, "last.ckpt"), tmp_path / "copy.ckpt"))
    whole = path.read_bytes()
    weight = torch.load(path, weights_only=True)["state_dict"]
    for name, value in weight.items():
        at = whole.index(value.numpy().tobytes())
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedCheckpointError, match="not those that were written"):
            read(path)
        assert name


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(run, whole, caplog):
    for name in ("last.ckpt", "epoch=1-step=12.ckpt"):
        flip(named(run, name), 0.5)

    assert resumed_from(run) == "checkpoints/epoch=1-step=8.ckpt"
    for name in ("last.ckpt", "epoch=1-step=12.ckpt"):
        assert f"passing over {named(run, name)}" in caplog.text
    assert undated(outcome(run)) == undated(outcome(whole))


def test_a_run_without_a_whole_checkpoint_does_not_silently_begin_anew(run, capsys):
    for path in checkpoints(run):
        flip(path, 0.5)

    assert main(["run", str(run)]) == 2
    said = capsys.readouterr().err
    assert "holds no checkpoint that is whole" in said
    for path in checkpoints(run):
        assert path.name in said


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_damaged_checkpoint_that_is_named_is_refused(command, run, capsys):
    flip(named(run, "last.ckpt"), 0.5)

    assert main([command, str(named(run, "last.ckpt"))]) == 2
    said = capsys.readouterr().err
    assert "last.ckpt" in said
    assert "damaged" in said


def test_a_checkpoint_that_has_changed_is_compared_again(run):
    check_whole(named(run, "last.ckpt"))
    flip(named(run, "last.ckpt"), 0.5)

    with pytest.raises(DamagedCheckpointError, match=r"last\.ckpt is damaged"):
        check_whole(named(run, "last.ckpt"))


def test_a_file_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"state_dict": {}}, tmp_path / "plain.ckpt")
    finally:
        torch.serialization.set_crc32_options(True)

    check_whole(tmp_path / "plain.ckpt")
    assert read(tmp_path / "plain.ckpt") == {"state_dict": {}}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a pipe", "it is a pipe"),
        ("a folder", "it is a folder without"),
        ("a terabyte", "more than the memory"),
    ],
)
def test_what_is_no_file_of_a_checkpoint_is_refused_at_once(name, said, tmp_path):
    path = tmp_path / "last.ckpt"
    if name == "a pipe":
        os.mkfifo(path)
    elif name == "a folder":
        path.mkdir()
    else:
        with open(path, "wb") as file:
            file.truncate(10**12)

    with pytest.raises(DamagedCheckpointError, match=rf"last\.ckpt cannot be read: .*{said}"):
        read(path)


# --- what it costs -------------------------------------------------------------------------------


def bytes_read():
    """Return how many bytes this process has read through system calls so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def test_a_run_reads_its_newest_checkpoint_twice_and_of_the_others_no_tensor(run):
    directory = RunDirectory(run)
    for path in checkpoints(run):  # heavy tensors, so that everything else is little
        found = torch.load(path, weights_only=True)
        found["state_dict"]["ballast"] = torch.zeros(10**6)
        torch.save(found, path)
    size = named(run, "last.ckpt").stat().st_size
    choose(directory)
    named(run, "last.ckpt").touch()

    before = bytes_read()
    chosen = choose(directory).newest
    to_choose = bytes_read() - before
    read(chosen)
    in_all = bytes_read() - before

    assert size <= to_choose < 1.2 * size
    assert in_all < 2.3 * size


# --- what lies beside it -------------------------------------------------------------------------


def test_rows_that_were_cut_off_metrics_csv_are_told_when_the_run_goes_on(run):
    rows = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(rows[:6]))

    with pytest.warns(UserWarning, match=r"metrics\.csv holds 5 of the \d+ rows .* are lost"):
        assert resumed_from(run) == "checkpoints/last.ckpt"
