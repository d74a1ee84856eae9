"""A file of a stranger's folder is opened only if it is a regular file there, reached without a link, and small."""

from __future__ import annotations

import os
import socket

import pytest

from leyden import regular
from leyden.errors import UnsafeFileError


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("kept")
    return tmp_path / "outside"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "logs").mkdir(parents=True)
    (tmp_path / "root" / "logs" / "a.log").write_text("text")
    return tmp_path / "root"


def link(path, outside):
    path.symlink_to(outside / "file")


def link_to_a_folder(path, outside):
    path.symlink_to(outside)


def dangling(path, outside):
    path.symlink_to(outside / "new")


def loop(path, outside):
    path.symlink_to(path)


def pipe(path, outside):
    os.mkfifo(path)


def folder(path, outside):
    path.mkdir()


def device(path, outside):
    path.symlink_to("/dev/zero")


def unix_socket(path, outside):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is short
        made.bind(path.name)
        os.chdir(here)


STRANGE = [link, link_to_a_folder, dangling, loop, pipe, folder, device, unix_socket]
OPENERS = {
    "read": lambda root, name: regular.read(root, name, 100),
    "end": lambda root, name: regular.end(root, name, 100),
    "appended": lambda root, name: regular.appended(root, name).close(),
    "held": lambda root, name: regular.held(root, name).close(),
}


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_no_file_is_not_opened(strange, opener, root, outside):
    strange(root / "logs" / "b.log", outside)

    with pytest.raises(UnsafeFileError, match=r"b\.log is a"):
        OPENERS[opener](root, "logs/b.log")

    assert [path.read_text() for path in outside.iterdir()] == ["kept"]


@pytest.mark.parametrize("opener", OPENERS)
def test_no_folder_on_the_way_may_be_a_link(opener, root, outside):
    (root / "other").symlink_to(outside)

    with pytest.raises(UnsafeFileError, match=r"other is a link, to .*outside: it is not followed"):
        OPENERS[opener](root, "other/file")

    assert [path.read_text() for path in outside.iterdir()] == ["kept"]


@pytest.mark.parametrize("opener", ["appended", "held"])
def test_a_file_with_another_name_is_not_written_to(opener, root, outside):
    os.link(outside / "file", root / "logs" / "b.log")

    with pytest.raises(UnsafeFileError, match=r"b\.log has another name"):
        OPENERS[opener](root, "logs/b.log")


def test_a_file_is_read_appended_to_and_listed(root):
    with regular.appended(root, "logs/b.log") as file:
        file.write(b"one")
    with regular.appended(root, "logs/b.log") as file:
        file.write(b"two")

    assert regular.read(root, "logs/b.log", 6) == b"onetwo"
    assert regular.end(root, "logs/b.log", 3) == (b"two", 6)
    assert regular.listed(root, "logs") == ["a.log", "b.log"]
    assert regular.there(root, "logs/b.log")


def test_what_is_absent_is_told_from_what_is_refused(root):
    with pytest.raises(FileNotFoundError):
        regular.read(root, "logs/none", 6)

    assert not regular.there(root, "logs/none")


def test_a_file_that_is_too_large_is_not_read(root):
    with open(root / "large", "wb") as file:
        file.truncate(2**40)

    with pytest.raises(UnsafeFileError, match=r"large has 1,099,511,627,776 bytes: too large"):
        regular.read(root, "large", 1000)


def test_names_in_a_folder_that_is_a_link_are_not_listed(root, outside):
    (root / "other").symlink_to(outside)

    assert regular.listed(root, "other") == []


def test_links_are_neither_listed_nor_there(root, outside):
    link(root / "logs" / "b.log", outside)

    assert regular.listed(root, "logs") == ["a.log"]
    assert not regular.there(root, "logs/b.log")


@pytest.mark.parametrize("strange", [link, link_to_a_folder, dangling, pipe])
def test_a_folder_is_made_or_refused(strange, root, outside):
    strange(root / "made", outside)

    with pytest.raises(UnsafeFileError, match="made is a"):
        regular.folder(root, "made")
    assert regular.folder(root, "new").is_dir()
    assert regular.folder(root, "new").is_dir()
