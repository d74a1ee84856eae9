"""Hyper-parameters for classes that are neither a module nor a data module, and as YAML files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from leyden.hyperparameters import AttributeDict, call_arguments, select


class HyperparametersMixin:
    """Give a class `save_hyperparameters` and `hparams`."""

    _log_hyperparams: bool = False

    def save_hyperparameters(
        self, *args: Any, ignore: Iterable[str] | str | None = None, frame: Any = None, logger: bool = True
    ) -> None:
        """Keep the constructor's arguments as `hparams`; arguments as in `LightningModule`."""
        arguments = call_arguments(frame or sys._getframe(1), HyperparametersMixin)
        self._hparams, self._hparams_name = select(arguments, args, ignore)
        self._log_hyperparams = logger

    @property
    def hparams(self) -> Any:
        """Arguments kept by `save_hyperparameters`, as keys and as attributes."""
        if "_hparams" not in self.__dict__:
            self._hparams = AttributeDict()
        return self._hparams


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
