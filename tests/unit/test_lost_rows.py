"""Rows that a file has lost are told once, and the run goes on with the rows that an undisturbed one writes."""

from __future__ import annotations

import csv
import io

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from leyden.cli.main import main
from tests.stopped_runs import copied, finished, make, outcome, stopped


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@pytest.fixture(scope="module")
def whole(folder):
    """A run that was never stopped."""
    return finished(folder / "whole")


@pytest.fixture(scope="module")
def original(folder):
    return stopped(folder / "stopped")


def within_a_row(text):
    return text[: len(text) * 2 // 3]


def behind_a_row(text):
    return "".join(text.splitlines(keepends=True)[:7])


def in_the_header(text):
    return text[:7]


def only_the_header(text):
    return text.splitlines(keepends=True)[0]


def emptied(text):
    return ""


def gone(text):
    return None


def rows(run):
    """Return the rows of a run without what is empty: the order of columns is that in which they were first written."""
    found = csv.DictReader(io.StringIO((run / "metrics.csv").read_text()))
    return [{name: value for name, value in row.items() if value} for row in found]


SAVED = 12  # rows that are in the file when the run is stopped
CUTS = [within_a_row, behind_a_row, in_the_header, only_the_header, emptied, gone]


@pytest.mark.parametrize("cut", CUTS)
def test_lost_rows_are_told_once_and_those_that_follow_are_right(cut, original, whole, tmp_path):
    run, file = copied(original, tmp_path / "run"), tmp_path / "run" / "metrics.csv"
    left = cut(file.read_text())
    file.unlink()
    if left is not None:
        file.write_text(left)
    kept = 0 if left is None else max(0, left.count("\n") - 1)

    with pytest.warns(UserWarning, match=f"holds {kept} of the {SAVED} rows.* {SAVED - kept} are lost") as said:
        assert main(["run", str(run)]) == 0

    assert len(said) == 1
    assert rows(run) == rows(whole)[:kept] + rows(whole)[SAVED:]
    here, there = outcome(run), outcome(whole)
    assert all(here[part] == there[part] for part in ("weights", "step", "result", "fingerprint"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_an_event_file_that_was_cut_hides_nothing_that_follows(share, folder, tmp_path):
    undisturbed, run = make(tmp_path / "undisturbed", "logger=tensorboard"), tmp_path / "run"
    stopped(run, "logger=tensorboard")
    (file,) = run.rglob("events.out.tfevents*")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])

    assert [main(["run", str(each)]) for each in (undisturbed, run)] == [0, 0]

    expected, found = (points(each) for each in (undisturbed, run))
    assert found.keys() == expected.keys()
    for tag, values in expected.items():
        later = [point for point in values if point[0] >= 14]
        assert [point for point in found[tag] if point[0] >= 14] == later
    assert any(point[0] == 17 for values in found.values() for point in values)


def points(run):
    (folder,) = {path.parent for path in run.rglob("events.out.tfevents*")}
    found = EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
