"""The end of a command is told right: encodings, readers, terminals, Ctrl-C, full disks, and two starts at once."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journeys.command import ENVIRONMENT, leyden, start, wait_until

LEYDEN = [sys.executable, "-m", "leyden"]
QUICK = ("trainer.max_epochs=1", "trainer.limit_train_batches=5", "logger=csv", "paths.run_dir=run")
LONG = (
    "trainer.max_epochs=2000",
    "logger=csv",
    "paths.run_dir=run",
    "callbacks.model_checkpoint.every_n_train_steps=5",
)


def status(folder, run="run"):
    return json.loads((folder / run / "status.json").read_text())


def saved(folder):
    return list((folder / "run" / "checkpoints").glob("epoch*.ckpt"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished run, trained where no sign beyond ascii can be shown; and what was printed."""
    folder = tmp_path_factory.mktemp("finished")
    done = subprocess.run(
        [*LEYDEN, "train", *QUICK], cwd=folder, check=False, capture_output=True, timeout=250,
        env={**ENVIRONMENT, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )  # fmt: skip
    return folder, done


def test_a_run_that_finishes_on_a_terminal_without_signs_beyond_ascii_exits_with_0(finished):
    folder, done = finished

    assert done.returncode == 0, done.stderr.decode()
    assert "\nresults\n-----" in done.stdout.decode("ascii")
    assert status(folder)["status"] == "finished"


VERBS = [
    ("run", "run"),
    ("evaluate", "run"),
    ("runs", "ls", "--in", "."),
    ("runs", "show", "run"),
    ("jobs", "run"),
    ("report", "run"),
    ("train", "--cfg", "job"),
    ("reproduce", "run"),
]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_no_command_minds_the_encoding_of_its_output_or_that_its_reader_has_gone(words, finished):
    folder, _ = finished
    reading, writing = os.pipe()
    os.close(reading)

    process = subprocess.Popen(
        [*LEYDEN, *words], cwd=folder, stdout=writing, stderr=subprocess.PIPE,
        env={**ENVIRONMENT, "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    os.close(writing)
    _, complaint = process.communicate(timeout=250)

    assert process.returncode == 0, complaint.decode("latin-1")
    assert b"Traceback" not in complaint
    assert b"BrokenPipe" not in complaint


def test_a_reader_that_leaves_after_one_line_does_not_stop_the_run(tmp_path):
    process = subprocess.Popen(
        [*LEYDEN, "train", *QUICK], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with process.stdout as output:
        output.readline()

    assert process.wait(timeout=250) == 0
    assert status(tmp_path)["status"] == "finished"


def in_a_terminal(folder, *words):
    """Start ``leyden words`` in a terminal of its own; return the process, and the end that closes the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *LEYDEN, *words], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**ENVIRONMENT, "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def drained_until(holds, terminal, process):
    """Read what a terminal shows until *holds*; a program waits for a terminal that nobody reads."""
    os.set_blocking(terminal, False)

    def reached():
        with suppress(OSError):  # there is nothing to read, or the program has ended
            os.read(terminal, 100_000)
        return holds()

    return wait_until(reached, process)


def test_a_run_whose_terminal_is_closed_saves_and_can_be_gone_on_with(tmp_path):
    process, terminal = in_a_terminal(tmp_path, "train", *LONG)
    drained_until(lambda: saved(tmp_path), terminal, process)

    os.close(terminal)

    assert process.wait(timeout=120) == 128 + signal.SIGHUP
    assert status(tmp_path)["status"] == "interrupted"
    assert "SIGHUP" in status(tmp_path)["error"]
    assert (tmp_path / "run" / "checkpoints" / "interrupted.ckpt").is_file()
    leyden(tmp_path, "run", "run", "--until", str(status(tmp_path)["step"] + 1))
    assert status(tmp_path)["resumed_from"] == "checkpoints/interrupted.ckpt"


def test_a_hangup_says_how_to_go_on_and_under_nohup_it_is_ignored(tmp_path):
    process = start(tmp_path, "train", *LONG)
    wait_until(lambda: saved(tmp_path), process)
    process.send_signal(signal.SIGHUP)
    code = process.wait(timeout=120)
    step = status(tmp_path)["step"]
    with open(tmp_path / "nohup.txt", "w") as out:
        ignoring = subprocess.Popen(
            ["nohup", *LEYDEN, "run", "run"], cwd=tmp_path, stdout=out, stderr=out, env=ENVIRONMENT
        )
    wait_until(lambda: (status(tmp_path).get("step") or 0) > step + 10, ignoring)
    ignoring.send_signal(signal.SIGHUP)
    later = status(tmp_path)["step"]
    wait_until(lambda: (status(tmp_path).get("step") or 0) > later, ignoring)
    ignoring.send_signal(signal.SIGTERM)

    assert code == 128 + signal.SIGHUP
    assert "resume with:  leyden run run" in (tmp_path / "err.txt").read_text()
    assert ignoring.wait(timeout=120) == 128 + signal.SIGTERM


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0, 2.0, 4.0])
def test_ctrl_c_before_a_run_begins_ends_quietly_and_leaves_no_folder(seconds, tmp_path):
    process = start(tmp_path, "train", *LONG)
    wait_until(lambda: b"PYTHONHASHSEED=" in Path(f"/proc/{process.pid}/environ").read_bytes(), process)
    time.sleep(seconds)
    begun = (tmp_path / "run").exists()
    process.send_signal(signal.SIGINT)

    code, said = process.wait(timeout=120), (tmp_path / "err.txt").read_text()

    assert code == 130
    assert "Traceback" not in said
    if not begun and not (tmp_path / "run").exists():
        assert len(said.strip().splitlines()) == 1
        assert list(tmp_path.glob("*/")) == []
    else:
        assert (tmp_path / "run" / "config.yaml").is_file()


def together(folder, *commands):
    """Start several commands at once; return exit codes and what each said, in the order of the codes."""
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    processes = [subprocess.Popen([*LEYDEN, *words], cwd=folder, env=ENVIRONMENT, **output) for words in commands]
    ends = [(process.communicate(timeout=250)[0].decode(), process) for process in processes]
    return sorted((process.returncode, said) for said, process in ends)


def test_of_two_starts_of_one_directory_one_runs_and_the_other_says_so(tmp_path):
    made = together(tmp_path, *[("train", *QUICK)] * 2)
    (first, _), (second, refused) = made

    assert (first, second) == (0, 2)
    assert "run is a run already" in refused
    assert "leyden run run" in refused
    assert (status(tmp_path)["status"], status(tmp_path)["attempts"]) == ("finished", 1)


def test_of_two_processes_that_execute_one_directory_one_does_and_the_other_says_so(tmp_path):
    process = start(tmp_path, "train", *LONG)
    wait_until(lambda: saved(tmp_path), process)
    process.kill()
    process.wait()
    step = str(status(tmp_path)["step"] + 200)

    (first, _), (second, refused) = together(tmp_path, *[("run", "run", "--until", step)] * 2)

    assert (first, second) == (0, 2)
    assert "is being executed by process" in refused
    assert status(tmp_path)["attempts"] == 2


@pytest.mark.parametrize(("kilobytes", "place"), [(30, "checkpoints"), (0, ".making")])
def test_a_disk_without_room_is_one_message(kilobytes, place, tmp_path):
    """A limit on the size of files stands in for a full disk."""
    done = subprocess.run(
        ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "-", *LEYDEN, "train", *LONG],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=250, env=ENVIRONMENT,
    )  # fmt: skip

    said = done.stderr
    assert done.returncode == 1
    assert said.count("File too large") == 1
    assert "Make room" in said
    assert "Traceback" not in said
    assert place in said or "a file" in said
