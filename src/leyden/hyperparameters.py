"""Hyper-parameters: the constructor arguments of a module or data module, kept for the record.

``self.save_hyperparameters()`` inside ``__init__`` reads the arguments of that very call
from the frame it was called in, so nobody writes them down twice. They end up as
``self.hparams``, in the loggers, and in checkpoints, from which `load_from_checkpoint`
rebuilds the object.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from argparse import Namespace
from collections.abc import Iterable, MutableMapping
from types import FrameType
from typing import Any

from leyden.errors import ConfigurationError


class AttributeDict(dict[str, Any]):
    """A dict whose keys are attributes as well: ``hparams.lr`` is ``hparams["lr"]``."""

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(
                f"there is no hyper-parameter {key!r}; there are: {', '.join(self) or 'none'}"
            ) from None

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __repr__(self) -> str:
        return "\n".join(f'"{key}": {value}' for key, value in sorted(self.items()))


def keep(owner: Any, root: type, frame: FrameType, chosen: tuple[Any, ...], ignore: Iterable[str] | str | None) -> None:
    """Do what ``owner.save_hyperparameters(*chosen, ignore=ignore)`` says, called in *frame*.

    What is kept joins what an earlier call, a parent's say, has kept; names to ignore are
    taken out of that, too. An empty mapping changes nothing.
    """
    if len(chosen) == 1 and not isinstance(chosen[0], str) and not chosen[0]:
        return
    slots = vars(owner)
    new, slots["_hparams_name"] = select(call_arguments(frame, root, owner), chosen, ignore)
    old = slots.get("_hparams")
    if isinstance(old, dict) and isinstance(new, dict):
        old.update(new)
    else:
        slots["_hparams"] = new
    for name in _names(ignore):
        slots["_hparams"].pop(name, None)
    slots["_hparams_initial"] = _copy_whole(slots["_hparams"])


def initial(owner: Any) -> Any:
    """Return a copy of what `keep` found."""
    return _copy_whole(vars(owner).get("_hparams_initial", AttributeDict()))


def call_arguments(frame: FrameType, root: type, owner: Any = None) -> dict[str, Any]:
    """Collect the constructor arguments along a class chain, innermost call first.

    Args:
        frame: Frame of the ``__init__`` that asks, or of what it calls.
        root: Callers are followed while they are ``__init__`` of an instance of *root*.
        owner: That instance; None takes the first argument of *frame*.

    Returns:
        Arguments by name; ``*args`` are left out and ``**kwargs`` spread. Where a child and
        its parent both have an argument, the child's value stays.
    """
    found: dict[str, Any] = {}
    owner = _self_of(frame) if owner is None else owner
    if dataclasses.is_dataclass(owner):
        return {field.name: getattr(owner, field.name) for field in dataclasses.fields(owner) if field.init}
    current: FrameType | None = frame
    while current is not None and not (current.f_code.co_name == "__init__" and _self_of(current) is owner):
        current = current.f_back
    while current is not None and current.f_code.co_name == "__init__" and _self_of(current) is owner:
        if isinstance(owner, root):
            found |= _own_arguments(current)
        current = current.f_back
    return found


def _self_of(frame: FrameType) -> Any:
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def _own_arguments(frame: FrameType) -> dict[str, Any]:
    names, _, spread, values = inspect.getargvalues(frame)
    code = frame.f_code
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    own = {name: values[name] for name in (*names[1:], *keywords) if name in values and name != "__class__"}
    return own | (values[spread] if spread else {})


def select(
    arguments: dict[str, Any], chosen: tuple[Any, ...], ignore: Iterable[str] | str | None
) -> tuple[MutableMapping[str, Any], str | None]:
    """Pick what ``save_hyperparameters(*chosen, ignore=...)`` asks for.

    Args:
        arguments: What the constructor was called with.
        chosen: Names of arguments, or one mapping or namespace that holds all of them.
        ignore: Names to leave out.

    Returns:
        The chosen values, deep-copied, and the name under which a constructor takes them:
        ``"kwargs"`` when they are spread over its arguments, else the one argument's name; None
        where there are none, or they are no argument.

    Raises:
        ConfigurationError: If a name is no argument, or a value is of no usable type.
    """
    left_out = _names(ignore)
    kept = {key: value for key, value in arguments.items() if key not in left_out}
    if not chosen:
        return AttributeDict(_copy(kept)), "kwargs" if kept else None
    if all(isinstance(name, str) for name in chosen):
        unknown = [name for name in chosen if name not in arguments]
        if unknown:
            raise ConfigurationError(
                f"save_hyperparameters was given {unknown[0]!r}, which is not an argument of the constructor. "
                f"Its arguments are: {', '.join(arguments) or 'none'}. Pass one of them, or nothing to save all."
            )
        return AttributeDict(_copy({name: kept[name] for name in chosen if name in kept})), "kwargs"
    containers = [value for value in chosen if not isinstance(value, str)]
    if len(containers) == 1:
        value = containers[0]
        name = next((key for key, argument in kept.items() if argument is value), None)
        if isinstance(value, Namespace):
            value = vars(value)
        if isinstance(value, MutableMapping):
            return AttributeDict(_copy(value)) if isinstance(value, dict) else copy.deepcopy(value), name
    raise ConfigurationError(
        f"save_hyperparameters takes names of constructor arguments, or one dict, namespace or OmegaConf "
        f"container; got {', '.join(type(value).__name__ for value in chosen)}."
    )


def _names(ignore: Iterable[str] | str | None) -> set[str]:
    return {ignore} if isinstance(ignore, str) else set(ignore or ())


def _copy_whole(values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return AttributeDict(_copy(values)) if isinstance(values, dict) else copy.deepcopy(values)


def _copy(values: dict[str, Any]) -> dict[str, Any]:
    """Deep-copy where possible, so that later changes of the originals do not rewrite history."""
    copied = {}
    for key, value in values.items():
        try:
            copied[key] = copy.deepcopy(value)
        except Exception:  # a live object (an open file, a process ...) is kept as it is
            copied[key] = value
    return copied
