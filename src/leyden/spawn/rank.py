"""What a rank does: read the cargo, take its place, run the stage, and hand over."""

from __future__ import annotations

import os
import pickle
import time
import traceback
from pathlib import Path
from typing import Any

from leyden import ranks, rng
from leyden.processes.failure import is_secondary
from leyden.processes.lifeline import watch
from leyden.spawn import cargo, handover

HANDOVER = "handover"


def work(folder: Path) -> int:
    """Run the stage that *folder* describes; returns the exit code."""
    watch()
    try:
        return _run(folder)
    except BaseException as error:  # reported to the starter, whatever it is: it raises it again
        report(folder, error)
        return 1


def _run(folder: Path) -> int:
    found = cargo.read(folder / "cargo")
    cargo.settle(found["settings"])
    rng.restore(found["rng"])
    trainer, arguments = found["trainer"], found["arguments"]
    trainer.strategy.place_again()
    known = handover.known_to(trainer, arguments)
    results, over = None, False
    try:
        results = getattr(trainer, found["method"])(**arguments)
        over = True
    finally:
        if trainer._module is not None:
            weights = handover.tensors(trainer._module, together=over)
            if trainer.is_global_zero:
                _hand_over(folder, handover.collect(trainer, known, results, weights))
    return 0


def _hand_over(folder: Path, content: dict[str, Any]) -> None:
    scratch = folder / f"{HANDOVER}.part"
    scratch.write_bytes(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
    os.replace(scratch, folder / HANDOVER)


def report(folder: Path, error: BaseException) -> None:
    """Write *error* for the starter: itself if it can be pickled, its traceback, and whether it is a secondary one."""
    import cloudpickle

    told = {
        "trace": traceback.format_exc(), "secondary": is_secondary(error), "text": f"{type(error).__name__}: {error}",
        "time": time.time(),
    }  # fmt: skip
    try:
        content = cloudpickle.dumps(told | {"error": error})
        pickle.loads(content)
    except Exception:  # whatever its own way of being pickled raises
        content = pickle.dumps(told | {"error": None})
    found = ranks.current()
    scratch = folder / f"error{0 if found is None else found.rank}.part"
    scratch.write_bytes(content)
    os.replace(scratch, scratch.with_suffix(""))
