"""What differs between runs is shown, in its section, and nothing else."""

import json

import pytest

from leyden.errors import RunError
from leyden.runs.differing import SECTIONS, _flat, changed_files, delta, differences
from leyden.runs.listing import MISSING
from tests.run_directories import make

MANIFEST = {
    "version": 1,
    "created": "now",
    "argv": ["a"],
    "code": {"commit": "abc", "dirty": False, "hash": "h1", "untracked": {}},
    "environment": {"python": "3.11", "packages": {"torch": "2.13", "numpy": "2.0"}, "gpus": []},
    "determinism": {"deterministic_algorithms": False},
    "seeds": {"seed": 0},
    "loaders": {"train": {"batch_size": 64}},
    "data": {"train": {"kind": "arrays", "sha256": "d1"}},
}
PATCH = """diff --git a/model.py b/model.py
index 1..2 100644
--- a/model.py
+++ b/model.py
@@ -1,2 +1,3 @@
-x = 1
+x = 2
+y = 3
"""


def keys(found, section):
    return {row.key: row.values for row in found[section]}


def test_identical_runs_do_not_differ_wherever_they_lie(tmp_path):
    paths = [make(tmp_path / name, {}, {"acc": 0.5, "nan": float("nan")}, MANIFEST).path for name in "ab"]

    found = differences(paths)

    assert found == {section: [] for section in SECTIONS}


def test_each_difference_is_in_its_section(tmp_path):
    other = json.loads(json.dumps(MANIFEST))
    other["code"] |= {"dirty": True, "hash": "h2", "untracked": {"new.py": "0123456789abcdef"}}
    other["environment"]["packages"]["torch"] = "2.14"
    other["seeds"]["seed"] = 1
    other["loaders"]["train"]["batch_size"] = 32
    other["data"]["train"]["sha256"] = "d2"
    one = make(tmp_path / "a", {"seed": 0}, {"acc": 0.5}, MANIFEST)
    two = make(tmp_path / "b", {"seed": 1, "model.hidden": [64], "extra": 1}, {"acc": 0.75}, other)
    (two.path / "code.patch").write_text(PATCH)
    (two.path / "fingerprint.json").write_text('{"final_weights": {"sha256": "0123456789abcdef"}, "version": 1}')

    found = differences([one.path, two.path])

    assert keys(found, "config") == {"seed": (0, 1), "model.hidden": ([128], [64]), "extra": (MISSING, 1)}
    code = keys(found, "code")
    assert (code["hash"], code["dirty"]) == (("h1", "h2"), (False, True))
    assert code["file new.py"] == (MISSING, "not in git, 0123456789ab")
    assert code["file model.py"][1].startswith("changed, +2 -1")
    assert keys(found, "environment") == {"packages.torch": ("2.13", "2.14"), "seeds.seed": (0, 1)}
    assert keys(found, "data") == {"data.train.sha256": ("d1", "d2"), "loaders.train.batch_size": (64, 32)}
    assert keys(found, "metrics") == {"acc": (0.5, 0.75), "fingerprint.final_weights": (MISSING, "0123456789ab")}


def test_three_runs_are_compared_side_by_side(tmp_path):
    paths = [make(tmp_path / name, {"seed": seed}).path for name, seed in zip("abc", (1, 1, 2), strict=True)]

    assert keys(differences(paths), "config") == {"seed": (1, 1, 2)}


def test_numbers_that_are_written_differently_differ(tmp_path):
    paths = [make(tmp_path / str(at), {"model.dropout": value}).path for at, value in enumerate((0, 0.0, False))]

    assert keys(differences(paths), "config") == {"model.dropout": (0, 0.0, False)}


def test_the_difference_of_two_numbers_is_the_second_less_the_first(tmp_path):
    paths = [make(tmp_path / str(acc), {}, {"acc": acc}).path for acc in (0.5, 0.75)]

    (row,) = differences(paths)["metrics"]

    assert delta(row) == 0.25


def test_a_manifest_of_another_shape_is_no_obstacle(tmp_path):
    odd = {"code": [1], "environment": "x", "data": None, "seeds": 3, "loaders": [], "attempts": {}}

    found = differences([make(tmp_path / "a", manifest=odd).path, make(tmp_path / "b", manifest=MANIFEST).path])

    assert "seeds.seed" in keys(found, "environment")


def test_a_patch_that_changes_several_files_is_told_apart_by_file(tmp_path):
    one, two = PATCH, PATCH.replace("model.py", "data.py").replace("y = 3", "y = 4")
    (tmp_path / "code.patch").write_text(one + two)

    found = changed_files(tmp_path / "code.patch")

    assert list(found) == ["file model.py", "file data.py"]
    assert found["file model.py"] != found["file data.py"]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="is no run"):
        differences([tmp_path, tmp_path])


def test_how_ranks_were_started_is_no_difference_of_the_environment():
    started = {
        "RANK": "0",
        "MASTER_PORT": "1",
        "TORCHELASTIC_RUN_ID": "x",
        "LEYDEN_COMPOSED": "y",
        "OMP_NUM_THREADS": "2",
    }
    found = _flat({"environment": {"variables": started}, "world": {"size": 2}}, ("environment", "world"))

    assert found == {"variables.OMP_NUM_THREADS": "2", "world.size": 2}
