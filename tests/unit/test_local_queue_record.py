"""A queue is on disk: what it was given, who runs it, and nothing that a reader has to believe blindly."""

import subprocess
import sys

import pytest

from leyden.errors import RunError
from leyden.launch.launcher import batch_folder
from leyden.launch.local.following import find
from leyden.launch.local.record import FILE, Options, QueueRecord, existing, held, is_held
from leyden.launch.local.standing import cancelled, code_of, standing
from leyden.runs.record.job import NONE, JobRecord, read, write
from tests.run_directories import make

HOLD = """
import sys, time
from pathlib import Path
from leyden.launch.local.record import held

with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def runs(tmp_path):
    """Three runs of one multirun, none of which has begun."""
    return [make(tmp_path / "sweep" / str(number)) for number in range(3)]


@pytest.fixture
def record(runs):
    """The record of a queue over them, written."""
    folder = batch_folder(runs, "queue")
    found = QueueRecord(folder, [each.path for each in runs], Options(2, None), {runs[1].path: ["0", "GPU-1"]})
    found.write()
    return found


def test_a_queue_lies_beside_its_runs_and_two_never_share_a_folder(runs, tmp_path):
    first, second, single = batch_folder(runs, "queue"), batch_folder(runs, "queue"), batch_folder(runs[:1], "queue")

    assert first == tmp_path / "sweep" / "queue"
    assert second == tmp_path / "sweep" / "queue-1"
    assert single == runs[0].path / "queue"


def test_what_is_written_is_read_again(record):
    assert QueueRecord.read(record.folder) == record


def test_a_multirun_that_was_moved_as_a_whole_has_its_queue_with_it(record, tmp_path):
    moved = (tmp_path / "sweep").rename(tmp_path / "moved")

    found = QueueRecord.read(moved / "queue")

    assert [path.parent for path in found.directories] == [moved] * 3


@pytest.mark.parametrize("content", ["{", "{}", '{"directories": [1], "options": {}, "devices": {}}'])
def test_a_damaged_record_is_said_to_be_one(record, content):
    (record.folder / FILE).write_text(content)

    with pytest.raises(RunError, match=r"queue\.json is damaged.*leyden jobs retry"):
        QueueRecord.read(record.folder)


def test_a_queue_leads_to_no_run_elsewhere(record, tmp_path):
    other = make(tmp_path / "other" / "run")
    (tmp_path / "sweep" / "linked").symlink_to(other.path)
    QueueRecord(record.folder, [tmp_path / "sweep" / "linked"], Options(1, None), {}).write()

    with pytest.raises(RunError, match=r"names .*sweep/linked, which does not lie in .*sweep\."):
        QueueRecord.read(record.folder)


def test_runs_that_were_removed_are_left_out(record, runs):
    (runs[0].path / "config.yaml").unlink()

    assert [each.path for each in existing(record.directories)] == [runs[1].path, runs[2].path]


def test_the_newest_queue_of_a_multirun_is_found_by_its_directory(record, runs, tmp_path):
    later = QueueRecord(batch_folder(runs, "queue"), [runs[0].path], Options(), {})
    later.write()

    assert find(tmp_path / "sweep") == later.folder
    assert find(record.folder) == record.folder
    with pytest.raises(RunError, match="has no queue"):
        find(tmp_path)


def test_one_process_runs_a_queue_and_the_lock_goes_with_it(record):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(record.folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    while_it_lives = is_held(record.folder)
    with pytest.raises(RunError, match="is run by another process"), held(record.folder):
        pass
    holder.kill()
    holder.communicate()

    assert while_it_lives
    assert not is_held(record.folder)


def test_a_job_that_was_written_down_is_read_and_a_strange_file_is_none(runs):
    write(runs[0].path, JobRecord("local", "17_0", "/sweep/queue", "/sweep/0/logs/job.log"))
    (runs[1].path / "job.json").write_text("[1]")

    assert read(runs[0].path).id == "17_0"
    assert read(runs[0].path).ranks == 1
    assert read(runs[1].path) == NONE
    assert read(runs[2].path) == NONE


def test_a_run_stands_as_its_files_say(runs):
    runs[0].update(status="finished", started="2026-01-01T10:00:00+00:00", ended="2026-01-01T10:01:05+00:00")
    runs[0].write_result({"val_loss": 0.25, "val_acc": 0.5, "test_acc": 0.75}, "val_loss")
    runs[1].update(status="failed", error="ZeroDivisionError: once\nand more")
    runs[2].update(status="interrupted", reason="cancelled")

    finished, failed, stopped = (standing(each) for each in runs)

    assert (finished.state, finished.metric, finished.spent) == ("finished", "val_loss 0.25", 65.0)
    assert (failed.state, failed.reason) == ("failed", "ZeroDivisionError: once")
    assert [cancelled(each) for each in runs] == [False, False, True]
    assert (code_of([finished]), code_of([finished, stopped])) == (0, 1)


def test_a_run_without_an_optimized_metric_shows_a_few(runs):
    runs[0].update(status="finished")
    runs[0].write_result({"val_loss": 0.25, "val_acc": 0.5, "test_acc": 0.75}, None)

    assert standing(runs[0]).metric == "val_loss 0.25, val_acc 0.5"
