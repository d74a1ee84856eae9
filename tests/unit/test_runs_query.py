"""Conditions select the runs they say, orders order them, and what no run has is a mistake, not an empty list."""

import pytest

from leyden.errors import ConfigurationError, RunError
from leyden.runs.listing import list_runs
from leyden.runs.query import conditions, ordered, select
from tests.run_directories import make

CHOICES = {"model": "mlp", "scheduler": "none"}
LATER = "2026-11-20T11:30:00+00:00"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("query")
    root = folder / "runs"
    then = "2026-11-20T10:00:00+00:00"
    finished = {"test_acc": 0.98, "val_loss": 0.1}
    make(root / "a", {"seed": 1, "model.hidden": [64]}, finished, choices=CHOICES, created=then)
    finished = {"test_acc": 0.95, "val_loss": float("nan")}
    make(root / "b", {"seed": 2, "optimizer.lr": 1e-4}, finished, choices={"model": "conv"})
    finished = {"test_acc": 0.9, "extra": 1}
    make(root / "c", {"seed": 3, "name": "Wide", "test": True}, finished, started=then, ended=LATER)
    changes = {"seed": 4, "model.hidden": [64, 64], "trainer.gradient_clip_val": 1.0}
    make(root / "d", changes, status="failed", typed=("seed=4", "model.hidden=[64,64]"))
    return list_runs(root, folder / "cache")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("status=finished", "abc"),
        ("status=failed", "d"),
        ("status=failed,finished", "abcd"),
        ("status!=finished", "d"),
        ("model.hidden=[64]", "a"),
        ("model.hidden=[64],[64,64]", "ad"),
        ("model.hidden == [64, 64]", "d"),
        ("seed=1,3", "ac"),
        ("seed>2", "cd"),
        ("seed>=2 seed<4", "bc"),
        ("optimizer.lr=1e-4", "b"),
        ("optimizer.lr<0.001", "b"),
        ("test_acc>0.97", "a"),
        ("test_acc<=0.95", "bc"),
        ("val_loss<1", "a"),
        ("metrics.test_acc>0.97 config.seed=1", "a"),
        ("model=mlp", "a"),
        ("choices.model=conv", "b"),
        ("scheduler=none", "a"),
        ("extra=null", "abd"),
        ("extra!=null", "c"),
        ("trainer.gradient_clip_val=null", "abc"),
        ("test=true", "c"),
        ("test=1", ""),
        ("name=Wide", "c"),
        ("name~wid", "c"),
        ("run~[ab]", "ab"),
        ("typed~hidden", "d"),
        ("age>1d", "a"),
        ("age<1h", "bcd"),
        ("duration>1h", "c"),
        ("duration>=1.5h", "c"),
        ("duration>2h", ""),
        ("created>2026-11-21", "bcd"),
        ("pinned=false", "abcd"),
        ("status>5", ""),
        ("_target_~Experiment seed=1", "a"),
    ],
)
def test_a_condition_holds_for_the_runs_it_says(words, expected, runs):
    wanted = conditions([words] if "==" in words else words.split())

    assert sorted(run.name for run in select(runs, wanted)) == list(expected)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["seed"], "abcd"),
        (["-seed"], "dcba"),
        (["-test_acc"], "abcd"),
        (["test_acc"], "cbad"),
        (["status", "-seed"], "dcba"),
        (["name", "-optimizer.lr", "seed"], "cadb"),
    ],
)
def test_an_order_is_kept_and_what_has_no_value_is_last(keys, expected, runs):
    assert [run.name for run in ordered(runs, keys)] == list(expected)


def test_a_value_that_is_no_number_is_last_in_either_direction(runs):
    there = [run for run in runs if run.name in "ab"]

    assert [run.name for run in ordered(there, ["val_loss"])] == ["a", "b"]
    assert [run.name for run in ordered(there, ["-val_loss"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("model.hiden=[64]", "Did you mean 'model.hidden'?"),
        ("lr=1", "Did you mean 'optimizer.lr'?"),
        ("tset_acc>0.5", "Did you mean 'test_acc'?"),
    ],
)
def test_what_no_run_has_is_a_mistake_with_the_right_spelling(word, hint, runs):
    with pytest.raises(RunError) as caught:
        select(runs, conditions([word]))

    assert "none of the 4 runs has" in str(caught.value)
    assert hint in str(caught.value)


def test_what_is_no_condition_is_refused():
    with pytest.raises(ConfigurationError, match="'digits' is no condition"):
        conditions(["digits"])
    with pytest.raises(ConfigurationError, match="compares seed with nothing"):
        conditions(["seed="])
