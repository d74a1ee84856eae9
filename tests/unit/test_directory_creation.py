"""A run directory is complete or not there, whenever its maker is killed; files of others are not touched."""

import json
import os
import signal
import sys

import pytest

from leyden.runs.creation import create
from leyden.runs.directory import RunDirectory

CONFIG = {"name": "it"}
TYPED = {"overrides": ["seed=1"], "choices": {"model": "mlp"}}


def make(folder, steps):
    """Make a run in a process that is killed after so many lines of the code that makes it; return what is left."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        left = steps

        def trace(frame, event, argument):
            nonlocal left
            if not frame.f_code.co_filename.endswith(("creation.py", "atomic.py", "status.py")):
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            RunDirectory.create(folder / "runs" / "it", CONFIG, TYPED)
            sys.settrace(None)
            os.write(writing, str(left).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading) as pipe:
        return pipe.read()


def content(folder):
    """Return all there is below a folder, hidden or not, by its place."""
    found = sorted(folder.rglob("*"))
    return {
        each.relative_to(folder).as_posix(): os.readlink(each)
        if each.is_symlink()
        else each.is_file() and each.read_bytes()
        for each in found
    }


def assert_complete(path):
    assert RunDirectory(path).config() == CONFIG
    assert sorted(each.name for each in path.iterdir()) == ["config.yaml", "overrides.yaml", "status.json"]
    assert json.loads((path / "status.json").read_text())["attempts"] == 0


def test_killed_at_any_moment_it_leaves_a_complete_run_or_a_name_that_is_free(tmp_path):
    lines = 10**6 - int(make(tmp_path / "undisturbed", 10**6))
    assert lines > 60
    outcomes = set()
    for steps in range(1, lines, 3):
        folder = tmp_path / f"killed after {steps}"
        assert make(folder, steps) == ""
        there = (folder / "runs" / "it").exists()
        if not there:
            RunDirectory.create(folder / "runs" / "it", CONFIG, TYPED)
        outcomes.add(there)
        assert_complete(folder / "runs" / "it")
        assert there or [each.name for each in (folder / "runs").iterdir()] == ["it"]

    assert outcomes == {True, False}


def left_by_an_earlier_version(folder, count):
    """Make what a killed start of an earlier version left, which wrote into the directory itself."""
    folder.mkdir()
    files = {
        "overrides.yaml": "overrides:\n- seed=1\nchoices:\n  model: mlp\n",
        ".status.json.4711.tmp": '{"sta',
        "status.json": '{"status": "queued", "created": "2026-01-01", "attempts": 0}',
        ".config.yaml.4711.tmp": "name",
    }
    for name, text in list(files.items())[:count]:
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("count", range(5))
def test_what_an_earlier_version_left_half_made_is_taken_over(count, tmp_path):
    path = left_by_an_earlier_version(tmp_path / "it", count)

    RunDirectory.create(path, CONFIG, TYPED)

    assert_complete(path)


def file(path):
    path.write_text("mine")


def link(path):
    (path.parent / "mine").mkdir()
    path.symlink_to("mine")


def complete_run(path):
    RunDirectory.create(path, {"name": "other"}, TYPED)


def own(name, text):
    def folder(path):
        path.mkdir()
        (path / name).write_text(text)

    return folder


def leftover_and(name):
    def folder(path):
        left_by_an_earlier_version(path, 4)
        (path / name).write_text("mine")

    return folder


def leftover_and_a_folder(path):
    (left_by_an_earlier_version(path, 2) / "checkpoints").mkdir()


@pytest.mark.parametrize(
    "make_it",
    [
        file,
        link,
        complete_run,
        own("notes.txt", "mine"),
        own("overrides.yaml", "- seed=1\n"),
        own("overrides.yaml", "overrides: mine\n"),
        own("status.json", '{"status": "queued", "created": "2026-01-01", "attempts": 0}'),
        own(".hidden", "mine"),
        leftover_and("notes.txt"),
        leftover_and("config.yaml"),
        leftover_and_a_folder,
    ],
)
def test_whatever_belongs_to_somebody_is_not_touched(make_it, tmp_path):
    make_it(tmp_path / "it")
    before = content(tmp_path)

    with pytest.raises(FileExistsError):
        RunDirectory.create(tmp_path / "it", CONFIG, TYPED)

    assert content(tmp_path) == before


def test_a_folder_of_a_process_that_is_still_making_it_is_left_alone(tmp_path):
    others = tmp_path / f".it.{os.getppid()}@{os.uname().nodename}.making"
    elsewhere = tmp_path / ".it.1@elsewhere.making"
    for each in (others, elsewhere):
        each.mkdir()

    RunDirectory.create(tmp_path / "it", CONFIG, TYPED)

    assert others.is_dir()
    assert elsewhere.is_dir()


def test_an_error_while_it_is_filled_leaves_nothing(tmp_path):
    def fill(folder):
        (folder / "config.yaml").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "it", fill)

    assert content(tmp_path) == {}


@pytest.mark.parametrize("leftover", [False, True])
def test_of_several_starts_at_once_exactly_one_gets_the_name(leftover, tmp_path):
    for attempt in range(10):
        path = tmp_path / str(attempt) / "it"
        path.parent.mkdir()
        if leftover:
            left_by_an_earlier_version(path, 4)
        waiting, go = os.pipe()
        children = []
        for number in range(4):
            children.append(os.fork())
            if children[-1] == 0:
                start_at_once(path, number, waiting, go)
        os.close(waiting)
        os.close(go)  # all of them read the end of the pipe now

        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

        assert sorted(codes) == [0, 3, 3, 3]
        assert RunDirectory(path).config()["maker"] == codes.index(0)
        assert [each.name for each in path.parent.iterdir()] == ["it"]


def start_at_once(path, number, waiting, go):
    code = 1
    try:
        os.close(go)
        os.read(waiting, 1)
        RunDirectory.create(path, {**CONFIG, "maker": number}, TYPED)
        code = 0
    except FileExistsError:
        code = 3
    finally:
        os._exit(code)
