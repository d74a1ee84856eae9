"""How the runs stand, what they came to, and why one failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from leyden.runs.record.moments import seconds
from leyden.runs.record.state import RunState
from leyden.runs.report.chart import style
from leyden.runs.report.curves import COUNTERS
from leyden.runs.report.gathering import Run
from leyden.runs.report.markup import Html, folded, join, table, tag, text
from leyden.terminal import number

_MARKS = {
    RunState.FINISHED: "✓",
    RunState.FAILED: "✗",
    RunState.RUNNING: "▸",
    RunState.INTERRUPTED: "❚❚",
    RunState.QUEUED: "…",
    RunState.DEAD: "✗",
    RunState.SILENT: "?",
}
_MOST_ROWS = 300
_LONGEST_NAME = 44
_STAGES = ("test", "val", "train")


def labels(runs: Sequence[Run]) -> list[str]:
    """Return a short name for each run: what was typed for it and not for all, else its directory."""
    if len(runs) == 1:
        return [runs[0].path.name]
    shared = set(runs[0].typed).intersection(*(run.typed for run in runs))
    found = [_short([word for word in run.typed if word not in shared]) for run in runs]
    found = [f"{name} (reproduced)" if run.reproduces else name for run, name in zip(runs, found, strict=True)]
    if len(set(found)) == len(runs):
        return found
    names = [run.path.name for run in runs]
    return names if len(set(names)) == len(names) else [_place(run) for run in runs]


def overview(runs: Sequence[Run], names: Sequence[str]) -> Html:
    """Return the state of one run as a line of facts, of several as a table."""
    if len(runs) == 1:
        facts = join(
            tag("div", Html(f"<dt>{text(name)}</dt><dd>{value}</dd>")) for name, value in _facts(runs[0]) if value
        )
        return tag("dl", facts, "facts")
    head = [text(word) for word in ("run", "directory", "status", "started", "took", "epochs", "steps")]
    none = text("\N{EN DASH}")
    facts_of = [[value or none for _, value in _facts(run)[:5]] for run in runs]
    rows = [("", [swatch(at, names[at]), text(_place(run)), *facts_of[at]]) for at, run in enumerate(runs)]
    return table(head, rows, "runs")


def swatch(number: int, name: str) -> Html:
    """Return the name of a run beside a piece of its line."""
    return Html(f'<span class="key {style(number)}"><i></i>{text(name, 80)}</span>')


def badge(state: RunState) -> Html:
    """Return a state as a word with a mark, so that colour is not all that tells."""
    kind = state if state in _MARKS else RunState.QUEUED
    return Html(f'<span class="badge {kind}"><i>{_MARKS[kind]}</i> {text(state, 20)}</span>')


def troubles(runs: Sequence[Run], names: Sequence[str]) -> Html:
    """Return why runs ended badly, and what of their directories could not be read."""
    found = []
    for run, name in zip(runs, names, strict=True):
        before = f"{name}: " if len(runs) > 1 else ""
        if run.status.error:
            kind = "error" if run.state in (RunState.FAILED, RunState.DEAD) else "warning"
            found.append(_alert(kind, f"{before}{run.state}", run.status.error))
        elif run.state in _SILENCE:
            found.append(_alert("warning", f"{before}{run.state}", _SILENCE[run.state]))
        found += [_alert("warning", f"{before}not read", problem) for problem in run.problems]
    return join(found)


def results(runs: Sequence[Run], names: Sequence[str]) -> Html:
    """Return the final metrics, and the last and best values of what was logged."""
    keys = sorted({key for run in runs for key in (*_final(run), *_logged(run))}, key=_order)
    if not keys:
        return Html("")
    if len(runs) == 1:
        head = [text(word) for word in ("metric", "final, or last logged", "smallest", "largest")]
        rows = [("", [text(key, 120), *_row(runs[0], key)]) for key in keys[:_MOST_ROWS]]
    else:
        head = [text("metric"), *(swatch(at, name) for at, name in enumerate(names))]
        rows = [("", [text(key, 120), *(_number(_last(run, key)) for run in runs)]) for key in keys[:_MOST_ROWS]]
    left = len(keys) - _MOST_ROWS
    return Html(
        table(head, rows, "numbers") + (tag("p", text(f"{left} more are not shown."), "note") if left > 0 else "")
    )


def logs(runs: Sequence[Run], names: Sequence[str]) -> Html:
    """Return the ends of the logs, folded; open where a single run failed."""
    return join(
        folded(
            text(f"{name}: the end of its log" if len(runs) > 1 else "The end of logs/rank0.log"),
            tag("pre", text(run.log, len(run.log))),
            _failed(runs),
        )
        for run, name in zip(runs, names, strict=True)
        if run.log
    )


_SILENCE = {
    RunState.DEAD: "its process is gone without a word: killed, or the machine went down. leyden run goes on with it",
    RunState.SILENT: "it says that it is running, on another machine, but has not been heard of for ten minutes",
}


def _facts(run: Run) -> list[tuple[str, Html]]:
    status = run.status
    ended = status.ended_at or status.updated_at
    begun = status.started_at
    took = text(duration(ended - begun)) if ended and begun and ended >= begun else Html("")
    return [
        ("status", badge(run.state)),
        ("started" if status.started else "made", _moment(status.started or status.created)),
        ("so far" if run.state is RunState.RUNNING else "took", took),
        ("epochs", _count(status.epoch)),
        ("steps", _count(status.step)),
        ("attempts", _count(status.attempts)),
        ("on", text(status.host, 60) if status.host else Html("")),
        ("last heard of", _moment(status.updated) if run.state in (RunState.RUNNING, *_SILENCE) else Html("")),
    ]


def duration(length: float) -> str:
    """Write seconds as a person would say them."""
    if length < 100:
        return f"{length:.0f} s"
    minutes, rest = divmod(round(length), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _moment(value: Any) -> Html:
    if seconds(value) is None:
        return Html("")
    said = str(value)[:19].replace("T", " ")
    return text(f"{said} UTC" if str(value).endswith("+00:00") else said)


def _count(value: Any) -> Html:
    return text(f"{value:,}") if type(value) is int else Html("")


def _alert(kind: str, title: str, said: str) -> Html:
    return Html(f'<div class="alert {kind}" role="note"><strong>{text(title, 120)}</strong> {text(said, 2000)}</div>')


def _short(words: Sequence[str]) -> str:
    """Join words for a legend; those that make it too long are left out, and stand in the config anyway."""
    kept: list[str] = []
    for word in words:
        if len(" ".join([*kept, word])) <= _LONGEST_NAME:
            kept.append(word)
    return " ".join(kept if len(kept) == len(words) else [*kept, "…"]) or "defaults"


def _place(run: Run) -> str:
    return f"{run.path.parent.name}/{run.path.name}"


def _order(name: str) -> tuple[int, str]:
    """Put what a test found first, and what is no metric of a stage last."""
    stages = [] if "/device/" in name else [at for at, stage in enumerate(_STAGES) if name.startswith(stage)]
    return min(stages, default=len(_STAGES)), name


def _final(run: Run) -> Iterator[str]:
    yield from (name for name in run.results if not COUNTERS.fullmatch(name))


def _logged(run: Run) -> Iterator[str]:
    yield from (name for name in run.metrics if name not in ("step", "epoch") and not COUNTERS.fullmatch(name))


def _row(run: Run, key: str) -> Iterator[Html]:
    logged = run.metrics.get(key)
    yield _number(_last(run, key))
    if logged is None or len(logged.y) < 2:
        yield from (text("\N{EN DASH}"),) * 2
        return
    for place in (int(np.argmin(logged.y)), int(np.argmax(logged.y))):
        yield Html(f"{_number(float(logged.y[place]))} <small>at {logged.x[place]:.0f}</small>")


def _last(run: Run, key: str) -> float | None:
    logged = run.metrics.get(key)
    return run.results.get(key, float(logged.y[-1]) if logged is not None and len(logged.y) else None)


def _number(value: float | None) -> Html:
    return text("\N{EN DASH}" if value is None else number(value) if isinstance(value, float) else value)


def _failed(runs: Sequence[Run]) -> bool:
    return len(runs) == 1 and runs[0].state is RunState.FAILED
