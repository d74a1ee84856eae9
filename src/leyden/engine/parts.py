"""Parts of a checkpoint on their way back to what they are the states of: what does not fit is named.

`leyden.contents` has looked at what every checkpoint has in common. What is left depends on the optimizer, the
scheduler or the loader that is there now: a tensor of another shape, a key that is missing. Torch often takes these
without a word and fails in the middle of training.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from leyden.contents import wrong
from leyden.errors import LeydenError

_LIBRARIES = {"leyden", "torch", "numpy", "torchmetrics"} | set(sys.stdlib_module_names)
_STEPPED = ("step", "exp_avg", "exp_avg_sq")
_STATES = {  # what torch's optimizers keep of each parameter that has been stepped
    "Adam": _STEPPED, "AdamW": _STEPPED, "NAdam": (*_STEPPED, "mu_product"), "RAdam": _STEPPED,
    "Adamax": ("step", "exp_avg", "exp_inf"), "Adagrad": ("step", "sum"),
    "Adadelta": ("step", "square_avg", "acc_delta"), "RMSprop": ("step", "square_avg"),
    "ASGD": ("step", "eta", "mu", "ax"), "Rprop": ("step", "prev", "step_size"), "SGD": (), "Muon": (),
}  # fmt: skip


@contextmanager
def part(path: str, name: str) -> Iterator[None]:
    """Say of an error within that it comes from the part *name* of a checkpoint.

    Raises:
        DamagedCheckpointError: If torch, NumPy or Leyden could not take it; errors of the user's own code stay.
    """
    try:
        yield
    except LeydenError:
        raise
    except Exception as error:  # whatever a library says to a value it does not expect
        if _is_users(error.__traceback__):
            raise
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        raise wrong(
            path, name, f"could not be loaded ({told:.200})", "what Leyden or Lightning writes there"
        ) from error


def _is_users(trace: TracebackType | None) -> bool:
    """Whether code that is neither ours nor a library's took part."""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _LIBRARIES:
            return True
        trace = trace.tb_next
    return False


def check_optimizer(optimizer: Optimizer, groups: list[dict[str, Any]], path: str, name: str) -> None:
    """Hold the state that an optimizer of torch has taken against its parameters.

    Args:
        optimizer: Whose state was loaded.
        groups: Its groups before that.
        path: Of the checkpoint.
        name: Of the part.

    Raises:
        DamagedCheckpointError: If a state is missing, or of another type or shape.
    """
    if not type(optimizer).__module__.startswith("torch.optim."):
        return
    for index, (before, after) in enumerate(zip(groups, optimizer.param_groups, strict=True)):
        _check_like(before, after, path, f"{name}.param_groups[{index}]", needed=tuple(before))
    expected = _STATES.get(type(optimizer).__name__)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, parameter in enumerate(parameters):
        state, where = optimizer.state.get(parameter, {}), f"{name}.state.{number}"
        if not isinstance(state, Mapping):
            raise wrong(path, where, f"is {state!r:.60}", "the state of a parameter")
        if not state or expected is None:
            continue
        for key in expected:
            if key not in state:
                raise wrong(path, f"{where}.{key}", "is missing", f"a state of {type(optimizer).__name__}")
        for key, value in state.items():
            _check_state(key, value, parameter, path, f"{where}.{key}")


def _check_state(key: str, value: Any, parameter: Tensor, path: str, where: str) -> None:
    if value is None and key not in _STEPPED:
        return
    if not isinstance(value, Tensor) and type(value) not in (int, float):
        raise wrong(path, where, f"is of type {type(value).__name__}", "a tensor or a number")
    if not isinstance(value, Tensor) or value.ndim == 0:
        if key == "step" and not float(value) >= 0:
            raise wrong(path, where, f"is {float(value)}", "a number of steps from 0 on")
        if key not in ("step", "eta", "mu", "mu_product") and parameter.ndim:
            raise wrong(path, where, "is a single number", f"a tensor of shape {tuple(parameter.shape)}")
    elif value.shape != parameter.shape:
        raise wrong(path, where, f"has the shape {tuple(value.shape)}", f"{tuple(parameter.shape)}")


def check_scheduler(fresh: Mapping[str, Any], found: Mapping[str, Any], path: str, name: str) -> None:
    """Hold the state for a scheduler of torch, or of ours, against the state it has by itself.

    Raises:
        DamagedCheckpointError: If something is of another type, or the counter is missing or negative.
    """
    counters = tuple(key for key in ("last_epoch", "_step_count") if key in fresh)
    _check_like(fresh, found, path, name, needed=counters, grown=True)  # groups of parameters may have been added
    for key in counters:
        if type(found[key]) is not int or found[key] < -1:
            raise wrong(path, f"{name}.{key}", f"is {found[key]!r:.60}", "a whole number from 0 on")


def _check_like(own: Any, found: Any, path: str, where: str, needed: tuple[str, ...] = (), grown: bool = False) -> None:
    """Compare the types of *found* with those of *own*, as far as they say something; lists may have *grown*."""
    if own is None or callable(own) or found is own:
        return
    if isinstance(own, Mapping):
        if not isinstance(found, Mapping):
            raise wrong(path, where, f"is of type {type(found).__name__}", "a mapping")
        for key in needed:
            if key not in found:
                raise wrong(path, f"{where}.{key}", "is missing", "a value")
        for key in own.keys() & found.keys() - {"params"}:
            _check_like(own[key], found[key], path, f"{where}.{key}", grown=grown)
    elif isinstance(own, (list, tuple)):
        if not isinstance(found, (list, tuple)) or not (len(found) == len(own) or (grown and len(found) > len(own))):
            raise wrong(path, where, "is no list of as many values as there are now", f"{len(own)} of them")
        for index, other in enumerate(found if own else ()):
            _check_like(own[min(index, len(own) - 1)], other, path, f"{where}[{index}]", grown=grown)
    elif not _same_kind(own, found):
        raise wrong(path, where, f"is {found!r:.60}", f"something like {own!r:.60}")


def _same_kind(own: Any, found: Any) -> bool:
    if type(own) is int:
        return type(found) in (int, float) and math.isfinite(found)
    if type(own) is float or (isinstance(own, Tensor) and own.ndim == 0):
        return type(found) in (int, float) or (isinstance(found, Tensor) and found.numel() == 1)
    if isinstance(own, Tensor):
        return isinstance(found, Tensor) and found.shape == own.shape
    if isinstance(own, (bool, str)):
        return isinstance(found, type(own)) or (isinstance(own, bool) and found is None)
    return True


def is_of_a_library(owner: Any) -> bool:
    """Whether the class of *owner* is torch's or ours, so that what its state looks like is known."""
    return type(owner).__module__.partition(".")[0] in ("torch", "leyden")
