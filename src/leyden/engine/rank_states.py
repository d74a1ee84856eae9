"""What is each rank's own in a checkpoint, and how it is dealt to another number of ranks.

Rank 0 writes one file. Beside what all ranks share it holds every rank's random numbers, position in its loader,
half-accumulated means and half-accumulated gradients. A run may go on with another number of ranks: micro-batches
per update change so that an update sees as many samples as before, the very ones it would have seen
(`leyden.engine.shards`). With *W* ranks then, *V* now, and gradients ``g``:

    accumulate_grad_batches   A ─► A W / V                    a whole number, or the run is refused
    micro-batches done        b ─► b W / V                    likewise, but at the end of an epoch
    gradients of a window     each of V gets  sum(g) / W      so that their mean over ranks stays what it was
    sums and weights          rank r of V gets those of ranks r, r + V, ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from leyden.errors import CheckpointError
from leyden.metric_objects import merged_state
from leyden.tree import map_tensors
from leyden.warnings import log

if TYPE_CHECKING:
    from leyden.trainer import Trainer

OWN = ("rng", "loader", "metrics", "gradients")
_COUNTED = ("batch", "batches", "pending", "fetched")


def of_all_ranks(trainer: Trainer, place: dict[str, Any]) -> dict[str, Any]:
    """Return *place* with what is other ranks' own; every rank calls this, and rank 0's result counts."""
    strategy = trainer.strategy
    if strategy.world_size == 1:
        return place
    part, parts = strategy.share
    own = map_tensors({name: place[name] for name in OWN}, lambda each: each.detach().cpu())
    found = strategy.gather_objects((part, own))
    if not strategy.is_global_zero:
        return place
    states = dict(reversed(found))  # ranks that are given the same data have the same state
    return {**place, "world_size": parts, "ranks": [states[each] for each in range(1, parts)]}


def of_this_rank(trainer: Trainer, place: dict[str, Any], path: str) -> dict[str, Any]:
    """Return what this rank goes on from.

    Raises:
        CheckpointError: If this number of ranks cannot do updates of as many samples.
    """
    (part, now), then = trainer.strategy.share, place.get("world_size", 1)
    everyone = [{name: place[name] for name in OWN}, *place.get("ranks", [])]
    if then == now:
        return {**place, **everyone[part]}
    trainer.accumulate_grad_batches = _windows(trainer.accumulate_grad_batches, then, now, path)
    mine = everyone[part::now]
    found = {
        **place,
        "rng": (mine or everyone)[0]["rng"],
        "loader": _with_new_workers(everyone[0]["loader"]),
        "progress": _progress(place["progress"], then, now, path),
        "gradients": _mean([each["gradients"] for each in everyone]),
        "metrics": _metrics([each["metrics"] for each in mine], everyone[0]["metrics"]),
    }
    log.info(
        "%s was saved by %s and goes on with %d: %d micro-batches make an update, so that it sees as many "
        "samples as before.", path, _ranks(then), now, trainer.accumulate_grad_batches,
    )  # fmt: skip
    return found


def _with_new_workers(position: Any) -> Any:
    """Return *position* without the worker processes of a rank: on all of them they would draw the same numbers."""
    if not isinstance(position, dict):
        return [_with_new_workers(each) for each in position] if isinstance(position, list) else position
    return {name: None if name == "workers" else _with_new_workers(value) for name, value in position.items()}


def _ranks(number: int) -> str:
    return "1 rank" if number == 1 else f"{number} ranks"


def _windows(size: int, then: int, now: int, path: str) -> int:
    if size * then % now:
        raise CheckpointError(
            f"{path} was saved by {_ranks(then)} that made an update of {size} micro-batches each; {_ranks(now)} "
            f"cannot make updates of as many samples. Go on with a number of ranks that divides {size * then}."
        )
    return size * then // now


def _progress(progress: dict[str, Any], then: int, now: int, path: str) -> dict[str, Any]:
    if not progress["last"] and any(progress[name] * then % now for name in _COUNTED):
        raise CheckpointError(
            f"{path} was saved by {_ranks(then)} after {progress['batch']} batches of an epoch, which is no whole "
            f"number of batches of {_ranks(now)}. Go on with {_ranks(then)}, or from a checkpoint of the end of an "
            "epoch."
        )
    return {**progress, **{name: -(-progress[name] * then // now) for name in _COUNTED}}


def _mean(gradients: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    names = {name: None for each in gradients for name in each}
    found = {name: [each[name] for each in gradients if name in each] for name in names}
    return {name: sum(each[1:], each[0]) / len(gradients) for name, each in found.items()}


def _metrics(states: list[dict[str, Any]], shape: dict[str, Any]) -> dict[str, Any]:
    """Add up what ranks have logged that are one now; of a rank that is new, nothing."""
    if not states:
        empty = {kind: [_emptied(entry) for entry in shape[kind]] for kind in ("training", "evaluation")}
        return {**shape, **empty, "objects": {path: {} for path in shape["objects"]}}
    first, *others = states
    found = dict(first)
    for other in others:
        for kind in ("training", "evaluation"):
            found[kind] = [_added(one, two) for one, two in zip(found[kind], other[kind], strict=True)]
        found["objects"] = {
            path: merged_state(state, other["objects"][path]) for path, state in found["objects"].items()
        }
    return found


def _added(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    if one["total"] is None or one["reduced"]:
        return one
    combine = {"max": max, "min": min}.get(one["reduction"], lambda *values: sum(values))
    return {**one, "total": combine(one["total"], two["total"]), "weight": one["weight"] + two["weight"]}


def _emptied(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["total"] is None or entry["reduced"] or entry["reduction"] in ("max", "min"):
        return entry
    return {**entry, "total": entry["total"] * 0, "weight": 0}
