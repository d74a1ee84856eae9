"""Real objects to test with: a tiny module and its data, and recorders of everything they are asked.

    TinyModule, TinyData                                            train in milliseconds, the same way every time
    RecordingModule, RecordingCallback, RecordingDataModule         note each hook in a list they share
    RecordingLogger                                                 keeps its rows in memory
    recording                                                       makes a recorder of a class of yours

A recorder changes nothing: it notes the call and does what the class did. Noting a hook
means overriding it, though, and a few hooks matter by being overridden: `optimizer_step`
moves the step into a closure. Leave such a hook out of the list to test the usual way.

Example:
    >>> heard = []
    >>> trainer = Trainer(max_epochs=1, callbacks=[RecordingCallback(heard)], logger=False)
    >>> trainer.fit(TinyModule(), TinyData())
    >>> str(heard[0])
    'cb.setup'
"""

from __future__ import annotations

import functools
import inspect
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from leyden.callback import Callback
from leyden.datamodule import LightningDataModule
from leyden.engine.hooks import CALLBACK_HOOKS, MODULE_HOOKS
from leyden.logger import Logger
from leyden.module import LightningModule

Recorder = TypeVar("Recorder", bound=type)

_TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader")
_CHECKPOINTS = ("on_save_checkpoint", "on_load_checkpoint")
_STATES = ("state_dict", "load_state_dict")
_STAGES = ("setup", "teardown")

RECORDED_BY_MODULE = (
    *("prepare_data", *_STAGES, "configure_callbacks", "configure_model", "configure_optimizers"),
    *("training_step", "validation_step", "test_step", "predict_step"),
    *("optimizer_step", "optimizer_zero_grad", "backward", "configure_gradient_clipping", "lr_scheduler_step"),
    *(*_TRANSFERS, *_CHECKPOINTS, *MODULE_HOOKS),
)
RECORDED_BY_CALLBACK = (*_STAGES, *_STATES, *_CHECKPOINTS, *CALLBACK_HOOKS)
RECORDED_BY_DATA_MODULE = ("prepare_data", *_STAGES, *_LOADERS, *_STATES, "on_exception")


class Call(NamedTuple):
    """One call of a hook; ``str`` gives ``owner.hook``.

    Attributes:
        owner: ``"LM"`` for a module, ``"cb"`` for a callback, ``"DM"`` for a data module.
        hook: Name of the method.
        arguments: What it was called with, as `describe` tells it.
    """

    owner: str
    hook: str
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.owner}.{self.hook}"


def describe(value: Any) -> Any:
    """Tell an argument in a form that can be compared: tensors as nested lists, other objects by their class."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, Mapping):
        return {name: describe(item) for name, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return type(value).__name__


def recording(hooks: Iterable[str]) -> Callable[[Recorder], Recorder]:
    """Decorate a class so that it notes every call of *hooks*, in order.

    Its objects must have two attributes: ``heard``, the list to note them in, and
    ``owner``, the name under which they are noted.

    Args:
        hooks: Names of methods; those that save or load are noted without their arguments.
    """

    def decorate(cls: Recorder) -> Recorder:
        for name in hooks:
            setattr(cls, name, _noting(name, getattr(cls, name)))
        return cls

    return decorate


def _noting(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        told = () if name in (*_CHECKPOINTS, *_STATES) else tuple(describe(each) for each in (*args, *kwargs.values()))
        self.heard.append(Call(self.owner, name, told))
        return method(self, *args, **kwargs)

    functools.update_wrapper(noted, method)
    vars(noted)["__signature__"] = inspect.signature(method)
    del vars(noted)["__wrapped__"]  # who looks through it would take the hook for one that is not overridden
    return noted


class TinyModule(LightningModule):
    """Fit a line: one linear layer, squared error, plain gradient descent.

    Args:
        lr: Learning rate.
    """

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.lr = lr
        self.layer = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 2)`` to ``(B, 1)``."""
        return self.layer(x)  # type: ignore[no-any-return]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss, and log it as ``train_loss``."""
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log ``val_loss``."""
        self.log("val_loss", self._loss(batch))

    def test_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log ``test_loss``."""
        self.log("test_loss", self._loss(batch))

    def predict_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the predictions, shape ``(B, 1)``."""
        return self(batch[0])  # type: ignore[no-any-return]

    def configure_optimizers(self) -> Any:
        """Descend, and divide the learning rate by ten after each epoch."""
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)]

    def _loss(self, batch: list[Tensor]) -> Tensor:
        return nn.functional.mse_loss(self(batch[0]), batch[1])


class TinyData(LightningDataModule):
    """Points on a line, the same ones every time.

    Args:
        train: Training batches an epoch.
        evaluation: Batches of each evaluation.
        batch_size: Samples in a batch.
    """

    def __init__(self, train: int = 2, evaluation: int = 1, batch_size: int = 2) -> None:
        super().__init__()
        self.train = train
        self.evaluation = evaluation
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of inputs ``(B, 2)`` and targets ``(B, 1)``, in a fixed order."""
        return self._loader(self.train)

    def val_dataloader(self) -> DataLoader[Any]:
        """Likewise, for validation."""
        return self._loader(self.evaluation)

    def test_dataloader(self) -> DataLoader[Any]:
        """Likewise, for tests."""
        return self._loader(self.evaluation)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Likewise, for prediction."""
        return self._loader(self.evaluation)

    def _loader(self, batches: int) -> DataLoader[Any]:
        inputs = torch.linspace(-1, 1, 2 * batches * self.batch_size).reshape(-1, 2)
        return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=self.batch_size)


@recording(RECORDED_BY_MODULE)
class RecordingModule(TinyModule):
    """A `TinyModule` that notes every hook.

    Args:
        heard: List to note them in; a new one by default.
        owner: Name under which they are noted.
    """

    def __init__(self, heard: list[Call] | None = None, owner: str = "LM") -> None:
        super().__init__()
        self.heard: list[Call] = [] if heard is None else heard
        self.owner = owner


@recording(RECORDED_BY_CALLBACK)
class RecordingCallback(Callback):
    """A callback that notes every hook; its state is how many it has noted.

    Args:
        heard: List to note them in; a new one by default.
        owner: Name under which they are noted; several callbacks need different ones.
    """

    def __init__(self, heard: list[Call] | None = None, owner: str = "cb") -> None:
        self.heard: list[Call] = [] if heard is None else heard
        self.owner = owner

    @property
    def state_key(self) -> str:
        """Class and owner."""
        return self._generate_state_key(owner=self.owner)

    def state_dict(self) -> dict[str, Any]:
        """Return how many calls were noted."""
        return {"heard": len(self.heard)}


@recording(RECORDED_BY_DATA_MODULE)
class RecordingDataModule(TinyData):
    """A `TinyData` that notes every hook but the transfers, which its module has; its state is how many it has noted.

    Args:
        heard: List to note them in; a new one by default.
        train: Training batches an epoch.
        evaluation: Batches of each evaluation.
        owner: Name under which they are noted.
    """

    def __init__(self, heard: list[Call] | None = None, train: int = 2, evaluation: int = 1, owner: str = "DM") -> None:
        super().__init__(train, evaluation)
        self.heard: list[Call] = [] if heard is None else heard
        self.owner = owner

    def state_dict(self) -> dict[str, Any]:
        """Return how many calls were noted."""
        return {"heard": len(self.heard)}


class RecordingLogger(Logger):
    """Keep everything in memory.

    Attributes:
        rows: Pairs of step and row, in the order they came.
        hyperparameters: What `log_hyperparams` was given last.
        statuses: What `finalize` was given.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int | None, dict[str, float]]] = []
        self.hyperparameters: dict[str, Any] = {}
        self.statuses: list[str] = []

    @property
    def name(self) -> str:
        """Always ``"recording"``."""
        return "recording"

    @property
    def version(self) -> int:
        """Always 0."""
        return 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep the row."""
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, params: Mapping[str, Any] | Namespace | None, *args: Any, **kwargs: Any) -> None:
        """Keep the hyper-parameters."""
        self.hyperparameters = vars(params) if isinstance(params, Namespace) else dict(params or {})

    def finalize(self, status: str) -> None:
        """Keep the status."""
        self.statuses.append(status)

    def column(self, name: str) -> list[tuple[int | None, float]]:
        """Return pairs of step and value of one name, where a row has it."""
        return [(step, row[name]) for step, row in self.rows if name in row]
