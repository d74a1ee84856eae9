"""Two results are exact only if every recorded bit is the same; where they part is found to the step."""

from __future__ import annotations

import json

import numpy as np
import pytest

from leyden.errors import RunError
from leyden.runs.directory import RunDirectory
from leyden.runs.verdict import Outcome, compare


@pytest.fixture
def run(tmp_path):
    def make(name, losses=(1.0, 0.5, 0.25), initial="aa", final="bb", metrics=(("loss", 0.25),)):
        directory = RunDirectory.create(tmp_path / name, {"seed": 1}, {})
        found = {
            "initial_weights": {"step": 0, "sha256": initial},
            "final_weights": {"step": len(losses), "sha256": final},
            "final_metrics": {"step": len(losses), "values": dict(metrics)},
        }
        (directory.path / "fingerprint.json").write_text(json.dumps(found))
        np.asarray(losses, dtype="<f8").tofile(directory.path / "losses.f64")
        return directory

    return make


def test_equal_bits_are_exact(run):
    verdict = compare(run("then"), run("now"), 1e-4)

    assert verdict.outcome is Outcome.EXACT
    assert verdict.first_diverging_step is None
    assert verdict.steps == 3


def test_the_last_bit_of_one_loss_is_found(run):
    other = float(np.nextafter(0.5, 1))

    verdict = compare(run("then"), run("now", losses=(1.0, other, 0.25)), 1e-4)

    assert verdict.outcome is Outcome.SAME_RECIPE
    assert verdict.first_diverging_step == 1
    assert verdict.difference == other - 0.5


def test_a_difference_above_the_tolerance_is_different(run):
    then, now = run("then"), run("now", losses=(1.0, 0.51, 0.25), final="cc")

    assert compare(then, now, 0.01).outcome is Outcome.DIFFERENT
    assert compare(then, now, 0.03).outcome is Outcome.SAME_RECIPE


def test_other_initial_weights_part_before_the_first_step(run):
    verdict = compare(run("then"), run("now", initial="cc"), 1e-4)

    assert verdict.outcome is not Outcome.EXACT
    assert verdict.first_diverging_step == 0


def test_a_run_that_ended_early_is_different_from_its_end_on(run):
    verdict = compare(run("then"), run("now", losses=(1.0, 0.5)), 1e-4)

    assert verdict.outcome is Outcome.DIFFERENT
    assert verdict.first_diverging_step == 2


def test_only_the_beginning_is_compared_if_that_is_asked_for(run):
    then, now = run("then"), run("now", losses=(1.0, 0.5), final=None, metrics=())

    verdict = compare(then, now, 1e-4, until=2)

    assert verdict.outcome is Outcome.EXACT
    assert verdict.steps == 2


def test_a_loss_that_is_not_a_number_equals_itself(run):
    losses = (1.0, float("nan"), 0.25)

    assert compare(run("then", losses=losses), run("now", losses=losses), 1e-4).outcome is Outcome.EXACT


def test_a_loss_that_is_a_number_on_one_side_only_is_different(run):
    now = run("now", losses=(1.0, float("nan"), 0.25))

    assert compare(run("then"), now, 1e-4).outcome is Outcome.DIFFERENT


@pytest.mark.parametrize("metrics", [(("loss", 0.26),), (("other", 0.25),), ()])
def test_other_final_metrics_are_named(run, metrics):
    verdict = compare(run("then"), run("now", metrics=metrics), 1e-4)

    assert verdict.outcome is Outcome.DIFFERENT
    assert "loss 0.25 then" in verdict.checks[-1].said


def test_a_verdict_can_be_written_as_json(run):
    verdict = compare(run("then"), run("now", losses=(1.0,)), 1e-4)

    assert json.loads(json.dumps(verdict.plain(), allow_nan=False))["largest"] is None


def test_a_run_without_a_fingerprint_cannot_be_compared(run, tmp_path):
    bare = RunDirectory.create(tmp_path / "bare", {"seed": 1}, {})

    with pytest.raises(RunError, match="no fingerprint that could be read"):
        compare(bare, run("now"), 1e-4)
