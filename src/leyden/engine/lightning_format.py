"""Where a run stands, in the words of Lightning's checkpoints, and back.

Lightning keeps its position as the counters of its loops, under ``loops``. Pure functions
translate them: `loops` writes them from our `Progress`, `progress` reads one from them.

Their format cannot say everything ours can, so that a few places are moved to the nearest
one that both can name, in both directions alike:

| our place | in Lightning's counters |
|---|---|
| the last batch of an epoch is done, or the epoch is | the start of the next epoch |
| within an epoch, after a batch | that batch is done but for the end of its hook: what its ``ModelCheckpoint`` sees |
| within a window of accumulation | the window's start: the waiting gradients are not in the file |
| as before, with a loader that keeps its own position | that place; the waiting gradients are lost, as in Lightning |

Going on from Lightning's counters never does without a validation that was due: it is run
again rather than left out. Values logged before the save are not in the file, so that a plateau
scheduler that reads one does not step for an epoch that was over, as in Lightning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leyden.progress import Progress

VERSION_KEY = "pytorch-lightning_version"
VERSION = "2.6.6"  # the version whose format is written
SCALER_OF_LIGHTNING_1 = "native_amp_scaling_state"

Counts = dict[str, int]
_STAGES = ("validate", "test", "predict")


def loops(place: Progress, *, automatic: bool, accumulate: int, position: Mapping[str, Any]) -> dict[str, Any]:
    """Describe *place* as Lightning's loops do.

    Args:
        place: Where the run stands.
        automatic: Whether the engine steps the optimizer, or the module itself.
        accumulate: Micro-batches in a window.
        position: State of our training loader.
    """
    over = _epoch_is_over(place)
    states = _own_states(position)
    back = 0 if states else place.pending
    done = 0 if over else place.batch - back
    epochs = place.epochs + over
    inside = done > 0
    total = place.batches - (0 if over else back)
    waiting = inside and back != place.pending  # a window stays open
    steps, none = _steps(place.updates, -(-done // accumulate)), _steps(0, 0)
    return {
        "fit_loop": {
            "state_dict": {"combined_loader": states} if states and inside else {},
            "epoch_loop.state_dict": {"_batches_that_stepped": place.windows - (inside and not waiting)},
            "epoch_loop.batch_progress": {
                "total": _started(total, inside),
                "current": _started(done, inside),
                "is_last_batch": False,
            },
            "epoch_loop.scheduler_progress": none,
            "epoch_loop.automatic_optimization.state_dict": {},
            "epoch_loop.automatic_optimization.optim_progress": {
                "optimizer": {"step": steps if automatic else none, "zero_grad": _with_started(steps, automatic)}
            },
            "epoch_loop.manual_optimization.state_dict": {},
            "epoch_loop.manual_optimization.optim_step_progress": none if automatic else steps,
            "epoch_loop.val_loop.state_dict": {},
            "epoch_loop.val_loop.batch_progress": _evaluation(),
            "epoch_progress": {part: _running(epochs, inside) for part in ("total", "current")},
        },
        **{f"{stage}_loop": {"state_dict": {}, "batch_progress": _evaluation()} for stage in _STAGES},
    }


def progress(found: Mapping[str, Any], accumulate: int) -> Progress:
    """Read where a run of Lightning 2 stood from the ``loops`` of its checkpoint.

    Args:
        found: The entry ``loops``.
        accumulate: Micro-batches in a window.

    Raises:
        KeyError: If it is not in the format of Lightning 2.
    """
    fit = found["fit_loop"]
    epoch, batch = fit["epoch_progress"]["current"], fit["epoch_loop.batch_progress"]
    current, done = batch["current"], batch["current"]["processed"]
    automatic = fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]["total"]["completed"]
    manual = fit["epoch_loop.manual_optimization.optim_step_progress"]["total"]["completed"]
    stepped = fit["epoch_loop.state_dict"].get("_batches_that_stepped", 0)
    place = Progress(
        epochs=epoch["processed"], batches=batch["total"]["processed"], updates=automatic + manual, windows=stepped
    )
    if epoch["processed"] >= epoch["ready"]:
        return place
    last = batch["is_last_batch"] and done == current["ready"]
    waiting = 0 if last else done % accumulate
    if not waiting:
        place.windows += _uncounted_window(current, stepped, automatic, manual)
    if _validates(fit, current):
        place.batch, place.last, place.place = done, last, "LOGGED"
    elif last:
        place.epochs += 1
    else:
        place.batch = done
        place.place = "TRAINED" if current["completed"] < done else "BATCH"
    if waiting and _saved_states(found):
        place.pending = waiting
    elif waiting:
        place.batch, place.batches, place.place = place.batch - waiting, place.batches - waiting, "BATCH"
    return place


def position(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state for our training loader: that of loaders that keep their own position, where there is one."""
    states = _saved_states(found)
    if not states:
        return {}
    # One loader looks at the first entry, a collection at the second.
    followed = [{"began": 0, "opened": None, "asked": None, "own": state} for state in states]
    return {"own": states[0], "loaders": followed}


def _saved_states(found: Mapping[str, Any]) -> list[Any]:
    return found.get("fit_loop", {}).get("state_dict", {}).get("combined_loader") or []


def _own_states(position: Mapping[str, Any]) -> list[Any]:
    return [state for each in position.get("loaders", [position]) if (state := each.get("own")) is not None]


def _epoch_is_over(place: Progress) -> bool:
    """Whether nothing but the end of the epoch is left; before the last batch `last` is set, too."""
    if place.place == "EPOCH_ENDED":
        return True
    return place.last and place.batch > 0 and (place.place != "BATCH" or place.fetched <= place.batch)


def _validates(fit: Mapping[str, Any], current: Counts) -> bool:
    """Whether a validation was running: the batch was complete, and one of its own was not."""
    inside = fit.get("epoch_loop.val_loop.batch_progress", {}).get("current", {"ready": 0, "completed": 0})
    return bool(current["completed"] == current["ready"] and inside["ready"] > inside["completed"])


def _uncounted_window(current: Counts, stepped: int, automatic: int, manual: int) -> int:
    """1 if a window has ended that ``_batches_that_stepped``, which is late, does not hold yet."""
    if current["completed"] < current["processed"]:
        return 1  # in on_train_batch_end
    if current["completed"] < current["ready"]:
        return 0  # before or in a step
    return int(bool(manual) or automatic > stepped)


def _started(count: int, open_: bool) -> Counts:
    """*count* batches, the last of them still in `on_train_batch_end` if *open_*."""
    return {"ready": count, "completed": count - open_, "started": count, "processed": count}


def _running(count: int, open_: bool) -> Counts:
    """*count* epochs, and one that has begun if *open_*."""
    return {"ready": count + open_, "completed": count, "started": count + open_, "processed": count}


def _steps(total: int, current: int) -> dict[str, Counts]:
    return {"total": {"ready": total, "completed": total}, "current": {"ready": current, "completed": current}}


def _with_started(steps: dict[str, Counts], automatic: bool) -> dict[str, Counts]:
    counts = steps if automatic else _steps(0, 0)
    return {part: {**each, "started": each["ready"]} for part, each in counts.items()}


def _evaluation() -> dict[str, Any]:
    return {"total": _started(0, False), "current": _started(0, False), "is_last_batch": False}
