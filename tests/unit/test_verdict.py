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
    def make(name, losses=(1.0, 0.5, 0.25), initial="aa", final="bb", metrics=(("loss", 0.25),), evaluated=None):
        directory = RunDirectory.create(tmp_path / name, {"seed": 1}, {})
        found = {
            "initial_weights": {"step": 0, "sha256": initial},
            "final_weights": {"step": len(losses), "sha256": final},
            "final_metrics": {"step": len(losses), "values": dict(metrics)},
        }
        if evaluated is not None:
            found["final_metrics"]["evaluated"] = list(evaluated)
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


def test_numbers_are_written_as_python_writes_them(run):
    verdict = compare(run("then"), run("now", losses=(1.0, 0.75, float("nan")), metrics=[("loss", 0.3)]), 1e-4)

    said = " ".join(check.said for check in verdict.checks)
    assert "0.5 then, 0.75 now" in said
    assert "np." not in said


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


NAN = float("nan")
NOT_EXACT = {
    "initial weights": {"initial": "cc"},
    "initial weights that were not recorded": {"initial": None},
    "final weights": {"final": "cc"},
    "final weights that were not recorded": {"final": None},
    "the sign of a loss of zero": {"losses": (1.0, -0.0, 0.25)},
    "a metric within the tolerance": {"metrics": (("loss", 0.25000001), ("zero", 0.0))},
    "the sign of a metric of zero": {"metrics": (("loss", 0.25), ("zero", -0.0))},
}


@pytest.mark.parametrize("what", NOT_EXACT)
def test_each_thing_that_was_recorded_is_compared_for_itself(what, run):
    same = {"losses": (1.0, 0.0, 0.25), "metrics": (("loss", 0.25), ("zero", 0.0))}
    then, now = run("then", **same), run("now", **{**same, **NOT_EXACT[what]})

    for pair in ((then, now), (now, then)):
        verdict = compare(*pair, 1e-4)
        assert verdict.outcome is Outcome.SAME_RECIPE
        assert len([check for check in verdict.checks if not check.equal]) == 1


@pytest.mark.parametrize("what", ["initial", "final"])
def test_what_was_recorded_on_neither_side_is_not_equal(what, run):
    verdict = compare(run("then", **{what: None}), run("now", **{what: None}), 1e-4)

    assert verdict.outcome is Outcome.SAME_RECIPE
    assert f"{what} weights" in {check.what: check for check in verdict.checks if not check.equal}


def test_the_first_loss_that_differs_is_named_even_where_the_initial_weights_do(run):
    verdict = compare(run("then"), run("now", initial="cc", losses=(1.0, 0.5, 0.26)), 1e-4)

    assert verdict.first_diverging_step == 2


def test_a_difference_as_large_as_the_tolerance_is_rounding(run):
    then, now = run("then"), run("now", losses=(1.0, 0.25, 0.25))

    assert compare(then, now, 0.5).outcome is Outcome.SAME_RECIPE
    assert compare(now, then, 0.5).largest == 0.5
    assert compare(then, now, 0.499).outcome is Outcome.DIFFERENT


def test_the_largest_difference_counts_of_losses_and_of_metrics(run):
    then = run("then", metrics=(("a", 1.0), ("b", 2.0)))
    loss = run("loss", losses=(1.0, 0.5, 0.125), metrics=(("a", 1.0), ("b", 1.5)))
    metric = run("metric", losses=(1.0, 0.5, 0.24), metrics=(("a", 0.25), ("b", 2.0)))

    assert compare(then, loss, 1e-4).largest == 0.5
    assert compare(then, metric, 1e-4).largest == 0.75


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_equals_itself_and_nothing_else(value, run):
    finite, metrics = run("finite"), (("loss", value),)
    then, now = (run(name, losses=(1.0, value, 0.25), metrics=metrics) for name in ("then", "now"))
    one = run("one", metrics=metrics)

    assert compare(then, now, 1e-4).outcome is Outcome.EXACT
    assert compare(finite, one, 1e6).outcome is Outcome.DIFFERENT
    assert compare(one, finite, 1e6).outcome is Outcome.DIFFERENT
    assert compare(finite, run("other", losses=(1.0, value, 0.25)), 1e6).difference is None


def test_infinities_of_two_signs_differ(run):
    up, down = (run(f"at{sign}", losses=(1.0, sign * float("inf"), 0.25)) for sign in (1, -1))

    assert compare(up, down, 1e6).outcome is Outcome.DIFFERENT


def test_another_number_of_ranks_is_the_same_recipe_at_best_and_its_losses_are_not_compared(run):
    then, now = run("then"), run("now", losses=(3.0, 4.0))

    verdict = compare(then, now, 1e-4, ranks=((1,), (2,)))

    assert compare(then, run("again"), 1e-4, ranks=((2,), (2, 2))).outcome is Outcome.EXACT
    assert compare(then, run("later"), 1e-4, ranks=((2,), (2, 1))).outcome is Outcome.SAME_RECIPE
    assert verdict.outcome is Outcome.SAME_RECIPE
    assert (verdict.steps, verdict.first_diverging_step) == (0, None)
    assert "1 then, 2 now" in {check.what: check.said for check in verdict.checks}["ranks"]


def test_of_another_number_of_ranks_only_what_was_evaluated_is_compared(run):
    then = run("then", metrics=(("loss", 0.25), ("test", 0.5)), evaluated=["test"])
    trained = run("trained", metrics=(("loss", 0.75), ("test", 0.5)), evaluated=["test"])
    tested = run("tested", metrics=(("loss", 0.25), ("test", 0.75)), evaluated=["test"])

    assert compare(then, trained, 1e-4, ranks=((1,), (2,))).outcome is Outcome.SAME_RECIPE
    assert compare(then, tested, 1e-4, ranks=((1,), (2,))).outcome is Outcome.DIFFERENT
    assert compare(then, trained, 1e-4).outcome is Outcome.DIFFERENT


def test_nothing_behind_the_steps_asked_for_counts(run):
    then = run("then")
    now = run("now", losses=(1.0, 0.5, 9.0), final="cc", metrics=(("loss", 9.0),))

    assert compare(then, now, 1e-4, until=2).outcome is Outcome.EXACT
    assert compare(then, now, 1e-4, until=3).outcome is Outcome.DIFFERENT
    assert compare(then, run("before", initial="cc"), 1e-4, until=2).outcome is Outcome.SAME_RECIPE


def test_a_file_of_losses_that_is_missing_or_cut_holds_fewer_steps(run):
    then, cut, gone = run("then"), run("cut"), run("gone")
    (cut.path / "losses.f64").write_bytes((cut.path / "losses.f64").read_bytes()[:-3])
    (gone.path / "losses.f64").unlink()

    assert (compare(then, cut, 1e-4).outcome, compare(then, cut, 1e-4).first_diverging_step) == (Outcome.DIFFERENT, 2)
    assert (compare(then, gone, 1e-4).outcome, compare(then, gone, 1e-4).steps) == (Outcome.DIFFERENT, 0)


@pytest.mark.parametrize("value", [10**400, "0.25", None, True, [0.25]])
def test_a_metric_that_no_run_has_written_is_refused_by_name(value, run):
    with pytest.raises(RunError, match=r"fingerprint\.json is damaged: final_metrics\.values\.loss"):
        compare(run("then"), run("now", metrics=(("loss", value),)), 1e-4)


def test_a_verdict_can_be_written_as_json(run):
    verdict = compare(run("then"), run("now", losses=(1.0,)), 1e-4)

    assert json.loads(json.dumps(verdict.plain(), allow_nan=False))["largest"] is None


def test_a_run_without_a_fingerprint_cannot_be_compared(run, tmp_path):
    bare = RunDirectory.create(tmp_path / "bare", {"seed": 1}, {})

    with pytest.raises(RunError, match="no fingerprint that could be read"):
        compare(bare, run("now"), 1e-4)
