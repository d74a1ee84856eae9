"""One figure: some curves over the steps, on a linear and on a logarithmic scale.

The lines are inline SVG, stretched to whatever width the figure has; what is written beside
them is HTML in percent of it, so that letters keep their size. Both scales and the calm
curves are in the page from the start, and switched by the style sheet: a figure needs no
script, which only adds the values under the pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leyden.runs.report.axes import Axis, linear, logarithmic, short, steps
from leyden.runs.report.markup import Html, join, text
from leyden.runs.report.series import Floats, Series

_SIZE = 1000  # of the drawing, in its own units


@dataclass(frozen=True)
class Line:
    """A named curve.

    Attributes:
        name: In the legend.
        color: Its number; equal numbers are equal runs, or equal stages.
        series: Its points.
    """

    name: str
    color: int
    series: Series

    @property
    def style(self) -> str:
        """The classes that give it its colour and dashes."""
        return style(self.color)


@dataclass(frozen=True)
class Figure:
    """What one figure shows.

    Attributes:
        title: Its heading.
        lines: Its curves.
        unit: Of the values, if they have one.
        axis: What it is drawn over.
        from_zero: Whether the linear scale begins at 0: for rates, where half is half.
    """

    title: str
    lines: tuple[Line, ...]
    unit: str = ""
    axis: str = "step"
    from_zero: bool = False


def style(number: int) -> str:
    """Return the classes of a line: one of eight colours and, from the fifth line on, of three kinds of dashes."""
    return f"s{number % 8} d{number // 4 % 3}"


def chart(figure: Figure, points: int) -> Html:
    """Draw *figure* with about *points* points a curve; an empty text if there is nothing to draw."""
    drawn = [line for line in figure.lines if len(line.series.x)]
    if not drawn:
        return _empty(figure)
    calm = [(line, line.series.calm()) for line in drawn]
    thin = [(line, line.series.thinned(points)) for line in drawn]
    low, high = _range([series.x for _, series in thin])
    below = steps(low, high)
    bottom, top = _range([series.y for _, series in thin])
    scales = [("linear", linear(min(0.0, bottom) if figure.from_zero else bottom, top))] + (
        [("log", logarithmic(bottom, top))] if bottom > 0 else []
    )
    plots = join(_plot(kind, below, axis, thin, calm, figure) for kind, axis in scales)
    calmed = any(series for _, series in calm)
    head = (
        f"<figcaption><h3>{text(figure.title, 80)}{_unit(figure.unit)}</h3>{_switches(bottom > 0, calmed)}</figcaption>"
    )
    name = text(f"{figure.title} over {figure.axis}", 120)
    bounds = f'data-low="{below.low!r}" data-high="{below.high!r}" data-axis="{text(figure.axis)}"'
    return Html(
        f'<figure class="chart" aria-label="{name}" {bounds}>{head}{_legend(thin)}{plots}{_notes(figure)}</figure>'
    )


def _empty(figure: Figure) -> Html:
    """Return a figure without a curve, where there is at least something to be said about it."""
    notes = _notes(figure)
    return (
        Html(f'<figure class="chart"><figcaption><h3>{text(figure.title, 80)}</h3></figcaption>{notes}</figure>')
        if notes
        else notes
    )


def _range(arrays: Sequence[Floats]) -> tuple[float, float]:
    return float(min(each.min() for each in arrays)), float(max(each.max() for each in arrays))


def _unit(unit: str) -> str:
    return f" <small>{text(unit)}</small>" if unit else ""


def _switches(log: bool, calm: bool) -> str:
    boxes = '<label><input type="checkbox" class="to-log">log scale</label>' if log else ""
    boxes += '<label><input type="checkbox" class="to-calm" checked>smooth</label>' if calm else ""
    return f'<span class="switches">{boxes}</span>'


def _legend(thin: Sequence[tuple[Line, Series]]) -> Html:
    """Return the names of the curves; each carries the values that the script shows under the pointer."""
    entries = (
        f'<button type="button" class="{line.style}" aria-pressed="true" '
        f'data-x="{_values(series.x)}" data-y="{_values(series.y)}"><i></i><span>{text(line.name, 80)}</span></button>'
        for line, series in thin
    )
    return Html(f'<div class="legend">{"".join(entries)}</div>')


def _values(values: Floats) -> str:
    return " ".join(f"{value:.5g}" if abs(value) < 1e5 or value % 1 else f"{value:.0f}" for value in values.tolist())


def _plot(
    kind: str,
    below: Axis,
    beside: Axis,
    thin: Sequence[tuple[Line, Series]],
    calm: Sequence[tuple[Line, Series | None]],
    figure: Figure,
) -> Html:
    """Draw the figure on one scale."""
    grid = "".join(f"M0 {_down(place)}H{_SIZE}" for place, _ in beside.ticks)
    paired = [(line, series, mean) for (line, series), (_, mean) in zip(thin, calm, strict=True)]
    raw = _paths([(line, series, mean is not None) for line, series, mean in paired], below, beside)
    means = _paths([(line, mean, False) for line, _, mean in paired], below, beside)
    drawing = (
        f'<svg viewBox="0 0 {_SIZE} {_SIZE}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="grid" d="{grid}"/><g class="raw">{raw}</g><g class="calm">{means}</g></svg>'
    )
    left = "".join(f'<b class="y" style="top:{100 - 100 * place:.2f}%">{label}</b>' for place, label in beside.ticks)
    under = "".join(f'<b class="x" style="left:{100 * place:.2f}%">{label}</b>' for place, label in below.ticks)
    return Html(
        f'<div class="plot {kind}"><div class="area">{drawing}{left}{under}<u></u></div>'
        f'<div class="axis">{text(figure.axis)}</div></div>'
    )


def _paths(curves: Sequence[tuple[Line, Series | None, bool]], below: Axis, beside: Axis) -> str:
    """Draw curves; each has the number of its entry in the legend, by which the script hides it."""
    return "".join(
        _path(series, below, beside, f'class="{line.style}{" faint" if faint else ""}" data-line="{at}"')
        for at, (line, series, faint) in enumerate(curves)
        if series is not None
    )


def _path(series: Series, below: Axis, beside: Axis, attributes: str) -> str:
    """Return a curve; few points are marked by dots, which are lines of no length with round ends."""
    across, up = below.place(series.x) * _SIZE, _SIZE - beside.place(series.y) * _SIZE
    points = [f"{x:.1f} {y:.1f}" for x, y in zip(across.tolist(), np.clip(up, -_SIZE, 2 * _SIZE).tolist(), strict=True)]
    path = f'<path {attributes} d="M{"L".join(points)}"/>'
    if len(points) > 40:
        return path
    dots = "".join(f"M{point}h0" for point in points)
    return f'{path}<g class="dots"><path {attributes} d="{dots}"/></g>'


def _down(place: float) -> str:
    return f"{_SIZE - _SIZE * place:.1f}"


def _notes(figure: Figure) -> Html:
    """Say how many values are missing from the curves because they are no finite numbers."""
    return join(
        Html(
            f'<p class="note">{text(line.name, 80)}: {line.series.odd} '
            f"{'value is' if line.series.odd == 1 else 'values are'} not finite (nan or inf), "
            f"the first at {text(figure.axis)} {short(line.series.first_odd or 0)}</p>"
        )
        for line in figure.lines
        if line.series.odd
    )
