"""What a manifest says about threads, variables, ranks and code is used where it can be true, and only there."""

from __future__ import annotations

import json

import pytest

from leyden.errors import RunError
from leyden.runs import origin, reproduction
from leyden.runs.directory import RunDirectory

STRANGE = [None, "x", 7, [1], {"x": 1}, True]


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run", {"paths": {"run_dir": str(tmp_path / "run")}}, {})


def written(run, **record):
    (run.path / "manifest.json").write_text(json.dumps(record))
    return record


@pytest.mark.parametrize("part", STRANGE, ids=repr)
@pytest.mark.parametrize("key", ["environment", "world", "attempts", "code"])
def test_a_part_of_another_type_is_refused_by_name_and_says_nothing(key, part, run):
    record = written(run, **{key: part})

    if part is None or (isinstance(part, dict) and key != "attempts"):
        assert reproduction.ranks_of(run) == (1,)
    else:
        with pytest.raises(RunError, match=rf"manifest\.json is damaged: {key}"):
            reproduction.ranks_of(run)
    assert reproduction._restored(record) == {}
    assert reproduction._threads(record) is None


@pytest.mark.parametrize("part", STRANGE, ids=repr)
def test_parts_of_other_types_further_down_are_refused_and_say_nothing(part, run):
    record = written(
        run, environment={"variables": part, "threads": part}, world={"size": "2"}, attempts=[part, {"ranks": "2"}]
    )

    with pytest.raises(RunError, match=r"manifest\.json is damaged"):
        reproduction.ranks_of(run)
    assert reproduction._restored(record) == {}
    assert reproduction._threads(record) is None


VARIABLES = {
    "PYTHONHASHSEED": ("0", ["evil", "-1", "\0", "9" * 12, ""]),
    "OMP_NUM_THREADS": ("4", ["999999999", "0", "4\0", "4;x"]),
    "MKL_CBWR": ("COMPATIBLE", ["a b", "x" * 99, "\n"]),
    "CUBLAS_WORKSPACE_CONFIG": (":4096:8", ["/elsewhere", "$(x)"]),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_is_restored_with_a_value_that_it_can_have(name):
    fine, strange = VARIABLES[name]

    assert reproduction._restored({"environment": {"variables": {name: fine}}}) == {name: fine}
    for value in strange:
        assert reproduction._restored({"environment": {"variables": {name: value}}}) == {}


def test_other_variables_are_never_restored():
    given = {"LD_PRELOAD": "evil.so", "PYTHONPATH": "evil", "PATH": "evil", "LEYDEN_COMPOSED": "0"}

    assert reproduction._restored({"environment": {"variables": given}}) == {}


def test_thousands_of_ranks_are_started_only_if_they_are_asked_for(run):
    written(run, world={"size": 100_000})

    with pytest.raises(RunError, match="says that 100000 ranks executed the run"):
        reproduction.ranks_to_start(run, None, [])
    assert reproduction.ranks_to_start(run, 2, []) == 2


@pytest.mark.parametrize("commit", ["--upload-pack=touch x", "HEAD", "; x", 7, ["a"], ""])
def test_what_is_no_commit_is_not_given_to_git(commit, run):
    record = written(run, code={"root": str(run.path), "commit": commit})

    with pytest.raises(RunError, match="names no commit"), reproduction._code(record, run, "original"):
        pass


def test_code_that_no_launch_of_ones_own_has_recorded_is_not_executed(run):
    record = written(run, code={"root": str(run.path), "commit": "0" * 40})

    with pytest.raises(RunError, match="no launch of yours has recorded that code"):
        reproduction._check_own(record, run, [])
    reproduction._check_own(record, run, [f"{run.path}/"])
    origin.remember_run(run.path, record["code"])
    reproduction._check_own(record, run, [])
