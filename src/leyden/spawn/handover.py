"""What travels back from rank 0, so that its starter is as if it had run the stage itself.

    weights and buffers     put into the caller's own parameters
    attributes              of module, callbacks and loggers, as far as they can be pickled; of a callback that cannot
                            be, its `state_dict`; of a logger, its version; of a data module, numbers and texts
    trainer                 progress, state, the dictionaries of metrics, predictions
    random numbers          of the CPU

An object that the caller knows, the trainer or a layer say, is named instead of sent: references to it lead to the
caller's own one afterwards.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from leyden import rng
from leyden.datamodule import LightningDataModule
from leyden.divided import is_divided, whole
from leyden.module import LightningModule
from leyden.tree import map_tensors

if TYPE_CHECKING:
    from leyden.callback import Callback
    from leyden.trainer import Trainer

Known = Mapping[int, tuple[str, Any]]

_OF_TORCH = frozenset(vars(nn.Module()))
_OF_A_STAGE = frozenset(("_trainer", "_metrics", "_device", "log", "log_dict"))
_PLAIN = (bool, int, float, str, type(None))
_KEPT = tuple("interrupted predictions ckpt_path accumulate_grad_batches state".split())  # attributes of a trainer


def known_to(trainer: Trainer, arguments: Mapping[str, Any]) -> dict[int, tuple[str, Any]]:
    """Return the objects that starter and rank both have before a stage, by identity, each with the name it goes by.

    Args:
        trainer: Whose method is called.
        arguments: Of the method.
    """
    module, datamodule = subjects(trainer, arguments)
    named: list[tuple[str, Any]] = [("trainer", trainer), ("datamodule", datamodule)]
    named += [(f"callback {index}", each) for index, each in enumerate(trainer.callbacks)]
    named += [(f"logger {index}", each) for index, each in enumerate(trainer.loggers)]
    if module is not None:
        named += [(f"module {path}", each) for path, each in module.named_modules()]
        named += [(f"parameter {path}", each) for path, each in module.named_parameters()]
    return {id(each): (name, each) for name, each in named if each is not None}


def subjects(
    trainer: Trainer, arguments: Mapping[str, Any]
) -> tuple[LightningModule | None, LightningDataModule | None]:
    """Return the module and the data module that a method of *trainer* is called with."""
    model = arguments.get("model")
    module = getattr(model, "_orig_mod", model) if model is not None else trainer._module
    datamodule = next((each for each in arguments.values() if isinstance(each, LightningDataModule)), None)
    return module if isinstance(module, LightningModule) else None, datamodule


def tensors(module: nn.Module, together: bool) -> dict[str, Tensor]:
    """Return the weights and buffers of *module*; every rank calls this.

    Args:
        module: After the stage.
        together: Whether all ranks are there, so that they can put together what was divided among them.
    """
    found: dict[str, Tensor] = {}
    for name, each in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(each, UninitializedParameter) or (is_divided(each) and not together):
            continue
        found[name] = whole(each.detach()).cpu()
    return found


def collect(trainer: Trainer, known: Known, results: Any, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what goes back to the starter; called on rank 0.

    Args:
        trainer: After the stage.
        known: What `known_to` returned before it.
        results: What the stage returned.
        weights: What `tensors` returned.
    """
    metrics = trainer._metrics
    module, datamodule = trainer._module, trainer.datamodule
    _ = metrics.callback  # brings all three up to date
    return {
        "results": _pickled(results, known),
        "tensors": dict(weights),
        "layers": None if module is None else _layers(module, known),
        "modes": {} if module is None else _modes(module),
        "module": {} if module is None else _attributes(module, known),
        "datamodule": {} if datamodule is None else _plain(vars(datamodule)),
        "callbacks": [_callback(each, known) for each in trainer.callbacks],
        "loggers": [(each.version, _pickled(each, known)) for each in trainer.loggers],
        "trainer": {name: _pickled(getattr(trainer, name), known) for name in _KEPT},
        "progress": trainer._progress.state_dict(),
        "metrics": tuple(_cpu(each) for each in (metrics._callback, metrics._logged, metrics._bar)),
        "rng": {name: state for name, state in rng.capture().items() if name != "cuda"},
    }


def take(trainer: Trainer, arguments: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    """Bring *trainer* and what belongs to it to what `collect` found on rank 0; returns the results of the stage.

    Args:
        trainer: The caller's.
        arguments: Of the method that was called.
        found: What `collect` returned.
    """
    trainer._module, trainer.datamodule = subjects(trainer, arguments)
    known = dict(known_to(trainer, arguments).values())
    if trainer._module is not None:
        _take_layers(trainer._module, found, known)
        vars(trainer._module).update(_unpickled_each(found["module"], known), _trainer=trainer)
    if trainer.datamodule is not None:
        vars(trainer.datamodule).update(found["datamodule"], trainer=trainer)
    callbacks = [_take_callback(each, known) for each in found["callbacks"]]
    trainer.callbacks = [each for each in callbacks if each is not None]
    for logger, (version, content) in zip(trainer.loggers, found["loggers"], strict=True):
        if content is None:
            logger.adopt(version)
        else:
            _become(logger, _unpickled(content, known))
    for name, content in found["trainer"].items():
        if content is not None:
            setattr(trainer, name, _unpickled(content, known))
    trainer._progress.load_state_dict(found["progress"])
    metrics = trainer._metrics
    metrics.begin()
    metrics._callback, metrics._logged, metrics._bar = (dict(each) for each in found["metrics"])
    rng.restore(found["rng"])
    return _unpickled(found["results"], known)


# --- weights -------------------------------------------------------------------------------------


def _modes(module: nn.Module) -> dict[str, dict[str, bool]]:
    return {
        "training": {path: each.training for path, each in module.named_modules()},
        "requires_grad": {path: each.requires_grad for path, each in module.named_parameters()},
    }


def _layers(module: nn.Module, known: Known) -> bytes | None:
    """Return all layers, if the stage has made some, in `configure_model` say; otherwise the caller's own are kept."""
    before = {name for name, each in known.values() if not isinstance(each, UninitializedParameter)}
    if all(f"parameter {path}" in before for path, _ in module.named_parameters()):
        return None
    others = {key: named for key, named in known.items() if not _is_layer(named[0])}
    return _pickled({name: vars(module)[name] for name in ("_modules", "_parameters", "_buffers")}, others)


def _is_layer(name: str) -> bool:
    return name.startswith(("module ", "parameter ")) and name != "module "


def _take_layers(module: nn.Module, found: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    if found["layers"] is not None:
        vars(module).update(_unpickled(found["layers"], known))
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name in found["tensors"]:
                tensor.data = found["tensors"][name]
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(found["modes"]["requires_grad"].get(name, parameter.requires_grad))
    for name, layer in module.named_modules():
        layer.training = found["modes"]["training"].get(name, layer.training)


# --- objects -------------------------------------------------------------------------------------


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in attributes.items() if type(each) in _PLAIN}


def _attributes(module: nn.Module, known: Known) -> dict[str, bytes | None]:
    own = {name: each for name, each in vars(module).items() if name not in _OF_TORCH | _OF_A_STAGE}
    return {name: _pickled(each, known) for name, each in own.items()}


def _callback(callback: Callback, known: Known) -> dict[str, Any]:
    name = known[id(callback)][0] if id(callback) in known else None
    content = _pickled(callback, known)
    return {"name": name, "content": content, "state": None if content is not None else callback.state_dict()}


def _take_callback(found: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    if found["name"] is None:
        return _unpickled(found["content"], known)
    callback = known[found["name"]]
    if found["content"] is not None:
        _become(callback, _unpickled(found["content"], known))
    elif found["state"]:
        callback.load_state_dict(found["state"])
    return callback


def _become(mine: Any, found: Any) -> None:
    vars(mine).clear()
    vars(mine).update(vars(found))


def _cpu(value: Any) -> Any:
    return map_tensors(value, lambda each: each.detach().cpu())


def _pickled(value: Any, known: Known) -> bytes | None:
    """Return *value* as bytes, with names for what the starter knows but *value* itself; None if that cannot be."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> Any:
            return known[id(obj)][0] if obj is not value and id(obj) in known else None

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, Tensor) and obj.device.type != "cpu":
                return obj.detach().cpu().__reduce_ex__(pickle.HIGHEST_PROTOCOL)  # type: ignore[no-untyped-call]
            return super().reducer_override(obj)

    file = io.BytesIO()
    try:
        Pickler(file).dump(value)
    except Exception:  # whatever an object's own way of being pickled raises
        return None
    return file.getvalue()


def _unpickled(content: bytes | None, known: Mapping[str, Any]) -> Any:
    class Unpickler(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            return known[pid]

    return None if content is None else Unpickler(io.BytesIO(content)).load()


def _unpickled_each(found: Mapping[str, bytes | None], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _unpickled(content, known) for name, content in found.items() if content is not None}
