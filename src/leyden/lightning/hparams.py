"""Hyper-parameters for classes that are neither a module nor a data module, and as YAML files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

from leyden.errors import ConfigurationError
from leyden.hyperparameters import AttributeDict, initial, keep


class HyperparametersMixin:
    """Give a class `save_hyperparameters` and `hparams`."""

    _log_hyperparams: bool = False

    def save_hyperparameters(
        self, *args: Any, ignore: Iterable[str] | str | None = None, frame: Any = None, logger: bool = True
    ) -> None:
        """Keep the constructor's arguments as `hparams`; arguments as in `LightningModule`."""
        keep(self, HyperparametersMixin, frame or sys._getframe(1), args, ignore)
        self._log_hyperparams = logger

    @property
    def hparams(self) -> Any:
        """Arguments kept by `save_hyperparameters`, as keys and as attributes."""
        if "_hparams" not in self.__dict__:
            self._hparams = AttributeDict()
        return self._hparams

    @property
    def hparams_initial(self) -> Any:
        """A copy of `hparams` as they were kept, whatever has been changed since."""
        return initial(self)


def save_hyperparameters(
    obj: Any,
    *args: Any,
    ignore: Iterable[str] | str | None = None,
    frame: FrameType | None = None,
    given_hparams: dict[str, Any] | None = None,
) -> None:
    """Do what ``obj.save_hyperparameters`` does, called by the constructor of *obj*.

    Raises:
        ConfigurationError: If the arguments are given: nothing but a command line of Lightning's does that.
    """
    if given_hparams is not None:
        raise ConfigurationError(
            "save_hyperparameters(given_hparams=...) takes what Lightning's command line has parsed, which Leyden has "
            "not. Pass the mapping itself: obj.save_hyperparameters(mapping)."
        )
    keep(obj, type(obj), frame or sys._getframe(1), args, ignore)


def load_hparams_from_yaml(config_yaml: str | os.PathLike[str], use_omegaconf: bool = True) -> dict[str, Any]:
    """Read a file such as a logger's ``hparams.yaml``; an empty or missing file gives an empty dict."""
    import yaml

    if not os.path.exists(config_yaml):
        return {}
    with open(config_yaml, encoding="utf-8") as file:
        return dict(yaml.safe_load(file) or {})


def save_hparams_to_yaml(
    config_yaml: str | os.PathLike[str], hparams: Mapping[str, Any], use_omegaconf: bool = True
) -> None:
    """Write hyper-parameters of plain types to a file."""
    import yaml

    with open(config_yaml, "w", encoding="utf-8") as file:
        yaml.safe_dump(dict(hparams), file)
