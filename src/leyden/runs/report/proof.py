"""Whether the result has been shown to come out again, and what it is recognised by."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from leyden.runs.record.state import RunState
from leyden.runs.report.gathering import Run
from leyden.runs.report.markup import Html, folded, join, table, tag, text
from leyden.runs.report.settings import shown

_MARKS = {  # in the colours of states
    "exact": (RunState.FINISHED, "✓"),
    "same recipe": (RunState.INTERRUPTED, "≈"),
    "different": (RunState.FAILED, "✗"),
}
_EFFECTS = {"may": "may break exactness"}
_PARTS = ("initial_weights", "losses", "logged", "final_weights", "final_metrics")


def reproduction(runs: Sequence[Run], labels: Sequence[str]) -> Html:
    """Return every verdict that is known about the runs."""
    names = [f"{label}: " for label in labels] if len(runs) > 1 else [""]
    here = {run.path.name for run in runs if run.reproduces}
    found = [verdict for run, name in zip(runs, names, strict=True) for verdict in _verdicts(run, name, here)]
    if found:
        return join(found)
    known = any(run.fingerprint for run in runs)
    how = "leyden reproduce DIR runs it again and compares." if known else "It left no fingerprint to compare with."
    return tag("p", text(f"Not reproduced so far. {how}" if len(runs) == 1 else "None was reproduced so far."))


def fingerprint(runs: Sequence[Run], labels: Sequence[str]) -> Html:
    """Return the hashes each run is recognised by."""
    if not any(run.fingerprint for run in runs):
        return tag("p", text("Not recorded."))
    if len(runs) == 1:
        rows = [("", [text(_words(part)), text(_at(runs[0], part)), _hash(runs[0], part, 64)]) for part in _PARTS]
        return Html(table([text("of"), text("taken at"), text("sha256")], rows, "hashes") + _unfinished(runs[0]))
    rows = [
        ("", [text(_words(part)), *(_hash(run, part, 12) for run in runs), text(_agreement(runs, part))])
        for part in _PARTS
    ]
    return table([text("sha256 of"), *map(text, labels), text("")], rows, "hashes")


def _verdicts(run: Run, name: str, here: Container[str]) -> Iterator[Html]:
    """Yield what is known about a run; what another run on this page says itself is left to that one."""
    if run.reproduces:
        yield _verdict(f"{name}repeats", Path(str(run.reproduces.get("of"))).name, run.reproduces)
    for copy, verdict in run.reproduced.items():
        if copy not in here:
            yield _verdict(f"{name}repeated as", copy, verdict)


def _verdict(before: str, other: str, found: Mapping[str, Any]) -> Html:
    """Return one verdict: a line, what it rests on, and what was different before it began."""
    said = str(found.get("verdict"))
    kind, mark = _MARKS.get(said, (RunState.QUEUED, "?"))
    line = Html(
        f'<span class="badge {kind}"><i>{mark}</i> {text(said, 40)}</span> {text(before)} {tag("code", text(other))}'
    )
    return tag("div", Html(tag("p", Html(line + text(_where(found)))) + _checks(found) + _preflight(found)), "verdict")


def _where(found: Mapping[str, Any]) -> str:
    step, gap = found.get("first_diverging_step"), found.get("difference")
    if not isinstance(step, int):
        return ""
    by = f", by {gap:.3g}" if isinstance(gap, float) else ""
    return f"; first diverging step {step}{by}"


def _checks(found: Mapping[str, Any]) -> Html:
    compared = found.get("compared")
    checks = compared.get("checks") if isinstance(compared, dict) else None
    rows = [
        (
            "",
            [text(each.get("what")), text("equal" if each.get("equal") is True else "differs"), text(each.get("said"))],
        )
        for each in _mappings(checks)
    ]
    return table([], rows, "checks") if rows else Html("")


def _preflight(found: Mapping[str, Any]) -> Html:
    rows = [
        (
            "",
            [
                text(each.get("key")),
                text(_EFFECTS.get(str(each.get("effect")), each.get("effect"))),
                text(shown(each.get("then"))),
                text(shown(each.get("now"))),
            ],
        )
        for each in _mappings(found.get("preflight"))
    ]
    if not rows:
        return Html("")
    head = [text(""), text("effect"), text("then"), text("now")]
    return folded(text(f"What was different: {len(rows)} value{'s' * (len(rows) > 1)}"), table(head, rows, "values"))


def _mappings(found: Any) -> list[dict[str, Any]]:
    return [each for each in found[:500] if isinstance(each, dict)] if isinstance(found, list) else []


def _part(run: Run, part: str) -> Mapping[str, Any]:
    found = run.fingerprint.get(part)
    return found if isinstance(found, dict) else {}


def _words(part: str) -> str:
    return {"losses": "loss of every step", "logged": "logged rows"}.get(part, part.replace("_", " "))


def _at(run: Run, part: str) -> str:
    found = _part(run, part)
    if "step" in found:
        return f"step {found['step']}"
    return next((f"{found[name]} {name}" for name in ("steps", "rows") if name in found), "\N{EN DASH}")


def _hash(run: Run, part: str, length: int) -> Html:
    value = str(_part(run, part).get("sha256") or "")
    return tag("code", text(value[:length])) if value else text("\N{EN DASH}")


def _agreement(runs: Sequence[Run], part: str) -> str:
    values = {str(_part(run, part).get("sha256") or "") for run in runs}
    if "" in values:
        return "not all recorded"
    return "equal" if len(values) == 1 else "differ"


def _unfinished(run: Run) -> Html:
    if run.fingerprint.get("complete") is not False:
        return Html("")
    return tag("p", text("Not complete: the run has not finished."), "note")
