"""Files and folders get their names whole, and lose them before they are deleted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leyden import atomic


def folder(path, content):
    """Make a folder with a file in it."""
    path.mkdir()
    (path / "part").write_text(content)
    return path


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    target = folder(tmp_path / "last.ckpt", "old")

    atomic.put(folder(tmp_path / ".last.ckpt.part", "new"), target)

    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert (target / "part").read_text() == "new"


def test_a_folder_takes_the_place_of_a_file(tmp_path):
    target = tmp_path / "last.ckpt"
    target.write_text("old")

    atomic.put(folder(tmp_path / ".last.ckpt.part", "new"), target)

    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert (target / "part").read_text() == "new"


@pytest.mark.parametrize("linked", [False, True])
def test_a_file_takes_the_place_of_a_folder_or_of_a_link_to_one(tmp_path, linked):
    target = tmp_path / "last.ckpt"
    best = folder(tmp_path / "best.ckpt", "best")
    if linked:
        target.symlink_to(best)
    else:
        folder(target, "old")

    atomic.write_text(target, "new")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert target.read_text() == "new"
    assert (best / "part").read_text() == "best"


def test_a_folder_takes_the_place_of_a_link(tmp_path):
    best, target = folder(tmp_path / "best.ckpt", "best"), tmp_path / "last.ckpt"
    target.symlink_to(best)

    atomic.put(folder(tmp_path / ".last.ckpt.part", "new"), target)

    assert not target.is_symlink()
    assert (target / "part").read_text() == "new"
    assert (best / "part").read_text() == "best"


def test_what_a_crash_between_the_two_steps_left_is_cleared_by_the_next_save(tmp_path):
    target = tmp_path / "last.ckpt"
    folder(tmp_path / "last.old.ckpt", "older")
    folder(target, "old")

    atomic.put(folder(tmp_path / ".last.ckpt.part", "new"), target)

    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    best, link = folder(tmp_path / "best.ckpt", "best"), tmp_path / "last.ckpt"
    link.symlink_to(best)

    atomic.remove(link)
    atomic.remove(tmp_path / "never.ckpt")

    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


def test_a_folder_is_removed_with_all_that_is_in_it(tmp_path):
    atomic.remove(folder(tmp_path / "best.ckpt", "best"))

    assert list(tmp_path.iterdir()) == []


ORDER = """
import os, sys
from leyden import atomic

flush, said = os.fsync, []

def fsync(handle):
    said.append(f"flushed {os.path.basename(os.readlink(f'/proc/self/fd/{handle}'))}")
    flush(handle)

def heard(event, arguments):
    if event == "os.rename":
        said.append(f"named {os.path.basename(arguments[1])}")

os.fsync = fsync
sys.addaudithook(heard)
atomic.write_text(sys.argv[1], "content")
print(*said, sep="\\n")
"""


def test_a_file_is_flushed_before_it_gets_its_name_and_its_folder_afterwards(tmp_path):
    words = [sys.executable, "-c", ORDER, str(tmp_path / "last.ckpt")]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()

    first, *rest = said
    assert first.startswith("flushed .last.ckpt.")
    assert rest == ["named last.ckpt", f"flushed {tmp_path.name}"]
