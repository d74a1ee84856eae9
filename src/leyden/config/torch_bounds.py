"""Numbers that torch's optimizers and schedulers take without a word, and that cannot be meant.

torch annotates its arguments as plain numbers. Many constructors refuse what lies outside of their bounds, and those
errors come out when an experiment is built (`leyden.optimizer_groups`). The rest trains with a rate below zero, counts
every third epoch for ``step_size=-3``, or fails at the first step.

Source: the descriptions of the arguments in https://docs.pytorch.org/docs/stable/optim.html
"""

from __future__ import annotations

import math
from typing import Any

_PACKAGE = "torch.optim"
_SCHEDULERS = f"{_PACKAGE}.lr_scheduler"

_AT_LEAST: dict[str, float] = {
    "T_max": 1, "cooldown": 0, "epochs": 1, "eps": 0, "eta_min": 0, "factor": 0, "gamma": 0, "max_lr": 0, "min_lr": 0,
    "patience": 0, "power": 0, "step_size": 1, "step_size_down": 1, "step_size_up": 1, "steps_per_epoch": 1,
    "threshold": 0, "total_iters": 0, "total_steps": 1,
}  # fmt: skip
_LENGTHS = ("T_max", "total_iters", "total_steps", "epochs")


def out_of_bounds(target: Any, key: str, value: Any) -> str | None:
    """Say why *value* cannot be meant for an argument of one of torch's optimizers and schedulers; None if it can.

    Args:
        target: What is called.
        key: Name of the argument.
        value: Plain, or a list of plain values.
    """
    module = getattr(target, "__module__", "") or ""
    if not module.startswith(_PACKAGE):
        return None
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, bool) or not isinstance(each, int | float):
            continue
        if not math.isfinite(each):
            return f"is {each}, but should be a finite number"
        least = _AT_LEAST.get(key) if module == _SCHEDULERS else None
        if least is not None and each < least:
            endless = each == -1 and key in _LENGTHS
            hint = (
                ". Where trainer.max_epochs is -1, nobody knows the length of the schedule: give one" if endless else ""
            )
            return f"is {each} ({type(each).__name__}), but should be greater than or equal to {least:g}{hint}"
    return None
