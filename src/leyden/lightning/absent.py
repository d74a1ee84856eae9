"""What stands for a name that Lightning has and Leyden has not.

A file of imports often names more than a program uses: a strategy for a cluster, say, that
is only compared with. Such a name can be imported, asked about with ``isinstance`` (nothing
is one), subclassed and written in annotations. Whoever calls it, or looks into it, is told.
"""

from __future__ import annotations

from typing import Any, NoReturn

from leyden.errors import ConfigurationError
from leyden.lightning.names import VERSION

INSTEAD = {
    "LightningCLI": "Compose the experiment from config groups (leyden train --help), or pass the options to Trainer.",
    "Fabric": "Put the loop's body into the training_step of a LightningModule with automatic_optimization = False.",
    "ModelPruning": "Call torch.nn.utils.prune in on_train_epoch_end of a callback.",
    "SpikeDetection": "Compare the loss with a mean of your own in on_train_batch_end of a callback.",
    "Logger": "Use WandbLogger, MLFlowLogger, TensorBoardLogger or CSVLogger, or subclass Logger.",
    "Strategy": "Trainer(strategy=...) takes 'auto', 'ddp', 'fsdp', 'deepspeed', or a strategy of leyden.strategies.",
    "CheckpointIO": "Leave it out: checkpoints are files; upload them in a logger's after_save_checkpoint.",
    "Environment": "Leave it out: there is one process.",
    "Precision": "Use one of the precisions that Trainer(precision=...) takes.",
}
"""What to do without a class, by its name or the end of it."""


class Absent(type):
    """Type of the stand-ins: classes that can be named, not used."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to make one."""
        raise ConfigurationError(
            f"{cls.__absent__} was called, and Leyden has no counterpart of it. {instead(cls.__absent__)}"
            f"The script runs through `leyden lightning`, which answers for Lightning {VERSION} with Leyden. "
            "Leave it out, or run this script with Lightning itself."
        )

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{cls.__absent__}.{name} was looked up, and Leyden has no counterpart of that class.")

    @property
    def __absent__(cls) -> str:
        """Lightning's name of what is missing; a subclass inherits it."""
        return str(cls._absent)


def instead(path: str) -> str:
    """Return what to do without the class called *path*, with a space behind it; empty where nobody knows."""
    return next((f"{remedy} " for end, remedy in INSTEAD.items() if path.endswith(end)), "")


def stand_in(path: str) -> Absent:
    """Return the stand-in for Lightning's *path*, such as ``lightning.pytorch.strategies.DDPStrategy``."""
    module, _, name = path.rpartition(".")
    return Absent(name, (), {"__module__": module, "_absent": path, "__doc__": f"{path}, which Leyden lacks."})
