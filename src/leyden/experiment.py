"""The root of a config: one experiment as an object, and what it means to run it.

Its constructor arguments are the config groups. It adds two things to a `Trainer`: the
optimizer and scheduler groups stand in for a module's `configure_optimizers`, and a run is
a fit followed by a test of the best weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt

from leyden.awaited_metrics import AwaitedMetrics, missing
from leyden.callback import Callback
from leyden.datamodule import LightningDataModule
from leyden.engine.hooks import is_overridden
from leyden.engine.stages import check_needs
from leyden.errors import ConfigurationError
from leyden.logger import Logger
from leyden.metrics import numbers
from leyden.module import LightningModule
from leyden.optimizer_groups import Length, OptimizerGroup, SchedulerGroup, configure, monitored, prove
from leyden.selection import switches
from leyden.trainer import Trainer
from leyden.warnings import warn_once

_BY_WORD = ("last", "best", "hpc", "registry")  # checkpoints that are looked for when the run begins


class Experiment:
    """A module, its data, and how it is trained.

    Args:
        model: What is trained.
        data: Its data; None, or a plain mapping, where the module brings its own.
        trainer: Makes the trainer, given ``callbacks``, ``logger`` and whatever else it takes.
        optimizer: Makes an optimizer from parameters; used where the module does not
            define `configure_optimizers`.
        scheduler: Makes a scheduler from an optimizer, or a mapping with that under the
            key ``scheduler`` beside ``interval``, ``frequency`` and ``monitor``.
        callbacks: By name; None switches one off.
        logger: By name; None switches one off.
        name: Of the experiment; part of the run directory's path.
        seed: Of all random number generators; set before anything is built.
        deterministic: True refuses nondeterministic kernels, ``"warn"`` warns of them, ``"portable"`` is True and one
            instruction set on all x86 processors. All three make batches depend on seed, epoch and index alone, not
            on the number of workers: see `leyden.engine.seeded`.
        threads: Within one operation; None leaves what the process has.
        test: Test the best weights after training.
        restarts: How often ranks that Leyden starts on this machine are started again after one has failed.
        grace: Seconds they get to save once they are asked to stop.
        snapshot: Keep the project's sources in the run directory; the manifest has commit and patch in any case.
        tags: For whoever reads the config later.
        tags_required: Whether there have to be some.
        print_config: Whether ``leyden train`` prints the config as a tree before it trains.
        optimized_metric: Name of the result that a sweep looks at.
        ckpt_path: Checkpoint to start from.
    """

    def __init__(
        self,
        model: LightningModule,
        data: LightningDataModule | Mapping[str, Any] | None = None,
        trainer: Callable[..., Trainer] | None = None,
        optimizer: OptimizerGroup | None = None,
        scheduler: SchedulerGroup | None = None,
        callbacks: Mapping[str, Callback | None] | None = None,
        logger: Mapping[str, Logger | None] | None = None,
        *,
        name: str = "experiment",
        seed: int = 0,
        deterministic: bool | Literal["warn", "portable"] = False,
        threads: Annotated[int, Ge(1)] | None = None,
        test: bool = True,
        snapshot: bool = False,
        tags: Sequence[str] = (),
        tags_required: bool = False,
        print_config: bool = False,
        optimized_metric: str | None = None,
        ckpt_path: str | None = None,
        restarts: Annotated[int, Ge(0)] = 0,
        grace: Annotated[float, Gt(0)] = 300.0,
    ) -> None:
        if not isinstance(model, LightningModule):
            raise ConfigurationError(
                f"the model is a {type(model).__name__}, not a LightningModule. Choose a model group whose "
                "_target_ is one."
            )
        if isinstance(trainer, Trainer):
            raise ConfigurationError(
                "the trainer was built before its callbacks and loggers. Expected what makes one: write _partial_: "
                "true beside its _target_."
            )
        check_tags(tags, tags_required)
        self.model = model
        self.data = data if isinstance(data, LightningDataModule) else None
        self.name = name
        self.seed = seed
        self.deterministic = deterministic
        self.threads = threads
        self.test = test
        self.snapshot = snapshot
        self.tags = list(tags)
        self.tags_required = tags_required
        self.print_config = print_config
        self.optimized_metric = optimized_metric
        self.ckpt_path = ckpt_path
        self.callbacks = {name: each for name, each in (callbacks or {}).items() if each is not None}
        self._optimizer, self._scheduler = self._used(optimizer or None, scheduler or None)
        self.trainer: Trainer = (trainer or Trainer)(
            callbacks=_not_switched_off(callbacks or {}, getattr(trainer, "keywords", {})),
            logger=[each for each in (logger or {}).values() if each is not None],
        )
        awaited = {} if self._scheduler is None else monitored(self._scheduler)
        awaited |= {} if optimized_metric is None else {optimized_metric: "optimized_metric"}
        if awaited:
            self.trainer.callbacks.insert(0, AwaitedMetrics(awaited, test and self._has_test()))
        if deterministic:
            self.trainer.sample_seed = seed
            if self.trainer.deterministic is None:
                self.trainer.deterministic = "warn" if deterministic == "warn" else True

    def _used(
        self, optimizer: OptimizerGroup | None, scheduler: SchedulerGroup | None
    ) -> tuple[OptimizerGroup | None, SchedulerGroup | None]:
        """Let the groups stand in for `configure_optimizers`, and return them, unless the module has its own."""
        if optimizer is None or is_overridden(self.model, "configure_optimizers", LightningModule):
            return None, None
        vars(self.model)["configure_optimizers"] = partial(configure, self.model, optimizer, scheduler)
        return optimizer, scheduler

    def prove(self) -> None:
        """Find what would end the run at its beginning, before there is anything of it.

        The optimizer and its schedule are made on the module's parameters, steps and loaders are looked for, loggers
        say whether they could write, and a checkpoint to start from has to be there. No data are read.

        Raises:
            ConfigurationError: The first thing that is wrong.
        """
        prove(self._optimizer, self._scheduler, Length.of(self.trainer), self.model)
        check_needs(self.trainer, "fit", self.model, self.data)
        if self.ckpt_path is not None and self.ckpt_path not in _BY_WORD and not os.path.exists(self.ckpt_path):
            raise ConfigurationError(
                f"ckpt_path={self.ckpt_path} does not exist. Expected a checkpoint to start from, or null. Relative "
                f"paths begin in {os.getcwd()}."
            )
        for logger in self.trainer.loggers:
            logger.check()

    def run(self, ckpt_path: str | None = None) -> dict[str, float]:
        """Train, then test the best weights.

        Args:
            ckpt_path: Checkpoint to go on from; wins over the one given to the constructor.

        Returns:
            The final metrics by name.

        Raises:
            ConfigurationError: If nobody logs `optimized_metric`, after the first validation.
        """
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        self.trainer.fit(self.model, datamodule=self.data, ckpt_path=ckpt_path or self.ckpt_path)
        results = numbers(self.trainer.callback_metrics)
        if self.test and self._can_test():
            best = getattr(self.trainer.checkpoint_callback, "best_model_path", "") or None
            for found in self.trainer.test(self.model, datamodule=self.data, ckpt_path=best, verbose=False):
                results |= found
        if self.optimized_metric is not None and self.optimized_metric not in results:
            warn_once(missing("optimized_metric", self.optimized_metric, results))
        return results

    def _can_test(self) -> bool:
        if not is_overridden(self.model, "test_step", LightningModule):
            warn_once(f"{type(self.model).__name__} has no test_step: nothing is tested. Set test=false to say so.")
        return self._has_test()

    def _has_test(self) -> bool:
        if not is_overridden(self.model, "test_step", LightningModule):
            return False
        owner = self.data if self.data is not None else self.model
        contract = LightningDataModule if self.data is not None else LightningModule
        return is_overridden(owner, "test_dataloader", contract)


def _not_switched_off(callbacks: Mapping[str, Callback | None], options: Mapping[str, Any]) -> list[Callback]:
    """Return *callbacks* without those of the default config that an option of the trainer leaves out.

    Raises:
        ConfigurationError: If one that was added to the default ones is left out by the same option.
    """
    kept = {name: each for name, each in callbacks.items() if each is not None}
    for switch in switches():
        if options.get(switch.option) is not False:
            continue
        if isinstance(kept.get(switch.name), switch.kind):
            del kept[switch.name]
        for name, each in kept.items():
            if isinstance(each, switch.kind):
                raise ConfigurationError(
                    f"trainer.{switch.option}=false leaves callbacks such as callbacks.{name}, a "
                    f"{type(each).__name__}, out. Expected no other one. Leave it out as well: ~callbacks.{name}; or "
                    f"keep both: trainer.{switch.option}=true"
                )
    return list(kept.values())


def check_tags(tags: Sequence[str] | None, required: Any) -> None:
    """Refuse an experiment without tags where somebody wants to have some.

    Raises:
        ConfigurationError: If there are none.
    """
    if required and not [tag for tag in tags or () if str(tag).strip()]:
        raise ConfigurationError(
            f"tags={list(tags or ())!r}, but tags_required=true. Expected a word or more by which runs can be found "
            "again. Give some: 'tags=[mnist,first]'; or set tags_required=false."
        )
