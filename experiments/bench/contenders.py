"""Everybody who trains: one function for each way of writing the loop.

Started as a process of its own, a contender trains until it is told to leave:

    python -m experiments.bench.contenders 'leyden bare' mlp steps 100 INBOX OUTBOX
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from experiments.bench.gate import Gate
from experiments.bench.tasks import LEARNING_RATE, Task, own_collate

FOREVER = 10**9


class Contender(NamedTuple):
    """A way to train, the package it needs, and whether its mathematics is that of the hand-written loop."""

    train: Callable[[Task, int], None]
    package: str = "torch"
    same_mathematics: bool = True


def raw(
    task: Task, steps: int, gathered: bool = False, clip: bool = False, metric: str | None = None, **options: bool
) -> None:
    """Train with a loop written by hand."""
    model = task.model()
    measure = accuracy_of(metric)
    optimizer = task.optimizer(model, **options)
    batches: Iterable[Any] = task.gathered() if gathered else task.loader()
    done = 0
    while True:
        for x, y in batches:
            loss, logits = task.scored(model, x, y)
            if measure is not None:
                measure(logits, y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            done += 1
            if done == steps:
                return


def accuracy_of(way: str | None) -> Any:
    """Return torchmetrics' accuracy, to be called as a user does: ``metric(...)``, or ``metric.update(...)``."""
    if way is None:
        return None
    from torchmetrics.classification import MulticlassAccuracy

    metric = MulticlassAccuracy(10)
    return metric if way == "forward" else metric.update


# --- Leyden and Lightning: the same source, from either library ------------------------------------

BARE = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def with_trainer(
    library: str,
    task: Task,
    steps: int,
    *,
    trainer: Callable[[Any], dict[str, Any]],
    log: dict[str, bool] | None = None,
    logs: int = 1,
    metric: str | None = None,
    collate: Callable[..., object] | None = None,
    **adam: bool,
) -> None:
    """Train with a `Trainer` and a `LightningModule` of *library*.

    Args:
        library: Import path of the module that has them.
        task: What to train.
        steps: How many steps.
        trainer: Gives the trainer's options, when called with the library.
        log: Options of `self.log`; None logs nothing.
        logs: How many values are logged.
        metric: How an accuracy of torchmetrics, logged for each epoch, is fed: ``"forward"`` or ``"update"``.
        collate: The loader's own `collate_fn`.
        adam: Options of the optimizer.
    """
    lib = import_module(library)

    class Net(lib.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = task.model()
            if metric is not None:
                self.accuracy = accuracy_of("forward")
                self.measure = self.accuracy if metric == "forward" else self.accuracy.update

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            loss = task.loss(self.net, x, y)
            if log is not None:
                for index in range(logs):
                    self.log(f"loss{index or ''}", loss, **log)
            return loss

        def configure_optimizers(self) -> Any:
            return task.optimizer(self.net, **adam)

    class Measured(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            loss, logits = task.scored(self.net, x, y)
            self.measure(logits, y)
            self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
            return loss

    options = {"accelerator": "cpu", "devices": 1, "max_epochs": -1, "max_steps": steps, **trainer(lib)}
    lib.Trainer(**options).fit((Net if metric is None else Measured)(), task.loader(collate))


def everything_on(lib: Any) -> dict[str, Any]:
    """CSV and TensorBoard, a checkpoint at the end of each epoch, and the bar."""
    loggers = [lib.loggers.CSVLogger("logs"), lib.loggers.TensorBoardLogger("logs")]
    return {"logger": loggers, "callbacks": [lib.callbacks.ModelCheckpoint()]}


def ten_callbacks(lib: Any, hooked: bool) -> dict[str, Any]:
    """Ten callbacks that do nothing, with one step hook each or with none."""

    class Idle(lib.Callback):  # type: ignore[misc]
        pass

    class Hooked(lib.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, *_: Any) -> None: ...

    return BARE | {"callbacks": [(Hooked if hooked else Idle)() for _ in range(10)]}


def _fingerprinted(lib: Any) -> dict[str, Any]:
    from leyden.runs.fingerprint import Fingerprint

    return BARE | {"callbacks": [Fingerprint(Path())]}


def _bare(lib: Any, **changes: Any) -> dict[str, Any]:
    return {**BARE, **changes}


def _rows(lib: Any) -> dict[str, Any]:
    return BARE | {"logger": lib.loggers.CSVLogger("logs"), "log_every_n_steps": 1}


# What `Trainer` can do, by name: the options of `with_trainer`.
KINDS: dict[str, dict[str, Any]] = {
    "bare": {"trainer": _bare},
    "default": {"trainer": lambda _: {}, "log": {"prog_bar": True}},
    "everything": {"trainer": everything_on, "log": {"prog_bar": True, "on_step": True, "on_epoch": True}},
    "bare, own collate": {"trainer": _bare, "collate": own_collate},
    "everything, own collate": {
        "trainer": everything_on,
        "log": {"prog_bar": True, "on_step": True, "on_epoch": True},
        "collate": own_collate,
    },
    "bare, fused": {"trainer": _bare, "fused": True},
    "files": {"trainer": lambda lib: everything_on(lib) | {"enable_progress_bar": False}, "log": {}},
    "five logs": {"trainer": _bare, "log": {"on_step": True}, "logs": 5},
    "a row a step": {"trainer": _rows, "log": {"on_step": True}},
    "accuracy, called": {"trainer": _bare, "metric": "forward"},
    "accuracy, updated": {"trainer": _bare, "metric": "update"},
    "clipping": {"trainer": partial(_bare, gradient_clip_val=1.0)},
    "ten idle callbacks": {"trainer": partial(ten_callbacks, hooked=False)},
    "ten hooked callbacks": {"trainer": partial(ten_callbacks, hooked=True)},
    "bar": {"trainer": partial(_bare, enable_progress_bar=True)},
}
FEATURES = {"five logs": 5, "a row a step": 1, "accuracy, called": 1, "accuracy, updated": 1, "clipping": 1, "bar": 1}
FEATURES |= {"fingerprint": 1}  # ours alone
FEATURES |= {"ten idle callbacks": 10, "ten hooked callbacks": 10}  # how many of it, to get the price of one


# --- the others ------------------------------------------------------------------------------------


def fabric(task: Task, steps: int) -> None:
    """Train with a hand-written loop on Lightning's Fabric."""
    from lightning.fabric import Fabric  # noqa: TID251 - what Leyden is measured against

    engine = Fabric(accelerator="cpu", devices=1)
    plain = task.model()
    model, optimizer = engine.setup(plain, task.optimizer(plain))
    loader = engine.setup_dataloaders(task.loader())
    _by_hand(task, steps, model, optimizer, loader, engine.backward)


def accelerate(task: Task, steps: int) -> None:
    """Train with a hand-written loop on Accelerate."""
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration

    engine = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=False))
    plain = task.model()
    model, optimizer, loader = engine.prepare(plain, task.optimizer(plain), task.loader())
    _by_hand(task, steps, model, optimizer, loader, engine.backward)


def _by_hand(task: Task, steps: int, model: Any, optimizer: Any, loader: Any, backward: Callable[[Any], Any]) -> None:
    done = 0
    while True:
        for x, y in loader:
            loss = task.loss(model, x, y)
            optimizer.zero_grad()
            backward(loss)
            optimizer.step()
            done += 1
            if done == steps:
                return


def transformers(task: Task, steps: int) -> None:
    """Train with the Trainer of Hugging Face's transformers, as it is by default but for the checkpoints."""
    from transformers import Trainer, TrainingArguments

    class Ours(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
            return task.loss(model, inputs["x"], inputs["y"])

        def get_train_dataloader(self) -> Any:
            return self.accelerator.prepare(task.loader(_named))

    model = task.model()
    arguments = TrainingArguments(
        output_dir="hf",
        use_cpu=True,
        max_steps=min(steps, 10**7),
        per_device_train_batch_size=task.kind.batch,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,  # nobody else clips
        save_strategy="no",
        report_to=["tensorboard"],
        accelerator_config={"use_seedable_sampler": False},
        remove_unused_columns=False,
    )
    Ours(model, arguments, train_dataset=task.data, optimizers=(task.optimizer(model), None)).train()


def _named(samples: list[tuple[Any, ...]]) -> dict[str, Any]:
    x, y = torch.utils.data.default_collate(samples)
    return {"x": x, "y": y}


def ignite(task: Task, steps: int, full: bool = True) -> None:
    """Train with Ignite; *full* has a bar, a running average, TensorBoard and checkpoints."""
    from ignite.engine import Engine, Events

    model = task.model()
    optimizer = task.optimizer(model)

    def step(engine: Any, batch: Any) -> float | torch.Tensor:
        loss = task.loss(model, *batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item() if full else loss.detach()

    trainer = Engine(step)
    if full:
        from ignite.handlers import ModelCheckpoint
        from ignite.handlers.tensorboard_logger import TensorboardLogger
        from ignite.handlers.tqdm_logger import ProgressBar
        from ignite.metrics import RunningAverage

        RunningAverage(output_transform=lambda loss: loss).attach(trainer, "loss")
        ProgressBar().attach(trainer, ["loss"])
        board = TensorboardLogger(log_dir="ignite")
        board.attach_output_handler(trainer, Events.ITERATION_COMPLETED(every=50), "train", metric_names=["loss"])
        saver = ModelCheckpoint("checkpoints", "", n_saved=1, require_empty=False)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, saver, {"model": model})
    loader = task.loader()
    trainer.run(loader, max_epochs=10**6 if steps == FOREVER else 1, epoch_length=min(steps, len(loader)))


CONTENDERS: dict[str, Contender] = {
    "raw": Contender(raw),
    "raw, gathered": Contender(partial(raw, gathered=True)),
    "raw, fused": Contender(partial(raw, fused=True), same_mathematics=False),
    "raw, clipping": Contender(partial(raw, clip=True), same_mathematics=False),
    "raw, accuracy, called": Contender(partial(raw, metric="forward")),
    "raw, accuracy, updated": Contender(partial(raw, metric="update")),
    "fabric": Contender(fabric, "lightning"),
    "accelerate": Contender(accelerate, "accelerate"),
    "transformers": Contender(transformers, "transformers"),
    "ignite bare": Contender(partial(ignite, full=False), "ignite"),
    "ignite everything": Contender(ignite, "ignite"),
}
for _name, _options in KINDS.items():
    _same = _name not in ("bare, fused", "clipping")
    CONTENDERS[f"leyden {_name}"] = Contender(partial(with_trainer, "leyden", **_options), "leyden", _same)
    CONTENDERS[f"lightning {_name}"] = Contender(
        partial(with_trainer, "lightning.pytorch", **_options), "lightning", _same
    )

CONTENDERS["leyden fingerprint"] = Contender(partial(with_trainer, "leyden", trainer=_fingerprinted))


def installed(name: str) -> bool:
    """Whether the package that a contender needs is there."""
    return find_spec(CONTENDERS[name].package) is not None


def main(name: str, task: str, turns: str, chunk: str, inbox: str, outbox: str) -> None:
    """Train in turns of steps, or let a whole fit of one step be a turn."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    gate = Gate(int(chunk), int(inbox), int(outbox))
    contender = CONTENDERS[name]
    if turns == "steps":
        contender.train(Task(task, gate), FOREVER)
    work = Task(task, None)
    while True:
        gate.turn()
        contender.train(work, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
