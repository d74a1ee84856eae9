"""Files of run directories are opened in one way only: the modules that deal with runs have no other."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import leyden
from leyden.errors import RunError
from leyden.runs import gate
from leyden.runs.directory import RunDirectory

SOURCE = Path(leyden.__file__).parent
OPENING = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "touch", "fromfile", "FileHandler", "fdopen"}
ELSEWHERE = {
    "runs/record/liveness.py": "/proc",
    "runs/environment.py": "/proc, /sys and the driver's files",
    "runs/determinism.py": "/proc/cpuinfo",
    "runs/lock.py": "/proc of the process that a status names",
    "runs/file_hashes.py": "data, and the user's cache",
    "runs/source_files.py": "code of the project",
    "runs/index.py": "the user's cache",
    "runs/origin.py": "the user's state folder; config and patch of a run, to be hashed",
    "runs/manifest.py": "the config, to be hashed, after the gate",
    "runs/report/page.py": "style and script of the package",
    "launch/jobs/questions.py": "the user's cache",
    "launch/jobs/stopped.py": "/proc/stat",
    "launch/jobs/launchers.py": "what was written just now",
    "launch/ranks/report.py": "a folder in /tmp that this process has made",
    "runs/creation.py": "what a start that was killed has left, links not followed",
    "runs/snapshot.py": "an archive that is written anew",
    "cli/streams.py": "/dev/null",
    "cli/report.py": "the page that was asked for",
    "cli/reproduce.py": "what was written just now",
}
"""Modules that open something else than a file of a run directory, and what."""


def opens(tree):
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [each.id for each in calls if isinstance(each, ast.Name)]
    methods = [each.attr for each in calls if isinstance(each, ast.Attribute) and ast.unparse(each.value) != "atomic"]
    return OPENING.intersection(names + methods)


@pytest.mark.parametrize("layer", ["runs", "launch", "cli"])
def test_no_module_opens_files_of_a_run_by_itself(layer):
    found = {
        path.relative_to(SOURCE).as_posix(): opens(ast.parse(path.read_text()))
        for path in (SOURCE / layer).rglob("*.py")
    }

    assert len(found) > 10
    assert {name: calls for name, calls in found.items() if calls and name not in ELSEWHERE} == {}
    assert {name for name in ELSEWHERE if name.startswith(layer) and not found.get(name)} == set()


def test_a_run_directory_cannot_be_had_without_the_gate(tmp_path):
    run = RunDirectory.create(tmp_path / "run", {"seed": 1}, {})
    (tmp_path / "outside").write_text("kept")
    (run.path / "attempts.jsonl").symlink_to(tmp_path / "outside")

    with pytest.raises(RunError, match=r"attempts\.jsonl is a link"):
        RunDirectory(run.path)


@pytest.mark.parametrize("letter", ["\n", "\r", "\x1b", "\x9b", "\x7f"])
def test_a_path_with_control_characters_is_refused(letter, tmp_path):
    with pytest.raises(RunError, match="control characters"):
        gate.check(tmp_path / f"a{letter}b")


def test_a_link_within_its_folder_is_a_name_for_a_run(tmp_path):
    run = RunDirectory.create(tmp_path / "runs" / "digits" / "one", {"seed": 1}, {})
    (tmp_path / "runs" / "latest").symlink_to(run.path)

    assert gate.named(tmp_path / "runs" / "latest") == run.path


def test_a_link_out_of_its_folder_is_none_unless_it_leads_to_what_the_project_trusts(tmp_path):
    run = RunDirectory.create(tmp_path / "scratch" / "one", {"seed": 1}, {})
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "one").symlink_to(run.path)

    with pytest.raises(RunError, match=r"is a link to .*scratch/one, which lies somewhere else"):
        gate.named(tmp_path / "runs" / "one")

    (tmp_path / "pyproject.toml").write_text('[tool.leyden]\ntrust = ["./scratch"]\n')

    assert gate.named(tmp_path / "runs" / "one") == run.path
    assert os.path.islink(tmp_path / "runs" / "one")
