"""How a fit was set up, in plain types: what `configure_optimizers` returned, and the loader.

A checkpoint holds it, so that whoever goes on from it can tell what was typed since (a difference between two set-ups)
from what training has changed (a part of the states): see `leyden.engine.continuing`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.data import DistributedSampler

from leyden.contents import wrong
from leyden.engine.data import INFINITE, members
from leyden.engine.shards import Dealt
from leyden.rng import SEED_VARIABLE

if TYPE_CHECKING:
    from leyden.engine.optimization import Optimization
    from leyden.trainer import Trainer

_NO_SETTINGS = frozenset(("params", "param_names", "foreach", "fused", "capturable", "differentiable", "verbose"))
_MOVED = frozenset(  # what schedulers of torch change as they are stepped
    "last_epoch _step_count _last_lr T_cur T_i best num_bad_epochs cooldown_counter _is_initial "
    "_get_lr_called_within_step".split()
)
_NOTHING = object()


@dataclass
class Setup:
    """How a fit was set up, before a checkpoint or a callback has changed anything.

    Attributes:
        record: In plain types, as a checkpoint keeps it.
        schedulers: The schedulers themselves: a callback may replace them.
        kept: What became of settings that the checkpoint was written with, in words.
        then: The record in the checkpoint that the fit goes on from: None where there is none, or it was looked at;
            empty where the checkpoint holds none.
    """

    record: dict[str, Any] = field(default_factory=dict)
    schedulers: tuple[Any, ...] = ()
    kept: list[str] = field(default_factory=list)
    then: dict[str, Any] | None = None

    def begin(self) -> None:
        """Forget what was said of an earlier stage."""
        self.kept, self.then = [], None

    def note(self, trainer: Trainer, optimization: Optimization) -> None:
        """Note what `configure_optimizers` has just returned."""
        record = {
            "optimizers": [
                {"class": name_of(each), "groups": [settings(group) for group in each.param_groups]}
                for each in optimization.optimizers
            ],
            "schedulers": [
                {
                    "class": name_of(config.scheduler),
                    "interval": config.interval,
                    "frequency": config.frequency,
                    "settings": scheduler_settings(config.scheduler),
                }
                for config in optimization.schedulers
            ],
            "precision": trainer.precision,
            "seed": os.environ.get(SEED_VARIABLE),
            "limits": [trainer.max_epochs, trainer.max_steps],
        }
        self.record = json.loads(json.dumps(record))
        self.schedulers = tuple(config.scheduler for config in optimization.schedulers)


def written(trainer: Trainer) -> str:
    """Return what a checkpoint says of the settings it is written with, as JSON."""
    return json.dumps(
        {
            **trainer._setup.record,
            "accumulate_grad_batches": trainer.accumulate_grad_batches,
            "loader": describe_loader(trainer),
        }
    )


def read(checkpoint: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return what a checkpoint says of its settings; nothing where it is Lightning's, or older.

    Raises:
        DamagedCheckpointError: If it is not in the form in which it is written.
    """
    text = checkpoint.get("leyden", {}).get("settings")
    if text is None:
        return {}
    try:
        found = json.loads(text)
        for each in found["optimizers"]:
            _ = each["class"], [dict(group) for group in each["groups"]]
        for each in found["schedulers"]:
            _ = each["class"], each["interval"], each["frequency"], dict(each["settings"])
        _ = found["precision"], found["seed"], found["limits"]
        _ = found["accumulate_grad_batches"], dict(found["loader"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise wrong(path, "leyden.settings", "is not what is written there", "settings in JSON") from None
    return dict(found)


def describe_loader(trainer: Trainer) -> dict[str, Any]:
    """Describe the training loader as far as positions in it depend on it."""
    loader = trainer._train_loader
    each = members(loader.loader) if loader is not None else []
    batches = loader.announced if loader is not None else INFINITE
    return {
        "batch_size": [_batch_size(one) for one in each],
        "samples": [_samples(one) for one in each],
        "order": [_order(one) for one in each],
        "batches": None if batches == INFINITE else int(batches),
        "shares": max([_share(one) for one in each], default=1),
    }


def _samplers(loader: Any) -> list[Any]:
    """Return what decides about the order of a loader, those of whole batches first."""
    batches = getattr(loader, "batch_sampler", None)
    return [
        each
        for each in (batches, getattr(batches, "sampler", None), getattr(loader, "sampler", None))
        if each is not None
    ]


def _share(loader: Any) -> int:
    """Among how many ranks the samples of a loader are divided."""
    found = [each.share.world for each in _samplers(loader) if isinstance(each, Dealt)]
    theirs = [each.num_replicas for each in _samplers(loader) if isinstance(each, DistributedSampler)]
    return max([*found, *theirs], default=1)


def _batch_size(loader: Any) -> int | None:
    size = getattr(loader, "batch_size", None)
    if size is None:
        size = getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
    return size if isinstance(size, int) else None


def _order(loader: Any) -> str | None:
    sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None) or getattr(loader, "sampler", None)
    while isinstance(sampler, Dealt):
        sampler = sampler.sampler
    return None if sampler is None else name_of(sampler)


def _samples(loader: Any) -> int | None:
    try:
        return len(loader.dataset)
    except (AttributeError, TypeError, NotImplementedError):
        return None


def scheduler_settings(scheduler: Any) -> dict[str, Any]:
    """Return what a scheduler was made with, as far as its state and plain values that its functions keep tell."""
    try:
        state = scheduler.state_dict()
    except Exception:  # whatever a scheduler of the user's does before it was ever stepped
        return {}
    found = settings(state)
    functions = getattr(scheduler, "lr_lambdas", None)
    if isinstance(functions, list):
        found["lr_lambdas"] = [_kept_by(function) for function in functions]
    parts = getattr(scheduler, "_schedulers", None)
    if isinstance(parts, list):
        found["_schedulers"] = [scheduler_settings(each) for each in parts]
    return found


def _kept_by(function: Any) -> dict[str, Any]:
    """Return the numbers that a function or a callable object keeps."""
    if isinstance(function, partial):
        arguments = {f"argument {index}": each for index, each in enumerate(function.args)}
        return {**_kept_by(function.func), **_numbers({**arguments, **function.keywords})}
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = dict(zip(names, getattr(function, "__closure__", None) or (), strict=False))
    defaults = {f"default {index}": each for index, each in enumerate(getattr(function, "__defaults__", None) or ())}
    return _numbers({**{name: _content(cell) for name, cell in cells.items()}, **defaults, **_attributes(function)})


def _attributes(function: Any) -> dict[str, Any]:
    return dict(vars(function)) if hasattr(function, "__dict__") else {}


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out texts, which may be secrets."""
    return {key: value for key, value in settings(values).items() if not isinstance(value, (str, dict))}


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values among *values* that say how something was set up, in the types of JSON."""
    found = {str(key): _plain(value) for key, value in values.items() if key not in _NO_SETTINGS | _MOVED}
    return {key: value for key, value in found.items() if value is not _NOTHING}


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else _NOTHING
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        return settings(value)
    if isinstance(value, (list, tuple)):
        each = [_plain(one) for one in value]
        return _NOTHING if any(one is _NOTHING for one in each) else each
    return _NOTHING


def name_of(owner: Any) -> str:
    """Return the name of the class of *owner*."""
    return type(owner).__qualname__
