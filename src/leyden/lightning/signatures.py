"""What modules import from Lightning's command line, to annotate with most of all; the command line is not here."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler


class ReduceLROnPlateau(lr_scheduler.ReduceLROnPlateau):
    """Torch's scheduler, with the name of the metric it reads as *monitor*."""

    def __init__(self, optimizer: Optimizer, monitor: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(optimizer, *args, **kwargs)
        self.monitor = monitor


LRSchedulerTypeTuple = (LRScheduler, ReduceLROnPlateau)
LRSchedulerTypeUnion = LRScheduler | ReduceLROnPlateau
LRSchedulerType = type[LRScheduler] | type[ReduceLROnPlateau]
ArgsType = list[str] | dict[str, Any] | Namespace | None
OptimizerCallable = Callable[[Iterable[Any]], Optimizer]
LRSchedulerCallable = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]


def instantiate_class(args: Any, init: dict[str, Any]) -> Any:
    """Make an object of the class at ``init["class_path"]`` from *args* and ``init["init_args"]``.

    Args:
        args: Positional arguments; what is no tuple is the only one.
        init: The two keys above; the second may be missing.
    """
    module, _, name = init["class_path"].rpartition(".")
    positional = args if isinstance(args, tuple) else (args,)
    return getattr(import_module(module), name)(*positional, **init.get("init_args", {}))
