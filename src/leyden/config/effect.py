"""What was asked for, and is not read by the run it was asked of: refused, with what to do instead.

    optimizer.lr=0.1    where the module has its own configure_optimizers
    paths.data_dir=x    where nothing refers to it
    hydra.job.chdir=true, hydra.launcher.slots=2 of a run that no launcher starts

*Asked for* is what was typed, and what an experiment sets or chooses. The defaults of the shipped options may rest:
nobody has asked for them. A debug preset, and ``fast_dev_run``, may overrule what an experiment sets: they are there
to.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from leyden.config.origins import Origins
from leyden.config.problems import COMMAND_LINE, Problem
from leyden.config.targets import locate
from leyden.config.variables import VARIABLES, is_read, referred_to
from leyden.engine.hooks import is_overridden
from leyden.errors import ConfigurationError
from leyden.module import LightningModule

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Keys that are not read under a condition.

    Args:
        keys: Dotted paths; what is below them counts, too.
        reason: Says why they are not read, given the resolved config; None where they are.
        remedy: What to do.
    """

    keys: tuple[str, ...]
    reason: Callable[[Values], str | None]
    remedy: str


def without_effect(values: Values, raw: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
    """Find what was asked for and is not read.

    Args:
        values: The config, resolved.
        raw: The same before anything was resolved: what refers to what.
        origins: Tells who asked for a key.
    """
    short = at(values, "trainer.fast_dev_run") or origins.chosen("debug")
    for rule in RULES:
        present = [key for key in rule.keys if at(values, key) not in (None, {}, [], False)]
        reason = rule.reason(values) if present else None
        for key in present if reason is not None else ():
            origin = origins.asked(key)
            if origin is not None and (origin == COMMAND_LINE or not short):
                yield Problem(key, f"has no effect: {reason}. {rule.remedy}", origin)
    yield from _unread(values, raw, origins)


def at(values: Values, path: str) -> Any:
    """Return what is at the dotted *path*; None where there is nothing."""
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _unread(values: Values, raw: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
    """Find paths and variables that nothing refers to."""
    parts = {f"{group}.{name}": group for group in ("paths", VARIABLES) for name in values.get(group) or {}}
    parts |= {"data.root": "data"} if "_target_" not in (values.get("data") or {}) and at(values, "data.root") else {}
    wanted = [key for key in parts if key not in _READ_ALWAYS]
    if not wanted:
        return
    names = referred_to(raw)
    for key in wanted:
        if not is_read(key, names):
            origin = origins.asked(key)
            if origin is not None:
                yield Problem(key, f"has no effect: nothing in the config refers to ${{{key}}}. Leave it out", origin)


_READ_ALWAYS = ("paths.work_dir", "paths.output_dir", "paths.run_dir")


def _module(values: Values) -> Any:
    """Return the class of the module, where its ``_target_`` is one."""
    target = at(values, "model._target_")
    try:
        found = locate(target) if isinstance(target, str) else None
    except ConfigurationError:
        return None  # said where the config is checked
    return found if inspect.isclass(found) and issubclass(found, LightningModule) else None


def _own_optimizer(values: Values) -> str | None:
    module = _module(values)
    if module is None or not is_overridden(module, "configure_optimizers", LightningModule):
        return None
    return f"{module.__name__} has its own configure_optimizers"


def _no_optimizer(values: Values) -> str | None:
    return None if at(values, "optimizer._target_") else "there is no optimizer to make a schedule for"


def _no_validation(values: Values) -> str | None:
    return "trainer.limit_val_batches is 0" if at(values, "trainer.limit_val_batches") == 0 else None


def _no_logger(values: Values) -> str | None:
    return None if any((values.get("logger") or {}).values()) else "there is no logger"


def _one_process(values: Values) -> str | None:
    devices, nodes = at(values, "trainer.devices"), at(values, "trainer.num_nodes")
    one = devices == 1 or (devices == "auto" and at(values, "trainer.accelerator") == "cpu")
    return "this run is one process" if one and nodes in (None, 1) else None


def _unless(key: str, wanted: Any, reason: str) -> Callable[[Values], str | None]:
    """Return a condition: *key* is there, and is not *wanted* (a value, or a type: anything but nothing)."""

    def condition(values: Values) -> str | None:
        found = at(values, key)
        fits = found not in (None, False, "", {}) if wanted is bool else found == wanted
        return None if fits else reason

    return condition


def _elsewhere(values: Values) -> str | None:
    here = os.getcwd()
    return None if str(at(values, "paths.work_dir")) == here else f"a run begins where its command is given, in {here}"


def _limited(least: str, most: str) -> Callable[[Values], str | None]:
    """Return a condition: *least* is more than *most*, which has the last word."""

    def condition(values: Values) -> str | None:
        low, high = at(values, least), at(values, most)
        numbers = isinstance(low, int) and isinstance(high, int) and high > 0
        return f"{most} is {high}" if numbers and low > high else None

    return condition


RULES = (
    Rule(("paths.work_dir",), _elsewhere, "Change to that folder first"),
    Rule(("trainer.min_epochs",), _limited("trainer.min_epochs", "trainer.max_epochs"), "Set it to no more than that"),
    Rule(("trainer.min_steps",), _limited("trainer.min_steps", "trainer.max_steps"), "Set it to no more than that"),
    Rule(
        ("trainer.check_val_every_n_epoch",),
        _limited("trainer.check_val_every_n_epoch", "trainer.max_epochs"),
        "Set it to no more than that, or leave validation out: trainer.limit_val_batches=0",
    ),
    Rule(("optimizer", "scheduler"), _own_optimizer, "Leave it out, and choose optimizer=none to say so"),
    Rule(("scheduler",), _no_optimizer, "Choose an optimizer, or scheduler=none"),
    Rule(
        ("trainer.val_check_interval", "trainer.check_val_every_n_epoch"),
        _no_validation,
        "Leave it out, or validate: trainer.limit_val_batches=1.0",
    ),
    Rule(("trainer.log_every_n_steps",), _no_logger, "Leave it out, or choose a logger"),
    Rule(
        ("trainer.gradient_clip_algorithm",),
        _unless("trainer.gradient_clip_val", bool, "nothing is clipped, trainer.gradient_clip_val is null"),
        "Leave it out, or set trainer.gradient_clip_val",
    ),
    Rule(("trainer.limit_test_batches",), _unless("test", True, "test is false"), "Leave it out, or set test=true"),
    Rule(("restarts", "grace"), _one_process, "Leave it out: it is for ranks that are started on this machine"),
    Rule(
        ("callbacks.model_checkpoint.mode",),
        _unless("callbacks.model_checkpoint.monitor", bool, "nothing is monitored"),
        "Set callbacks.model_checkpoint.monitor, or leave it out",
    ),
    Rule(
        ("callbacks.timer.interval",),
        _unless("callbacks.timer.duration", bool, "there is no callbacks.timer.duration at whose end training stops"),
        "Set it, or leave this out",
    ),
    Rule(
        ("callbacks.batch_size_finder.margin",),
        _unless("callbacks.batch_size_finder.mode", "binsearch", "only mode=binsearch takes it off what it has found"),
        "Leave it out, or set callbacks.batch_size_finder.mode=binsearch",
    ),
    Rule(
        ("callbacks.backbone_finetuning.backbone_initial_ratio_lr",),
        lambda values: (
            "backbone_initial_lr takes its place"
            if at(values, "callbacks.backbone_finetuning.backbone_initial_lr") is not None
            else None
        ),
        "Give one of the two",
    ),
    Rule(
        ("logger.mlflow.checkpoint_path_prefix",),
        _unless("logger.mlflow.log_model", bool, "no checkpoints are sent, logger.mlflow.log_model is false"),
        "Leave it out, or set logger.mlflow.log_model=true",
    ),
    Rule(
        ("data.pattern",),
        lambda values: (
            None
            if at(values, "data._target_") != "leyden.datasets.Text" or at(values, "data.path")
            else "there is no data.path, so that Python's own sources are read"
        ),
        "Set data.path to a folder, or leave it out",
    ),
)  # fmt: skip
