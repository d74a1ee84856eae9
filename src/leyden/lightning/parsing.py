"""Looking into frames and objects, as packages built on Lightning do."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from types import FrameType
from typing import Any

from leyden.callback import Callback
from leyden.datamodule import LightningDataModule
from leyden.module import LightningModule


def get_init_args(frame: FrameType) -> dict[str, Any]:
    """Return the arguments of the ``__init__`` that runs in *frame*; ``**kwargs`` spread, ``*args`` left out."""
    names, _, spread, values = inspect.getargvalues(frame)
    if frame.f_code.co_name != "__init__" or "__class__" not in values:
        return {}
    code = frame.f_code
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    found = {name: values[name] for name in (*names[1:], *keywords)}
    return found | (values[spread] if spread else {})


def is_picklable(obj: object) -> bool:
    """Tell whether *obj* can be pickled, by trying."""
    try:
        pickle.dumps(obj)
    except (pickle.PickleError, AttributeError, RuntimeError, TypeError):
        return False
    return True


def is_overridden(method_name: str, instance: object | None = None, parent: type[object] | None = None) -> bool:
    """Tell whether the class of *instance* has a method of its own in the place of *parent*'s.

    Without *parent*, the contract that *instance* derives from is meant.
    """
    if instance is None:
        return False
    contracts = (LightningModule, LightningDataModule, Callback)
    parent = parent or next((each for each in contracts if isinstance(instance, each)), None)
    if parent is None:
        raise ValueError(f"is_overridden({method_name!r}): {type(instance).__name__} is no part of a training run.")
    here, there = getattr(instance, method_name, None), getattr(parent, method_name, None)
    if there is None:
        raise ValueError(f"is_overridden({method_name!r}): {parent.__name__} has no such method.")
    return here is not None and getattr(here, "__func__", here) is not there


def _holders(model: Any, attribute: str) -> list[Any]:
    """Places where a learning rate or a batch size may stand, the outermost last."""
    trainer = getattr(model, "_trainer", None)
    places = (model, getattr(model, "hparams", None), getattr(trainer, "datamodule", None))
    found = [each for each in places if each is not None and not isinstance(each, dict) and hasattr(each, attribute)]
    return found + [each for each in places if isinstance(each, dict) and attribute in each]


def lightning_hasattr(model: Any, attribute: str) -> bool:
    """Tell whether the module, its hyper-parameters or its data module has *attribute*."""
    return bool(_holders(model, attribute))


def lightning_getattr(model: Any, attribute: str) -> Any:
    """Return *attribute* of whichever has it; see `lightning_hasattr`."""
    found = _holders(model, attribute)
    if not found:
        raise AttributeError(f"{attribute!r} is neither in {type(model).__name__} nor in its hyper-parameters or data.")
    last = found[-1]
    return last[attribute] if isinstance(last, dict) else getattr(last, attribute)


def lightning_setattr(model: Any, attribute: str, value: Any) -> None:
    """Set *attribute* wherever there is one; see `lightning_hasattr`."""
    found = _holders(model, attribute)
    if not found:
        raise AttributeError(f"{attribute!r} is neither in {type(model).__name__} nor in its hyper-parameters or data.")
    for each in found:
        if isinstance(each, dict):
            each[attribute] = value
        else:
            setattr(each, attribute, value)


def is_param_in_hook_signature(
    hook_fx: Callable[..., Any], param: str, explicit: bool = False, min_args: int | None = None
) -> bool:
    """Tell whether the method *hook_fx* takes *param*.

    Args:
        hook_fx: The method, its ``self`` first.
        param: Name of the argument.
        explicit: Whether ``*args`` do not count.
        min_args: So many arguments beside ``self`` count as well, whatever their names.
    """
    found = inspect.getfullargspec(getattr(hook_fx, "__wrapped__", hook_fx))
    names = found.args[1:]
    enough = min_args is not None and len(names) >= min_args
    return param in names or enough or (not explicit and found.varargs is not None)
