"""Whether two runs came to the same result: exact, same recipe, or different.

    exact         weights at both ends, every loss and the final metrics are equal, bit for bit
    same recipe   losses and metrics stay within a tolerance: rounding differed, nothing else; of another number of
                  ranks, the metrics
    different     anything else

The first diverging step is the first one whose loss has other bits; step 0 with other initial
weights means that the runs differed before they began.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from leyden import regular
from leyden.errors import RunError
from leyden.runs import shapes
from leyden.runs.directory import RunDirectory

_LARGEST, _LARGEST_LOSSES = 2**20, 2**33  # bytes
_WEIGHTS = {"sha256": str, "step": int}
_SHAPE = {
    "losses": {"steps": int, "sha256": str}, "logged": {}, "initial_weights": _WEIGHTS, "final_weights": _WEIGHTS,
    "final_metrics": {"step": int, "sha256": str, "values": {}, "evaluated": list},
}  # fmt: skip


class Outcome(StrEnum):
    """How equal two results are."""

    EXACT = "exact"
    SAME_RECIPE = "same recipe"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Check:
    """One thing that was compared.

    Attributes:
        what: Its name.
        equal: Whether it is equal bit for bit.
        said: In words.
    """

    what: str
    equal: bool
    said: str


@dataclass(frozen=True)
class Verdict:
    """The comparison of two runs.

    Attributes:
        outcome: The answer.
        checks: What it rests on.
        first_diverging_step: Index of the first training step whose loss differs, None if none does.
        difference: Of the losses at that step.
        largest: Largest relative difference of losses and metrics; inf where one is missing.
        tolerance: What that may be for `Outcome.SAME_RECIPE`.
        steps: How many training steps were compared.
    """

    outcome: Outcome
    checks: tuple[Check, ...]
    first_diverging_step: int | None
    difference: float | None
    largest: float
    tolerance: float
    steps: int

    def plain(self) -> dict[str, Any]:
        """Return it as plain types, for JSON, which has no infinity."""
        return {**asdict(self), "largest": self.largest if math.isfinite(self.largest) else None}


def compare(
    then: RunDirectory,
    now: RunDirectory,
    tolerance: float,
    until: int | None = None,
    ranks: tuple[Sequence[int], Sequence[int]] = ((1,), (1,)),
) -> Verdict:
    """Compare what two runs came to.

    Args:
        then: The original.
        now: The one that repeats it.
        tolerance: Largest relative difference under which only rounding can have differed.
        until: Compare only the first so many training steps, and nothing after them.
        ranks: Number of ranks of each attempt, then and now. A loss is that of rank 0's part of a batch, so that losses
            of another number of ranks cannot be compared.

    Raises:
        RunError: If one of them has no fingerprint.
    """
    left, right = fingerprint(then), fingerprint(now)
    checks = [_weights("initial weights", left, right)]
    alike = len({*ranks[0], *ranks[1]}) <= 1
    before, after = (losses(then, until), losses(now, until)) if alike else (np.empty(0), np.empty(0))
    place, gap = _divergence(before, after)
    checks.append(_losses(before, after, place, gap) if alike else Check("ranks", False, _said(ranks)))
    largest = _largest(before, after)
    if until is None:
        checks += [_weights("final weights", left, right), _metrics(left, right)]
        compared = (left, right) if alike else (_evaluated(left), _evaluated(right))
        largest = max(largest, _metric_gap(*compared))
    if all(check.equal for check in checks):
        outcome = Outcome.EXACT
    else:
        outcome = Outcome.SAME_RECIPE if largest <= tolerance else Outcome.DIFFERENT
    if place is None and not checks[0].equal:
        place = 0
    return Verdict(outcome, tuple(checks), place, gap, largest, tolerance, min(len(before), len(after)))


def _said(ranks: tuple[Sequence[int], Sequence[int]]) -> str:
    then, now = (", then ".join(map(str, each)) for each in ranks)
    return f"{then} then, {now} now: at best the same recipe, as other ranks add up in another order"


def fingerprint(directory: RunDirectory) -> dict[str, Any]:
    """Return what fingerprint.json says.

    Raises:
        RunError: If there is none.
    """
    path = directory.path / "fingerprint.json"
    try:
        found = json.loads(regular.read(directory.path, path.name, _LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(
            f"{directory.path} has no fingerprint that could be read ({error}), so that nothing can be compared. "
            "A run gets one when it is executed by leyden train or leyden run."
        ) from error
    if not isinstance(found, dict):
        raise RunError(f"{path} holds {type(found).__name__}, not the mapping that a fingerprint is.")
    shapes.check(found, _SHAPE, path)
    shapes.check_numbers((found.get("final_metrics") or {}).get("values"), path, "final_metrics.values")
    return found


def losses(directory: RunDirectory, until: int | None = None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the loss of each training step, at most *until* of them."""
    if not regular.there(directory.path, "losses.f64"):
        return np.empty(0)
    content = regular.read(directory.path, "losses.f64", _LARGEST_LOSSES)
    return np.frombuffer(content[: len(content) // 8 * 8], dtype="<f8")[:until].copy()


def _weights(what: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Check:
    key = what.replace(" ", "_")
    then, now = ((side.get(key) or {}).get("sha256") for side in (left, right))
    if then is None or now is None:
        return Check(what, False, f"not recorded {'then' if then is None else 'now'}")
    return Check(
        what, then == now, f"sha256 {then[:12]}" if then == now else f"sha256 {then[:12]} then, {now[:12]} now"
    )


def _divergence(before: Any, after: Any) -> tuple[int | None, float | None]:
    both = min(len(before), len(after))
    differ = np.flatnonzero(before[:both].view(np.uint64) != after[:both].view(np.uint64))
    if len(differ):
        place = int(differ[0])
        gap = float(abs(before[place] - after[place]))
        return place, gap if math.isfinite(gap) else None
    return (both, None) if len(before) != len(after) else (None, None)


def _losses(before: Any, after: Any, place: int | None, gap: float | None) -> Check:
    what = "loss of every step"
    if len(before) != len(after):
        said = f"{len(before)} steps then, {len(after)} now"
        return Check(what, False, said if gap is None else f"{said}; step {place} is {gap:.3g} apart")
    if place is None:
        return Check(what, True, f"{len(before)} steps")
    then, now = before[place].item(), after[place].item()
    said = f"first diverges at step {place} of {len(before)}: {then!r} then, {now!r} now"
    return Check(what, False, said)


def _largest(before: Any, after: Any) -> float:
    """Return the largest difference of two losses, relative to the larger one."""
    if len(before) != len(after):
        return math.inf
    return max((_gap(*pair) for pair in zip(before.tolist(), after.tolist(), strict=True)), default=0.0)


def _metrics(left: Mapping[str, Any], right: Mapping[str, Any]) -> Check:
    then, now = _values(left), _values(right)
    other = sorted(name for name in {*then, *now} if not _same(then.get(name), now.get(name)))
    if not other:
        return Check("final metrics", True, f"{len(then)} metrics")
    said = ", ".join(f"{name} {then.get(name)} then, {now.get(name)} now" for name in other[:3])
    return Check("final metrics", False, said + (f" and {len(other) - 3} more" if len(other) > 3 else ""))


def _metric_gap(left: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    then, now = _values(left), _values(right)
    if then.keys() != now.keys():
        return math.inf
    return max((_gap(then[name], now[name]) for name in then), default=0.0)


def _evaluated(side: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was logged in training, on a part of a batch that depends on the number of ranks."""
    values = _values(side)
    names = (side.get("final_metrics") or {}).get("evaluated") or values
    return {"final_metrics": {"values": {name: value for name, value in values.items() if name in names}}}


def _values(side: Mapping[str, Any]) -> dict[str, float]:
    return dict((side.get("final_metrics") or {}).get("values", {}))


def _same(one: float | None, other: float | None) -> bool:
    """Whether two values have the same bits; NaN has those of any NaN, as JSON knows one only."""
    if one is None or other is None:
        return False
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other and math.copysign(1, one) == math.copysign(1, other)


def _gap(one: float, other: float) -> float:
    if _same(one, other):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other)) if one != other else 0.0
