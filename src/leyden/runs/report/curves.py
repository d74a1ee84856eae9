"""Which numbers share a figure.

One run: what is the same quantity, of training and of validation, is drawn together. Several
runs: one figure for each name, one curve for each run.

    train_loss  train_loss_step  val/loss  ─►  loss: train, train (step), val
    lr-AdamW                               ─►  learning rate: lr-AdamW
    train/device/samples_per_sec           ─►  beside it, with steps a second from the log
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from leyden.runs.report.chart import Figure, Line, chart
from leyden.runs.report.gathering import Run
from leyden.runs.report.markup import Html, join, tag, text
from leyden.runs.report.series import Series

SPEED = "Learning rate and throughput"
KINDS = ("Curves", SPEED, "Machine")
COUNTERS = re.compile(r"(?:train|validate|test|predict)/(?:time|batches|samples|lengths)")
"""What a `ThroughputMonitor` counts: straight lines, and no results."""
_POINTS = 20_000  # in all figures together, so that the page stays small
_MOST_FIGURES = 80
_STAGES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "validate": 1, "test": 2}
_NAME = re.compile(rf"(?:({'|'.join(_STAGES)})[_/\-. ])?(.+?)(_step|_epoch)?(/dataloader_idx_\d+)?", re.DOTALL)
_LEFT_OUT = ("epoch", "step", "hp_metric")
_MACHINE = re.compile(r"DeviceStatsMonitor|(?:^|[_/.])(?:cpu|gpu|ram|memory)(?:$|[_/.])", re.IGNORECASE)
_UNITS = {"_per_sec": "1/s"}


@dataclass(frozen=True)
class Name:
    """The parts of a metric's name: stage, quantity, and the rest in words."""

    stage: str
    base: str
    rest: str

    @property
    def is_rate(self) -> bool:
        """Whether it is a learning rate, or another setting of an optimizer."""
        return re.match(r"lr([-_/]|$)|learning_rate", self.base) is not None

    @property
    def kind(self) -> str:
        """Under which heading it stands."""
        if self.is_rate or self.base.startswith("device/"):
            return SPEED
        return "Machine" if _MACHINE.search(self.base) else "Curves"

    @property
    def quantity(self) -> str:
        """What shares a figure with it: rates of all parameter groups do."""
        ending = re.search(r"momentum|weight_decay", self.base)
        return (ending[0] if ending else "learning rate") if self.is_rate else self.base

    @property
    def order(self) -> tuple[bool, bool, str, int, str]:
        """Losses first, then by name; training before validation."""
        return not self.is_rate, "loss" not in self.base, self.base, _STAGES.get(self.stage, -1), self.rest


def split(name: str) -> Name:
    """Return the parts of a metric's name."""
    found = _NAME.fullmatch(name)
    assert found is not None or not name
    stage, base, when, loader = found.groups(default="") if found else ("", "", "", "")
    rest = " ".join(part for part in (f"({when[1:]})" if when else "", loader[1:].replace("_", " ")) if part)
    return Name(stage, base, rest)


def curves(runs: Sequence[Run], labels: Sequence[str]) -> list[tuple[str, Html]]:
    """Return headings and the figures under each."""
    figures = list(_together(runs[0]) if len(runs) == 1 else _side_by_side(runs, labels))
    drawn = figures[:_MOST_FIGURES]
    lines = sum(len(figure.lines) for _, figure in drawn)
    points = max(12, min(400, _POINTS // max(1, lines)))
    found = [(kind, join(chart(each, points) for its, each in drawn if its == kind)) for kind in KINDS]
    left = figures[_MOST_FIGURES:]
    if left:
        names = ", ".join(figure.title for _, figure in left)
        found.append(("Not drawn", tag("p", text(f"{len(left)} more are in metrics.csv: {names}"))))
    return [(kind, tag("div", inside, "figures") if kind in KINDS else inside) for kind, inside in found if inside]


def _together(run: Run) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of one run: a quantity each."""
    names = sorted(_drawn(run.metrics), key=lambda name: split(name).order)
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        groups.setdefault((split(name).kind, split(name).quantity), []).append(name)
    for (kind, quantity), members in groups.items():
        lines = tuple(Line(_legend(name), _color(name, at), run.metrics[name]) for at, name in enumerate(members))
        yield kind, Figure(quantity, lines, _unit(quantity), from_zero=bool(_unit(quantity)))
    yield from _computed([run], ["train"])


def _side_by_side(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of several runs: a metric each."""
    names = sorted({name for run in runs for name in _drawn(run.metrics)}, key=lambda name: split(name).order)
    for name in names:
        having = [(at, run.metrics[name]) for at, run in enumerate(runs) if name in run.metrics]
        lines = tuple(Line(labels[at], at, series) for at, series in having)
        yield split(name).kind, Figure(name, lines, _unit(name), from_zero=bool(_unit(name)))
    yield from _computed(runs, labels)


def _computed(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """Yield what is in no column: the loss of every step, and steps a second."""
    losses = tuple(Line(labels[at], at, run.losses) for at, run in enumerate(runs) if run.losses is not None)
    if losses:
        yield "Curves", Figure("loss of every training step", losses, axis="batch")
    speeds = tuple(Line(labels[at], at, run.speed) for at, run in enumerate(runs) if run.speed is not None)
    if speeds:
        yield SPEED, Figure("training speed", speeds, "steps/s", from_zero=True)


def _drawn(metrics: Mapping[str, Series]) -> list[str]:
    """Return the names of what is a curve: more than one point, or values that are no numbers; counters are none."""
    curves = [name for name, each in metrics.items() if len(each.x) > 1 or each.odd]
    return [name for name in curves if name not in _LEFT_OUT and not COUNTERS.fullmatch(name)]


def _legend(name: str) -> str:
    parts = split(name)
    return name if parts.is_rate else " ".join(filter(None, (parts.stage, parts.rest))) or parts.base


def _color(name: str, position: int) -> int:
    """Give training and validation a colour of their own, whatever else is there."""
    parts = split(name)
    if parts.is_rate:
        return position
    if parts.rest in ("", "(epoch)") and parts.stage in _STAGES:
        return _STAGES[parts.stage]
    return 3 + position if parts.rest or position else 0


def _unit(name: str) -> str:
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
