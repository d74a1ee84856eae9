"""The trainer's options: every value checked when the trainer is made, old spellings translated.

Nothing here runs anything: a wrong option is one clear error before any data is touched.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from leyden.errors import ConfigurationError
from leyden.warnings import log, warn_once

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def whole(name: str, value: Any, least: int, *, none: bool = False, special: str = "") -> Any:
    """Check a whole number of at least *least*; None passes if *none* says so."""
    if value is None and none:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"Trainer({name}={value!r}): expected a whole number from {least} on{special}.")
    return value


def limit(name: str, value: Any) -> int | float:
    """Check a number of batches: a count (int) or a fraction from 0 to 1 (float); None means all."""
    if value is None:
        return 1.0
    valid = not isinstance(value, bool) and (
        (isinstance(value, int) and value >= 0) or (isinstance(value, float) and 0.0 <= value <= 1.0)
    )
    if not valid:
        raise ConfigurationError(
            f"Trainer({name}={value!r}): expected a number of batches (an int from 0 on) or a fraction of them "
            "(a float from 0.0 to 1.0). 1 is one batch, 1.0 is all of them."
        )
    return value  # type: ignore[no-any-return]


def interval(value: Any, every_n_epoch: int | None) -> int | float | timedelta:
    """Check ``val_check_interval``: a number of batches, a fraction of an epoch, or a duration.

    Raises:
        ConfigurationError: If it is none of these, or a fraction while batches are counted across epochs.
    """
    if value is None:
        return 1.0
    if isinstance(value, (str, timedelta, dict)):
        found = duration(value, "val_check_interval")
        if found is None or found < timedelta():
            raise ConfigurationError(f"Trainer(val_check_interval={value!r}): expected a duration from 0 on.")
        return found
    valid = not isinstance(value, bool) and (
        (isinstance(value, int) and value >= 1) or (isinstance(value, float) and 0.0 < value <= 1.0)
    )
    if not valid:
        raise ConfigurationError(
            f"Trainer(val_check_interval={value!r}): expected a number of batches (an int from 1 on) or a "
            "fraction of an "
            "epoch (a float above 0.0, up to 1.0), or a duration ('DD:HH:MM:SS', a timedelta or a dict of its "
            "arguments)."
        )
    if every_n_epoch is None and isinstance(value, float):
        raise ConfigurationError(
            f"Trainer(val_check_interval={value!r}, check_val_every_n_epoch=None): None counts batches across epochs, "
            "of which there is no fraction. Give a number of batches (an int) or a duration, or set "
            "check_val_every_n_epoch."
        )
    return value  # type: ignore[no-any-return]


def duration(value: Any, name: str = "max_time") -> timedelta | None:
    """Turn a duration (``"DD:HH:MM:SS"``, a timedelta, or a dict of its arguments) into a timedelta."""
    if value is None or isinstance(value, timedelta):
        return value
    if isinstance(value, dict):
        try:
            return timedelta(**value)
        except TypeError:
            pass
    if isinstance(value, str):
        parts = value.split(":")
        if len(parts) == 4 and all(part.strip().isdigit() for part in parts):
            days, hours, minutes, seconds = map(int, parts)
            return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    raise ConfigurationError(
        f"Trainer({name}={value!r}): expected 'DD:HH:MM:SS' (such as '00:12:00:00' for twelve hours), a "
        "timedelta, or a "
        "dict of its arguments such as {'hours': 12}."
    )


def choice(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    """Check that *value* is one of *known*."""
    if any(value is each or (type(value) is type(each) and value == each) for each in known):
        return value
    raise ConfigurationError(f"Trainer({name}={value!r}): expected one of {', '.join(map(repr, known))}.")


def dry_run(name: str, value: Any) -> int:
    """Check a number of batches that may also be a switch."""
    checked: int = whole(name, int(value) if isinstance(value, bool) else value, 0, special=", True or False")
    return checked


def switches(**given: Any) -> tuple[bool | None, ...]:
    """Check switches that may be left open."""
    return tuple(choice(name, value, (None, True, False)) for name, value in given.items())


def flag(name: str, value: Any) -> bool:
    """Check a switch; the text ``"False"`` would be taken for True."""
    return bool(choice(name, value, (True, False)))


def refuse_beside_barebones(**given: Any) -> None:
    """Refuse what costs something and was asked for all the same."""
    for name, value in given.items():
        if value not in (None, False, 0):
            raise ConfigurationError(
                f"Trainer(barebones=True, {name}={value!r:.80}): barebones switches off everything that costs, "
                f"to measure the bare loop. Leave out {name}, or barebones."
            )


def arguments(name: str, value: Any) -> bool | dict[str, Any]:
    """Check a switch that may also be a dict of arguments."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return dict(value)
    raise ConfigurationError(f"Trainer({name}={value!r}): expected True, False, or a dict of arguments by name.")


def positive(name: str, value: Any) -> Any:
    """Check a number from 0 on, or None."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0):
        return value
    raise ConfigurationError(f"Trainer({name}={value!r}): expected a number from 0 on, or None.")


# --- old spellings -----------------------------------------------------------------------------


def _gpus(value: Any) -> dict[str, Any]:
    if value in (None, 0, "0", []):
        return {"accelerator": "cpu"}
    return {"accelerator": "gpu", "devices": value}


def _bar(value: Any) -> dict[str, Any]:
    return {"enable_progress_bar": False} if value == 0 else {}  # ours is redrawn by the clock


Translation = tuple[str, Callable[[Any], dict[str, Any]]]
LEGACY: dict[str, Translation] = {
    "gpus": ("accelerator='gpu', devices=...", _gpus),
    "num_processes": ("accelerator='cpu', devices=...", lambda value: {"accelerator": "cpu", "devices": value}),
    "progress_bar_refresh_rate": ("enable_progress_bar=..., or callbacks=[RichProgressBar(refresh_rate=...)]", _bar),
    "checkpoint_callback": ("enable_checkpointing=...", lambda value: {"enable_checkpointing": bool(value)}),
    "weights_summary": ("enable_model_summary=...", lambda value: {"enable_model_summary": value is not None}),
    "terminate_on_nan": ("detect_anomaly=...", lambda value: {"detect_anomaly": bool(value)}),
    "distributed_backend": ("strategy=...", lambda value: {"strategy": value or "auto"}),
    "replace_sampler_ddp": ("use_distributed_sampler=...", lambda value: {"use_distributed_sampler": bool(value)}),
    "max_nb_epochs": ("max_epochs=...", lambda value: {"max_epochs": value}),
    "min_nb_epochs": ("min_epochs=...", lambda value: {"min_epochs": value}),
    "train_percent_check": ("limit_train_batches=...", lambda value: {"limit_train_batches": value}),
    "val_percent_check": ("limit_val_batches=...", lambda value: {"limit_val_batches": value}),
    "test_percent_check": ("limit_test_batches=...", lambda value: {"limit_test_batches": value}),
    "overfit_pct": ("overfit_batches=...", lambda value: {"overfit_batches": value}),
    "reload_dataloaders_every_epoch": (
        "reload_dataloaders_every_n_epochs=...",
        lambda value: {"reload_dataloaders_every_n_epochs": int(value)},
    ),
}
_WITHOUT_EFFECT = frozenset(
    "amp_backend amp_level auto_select_gpus log_gpu_memory prepare_data_per_node process_position "
    "flush_logs_every_n_steps "
    "move_metrics_to_cpu multiple_trainloader_mode sync_batchnorm_legacy suggest_integrations".split()
)
_GONE = {
    "resume_from_checkpoint": "Pass the path to fit: trainer.fit(model, ckpt_path=...).",
    "auto_lr_find": "Choose the learning rate in the config or with a sweep.",
    "auto_scale_batch_size": "Choose the batch size in the config.",
    "tpu_cores": "TPUs are not supported.",
    "ipus": "IPUs are not supported.",
    "track_grad_norm": "Log it in on_before_optimizer_step.",
    "stochastic_weight_avg": "Use torch.optim.swa_utils in your module.",
    "truncated_bptt_steps": "Use manual optimisation for truncated backpropagation.",
}


def accepts_legacy(constructor: Constructor) -> Constructor:
    """Let a constructor take the spellings of old tutorials, with one warning that names the new one.

    The visible signature stays as it is. An unknown argument is refused with the closest one.
    Where Lightning's names are answered for, its environment variables give what nobody passed.
    """
    known = set(inspect.signature(constructor).parameters) - {"self"}

    @functools.wraps(constructor)
    def translated(self: Any, *args: Any, **kwargs: Any) -> None:
        if args:
            raise ConfigurationError(
                f"Trainer takes arguments by name only, but got {args[0]!r} by position. "
                "Write Trainer(max_epochs=...), and pass the model to fit."
            )
        kwargs = _from_environment(known - set(kwargs)) | kwargs
        for name in [name for name in kwargs if name not in known]:
            _translate(name, kwargs, known)
        constructor(self, **kwargs)

    return translated  # type: ignore[return-value]


environment_prefix = ""
"""Of variables that hold options; set by `leyden.lightning`, as a run of ours depends on its directory alone."""


def _from_environment(names: set[str]) -> dict[str, Any]:
    """Return the options among *names* that the environment gives, as Lightning reads them."""
    found = {name: os.environ.get(f"{environment_prefix}{name.upper()}") for name in names if environment_prefix}
    given = {name: _literal(text) for name, text in found.items() if text}
    for name, value in given.items():
        log.info("Trainer(%s=%r): read from %s%s.", name, value, environment_prefix, name.upper())
    return given


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _translate(name: str, kwargs: dict[str, Any], known: set[str]) -> None:
    value = kwargs.pop(name)
    if name in LEGACY:
        spelling, translate = LEGACY[name]
        translated = translate(value)
        spelling = ", ".join(f"{key}={new!r}" for key, new in translated.items()) or spelling
        warn_once(f"Trainer({name}={value!r}) is an old spelling: use Trainer({spelling}).", DeprecationWarning)
        for key, new in translated.items():
            kwargs.setdefault(key, new)
    elif name in _WITHOUT_EFFECT:
        warn_once(f"Trainer({name}={value!r}) no longer has any effect: leave it out.", DeprecationWarning)
    elif name in _GONE:
        raise ConfigurationError(f"Trainer({name}={value!r}) is gone. {_GONE[name]}")
    else:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It takes: {', '.join(sorted(known))}."
        raise ConfigurationError(f"Trainer takes no argument {name!r} (given as {name}={value!r}). {hint}")
