"""The runs of a grid side by side: what was swept, which one is the best, mean and deviation over seeds.

typed  seed=1 optimizer=sgd trainer.max_epochs=5     swept  seed=1 optimizer=sgd      val_loss 0.41
       seed=2 optimizer=sgd trainer.max_epochs=5            seed=2 optimizer=sgd      val_loss 0.45
                                                     mean   optimizer=sgd             val_loss 0.43 ± 0.02828
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leyden.errors import ConfigurationError
from leyden.runs.listing import Run
from leyden.runs.record.state import RunState
from leyden.terminal import number

SMALL = tuple("loss error err nll perplexity ppl mae mse rmse wer cer bpc fid".split())
LARGE = tuple("acc accuracy auc auroc f1 iou map precision recall dice bleu psnr r2 score".split())
SEED = "seed="


@dataclass(frozen=True)
class Point:
    """One run of a grid.

    Args:
        name: Of the run.
        typed: The overrides it was started with.
        metrics: Its results by name; empty where it has not finished.
        optimized: The metric that its config says counts; None if it says nothing.
    """

    name: str
    typed: Sequence[str]
    metrics: Mapping[str, float]
    optimized: str | None = None


def point(run: Run) -> Point:
    """Return *run* as a point of a grid."""
    optimized = run.get("config.optimized_metric")
    finished = run.facts["metrics"] if run.state is RunState.FINISHED else {}
    return Point(run.name, run.typed, finished, optimized if isinstance(optimized, str) else None)


def swept(typed: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return of each run what was typed for it alone, and not for all of them."""
    shared = set.intersection(*map(set, typed)) if len(typed) > 1 else set()
    return [[word for word in words if word not in shared] for words in typed]


def conclusions(points: Sequence[Point]) -> list[str]:
    """Return lines about all runs of a grid: the best one, and mean and deviation of those that differ by the seed."""
    metric = _metric(points)
    if metric is None or len(points) < 2:
        return []
    words = swept([point.typed for point in points])
    found = [(point, own, point.metrics.get(metric)) for point, own in zip(points, words, strict=True)]
    there = [(point, own, value) for point, own, value in found if value is not None and math.isfinite(value)]
    lines = list(_over_seeds([(own, value) for _, own, value in there], metric))
    _, place = best(points)
    if place is not None:
        point = points[place]
        said = " ".join(words[place])
        lines.append(f"best   {said}{'   ' if said else ''}{metric} {number(point.metrics[metric])}   {point.name}")
    return lines


def best(points: Sequence[Point]) -> tuple[str, int | None]:
    """Return the metric by which runs are compared, and the place of the best one.

    That is None where fewer than two have a result, or where the metric's name does not tell which end is good.
    """
    metric = _metric(points)
    if metric is None or not _tells(metric):
        return metric or "", None
    values = {at: point.metrics[metric] for at, point in enumerate(points) if metric in point.metrics}
    finite = {at: value for at, value in values.items() if math.isfinite(value)}
    if len(finite) < 2:
        return metric, None
    sign = 1 if smaller_is_better(metric) else -1
    return metric, min(finite, key=lambda at: sign * finite[at])


def smaller_is_better(metric: str) -> bool:
    """Tell by the name of a metric which end is the good one.

    Raises:
        ConfigurationError: If the name does not tell.
    """
    words = metric.lower().replace("/", "_").replace("-", "_").replace(".", "_").split("_")
    small, large = ({*words} & {*names} for names in (SMALL, LARGE))
    if bool(small) == bool(large):
        raise ConfigurationError(
            f"whether a small or a large {metric!r} is good cannot be told by its name. Say --min or --max."
        )
    return bool(small)


def shown_metrics(found: Iterable[Iterable[str]], limit: int = 3) -> list[str]:
    """Return the metrics that most runs have, given those of each: of validation and tests before others.

    A choice among runs is made by validation; what tests say of them is shown beside it.
    """
    counts: dict[str, int] = {}
    for names in found:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    kinds = ("test", "val")
    rank = {name: next((at for at, kind in enumerate(kinds) if name.startswith(kind)), len(kinds)) for name in counts}
    chosen = [name for name in counts if rank[name] < len(kinds)] or list(counts)
    return sorted(chosen, key=lambda name: (-counts[name], rank[name]))[:limit]


def _metric(points: Sequence[Point]) -> str | None:
    """Return the metric by which runs are compared: what they are to optimize, or else one of validation."""
    asked = {point.optimized for point in points if point.optimized}
    if len(asked) == 1:
        return asked.pop()
    return next(iter(comparing(point.metrics for point in points)), None)


def comparing(found: Iterable[Iterable[str]]) -> list[str]:
    """Return the metrics that most runs have, given those of each: first those by which runs can be compared."""
    names = shown_metrics(found, limit=100)
    return sorted(names, key=lambda name: (not name.startswith("val"), not _tells(name)))


def _tells(metric: str) -> bool:
    try:
        smaller_is_better(metric)
    except ConfigurationError:
        return False
    return True


def _over_seeds(found: Sequence[tuple[Sequence[str], float]], metric: str) -> Iterable[str]:
    """Yield mean and deviation of the runs that differ by nothing but the seed."""
    groups: dict[str, list[float]] = {}
    for words, value in found:
        if any(word.lstrip("+").startswith(SEED) for word in words):
            groups.setdefault(" ".join(word for word in words if not word.lstrip("+").startswith(SEED)), []).append(
                value
            )
    for rest, values in groups.items():
        if len(values) > 1:
            mean, deviation = number(statistics.fmean(values)), number(statistics.stdev(values))
            yield f"mean   {rest}{'   ' if rest else ''}{metric} {mean} ± {deviation} over {len(values)} seeds"
