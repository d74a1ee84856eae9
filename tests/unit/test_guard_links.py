"""Links that lead out of a run are refused, but for those that W&B leaves to its own logs and nobody follows."""

from __future__ import annotations

import pytest

from leyden.errors import RunError
from leyden.runs.directory import RunDirectory
from leyden.runs.guard import contained


@pytest.fixture
def run(tmp_path):
    (tmp_path / "outside.log").write_text("kept")
    return RunDirectory.create(tmp_path / "run", {"seed": 1}, {})


def link(run, where):
    place = run.path / where
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(run.path.parent / "outside.log")


def test_the_link_of_w_and_b_to_its_own_log_is_let_through(run):
    link(run, "wandb/offline-run-1/logs/debug-core.log")

    contained(run.path)


@pytest.mark.parametrize(
    "where", ["wandb/debug.log", "wandb/offline-run-1/debug.log", "logs/rank0.log", "other/offline-run-1/logs/a.log"]
)
def test_any_other_is_refused(where, run):
    link(run, where)

    with pytest.raises(RunError, match="leads out of the run"):
        contained(run.path)
