"""A summary of a model as an object, for programs that read numbers from it."""

from __future__ import annotations

import math

from torch import nn

from leyden.callbacks.model_summary import summarize as as_text

PARAMETER_NUM_UNITS = [" ", "K", "M", "B", "T"]
UNKNOWN_SIZE = "?"
LEFTOVER_PARAMS_NAME = "other params"
NOT_APPLICABLE = "n/a"


def get_human_readable_count(number: float) -> str:
    """Return *number* with three digits or so and a unit: ``1.2 K``, ``400 T``."""
    power = min(max(0, int(math.log10(number)) // 3), len(PARAMETER_NUM_UNITS) - 1) if number >= 1 else 0
    scaled = number / 1000**power
    digits = 0 if power == 0 or scaled >= 100 else 1
    return f"{scaled if digits else int(scaled):,.{digits}f} {PARAMETER_NUM_UNITS[power]}"


def get_formatted_model_size(total_model_size: float) -> str:
    """Return a size in megabytes, to the kilobyte."""
    return f"{total_model_size:,.3f}"


class ModelSummary:
    """Layers and sizes of *model*; printed, it is the table.

    Args:
        model: What is summarised.
        max_depth: How deep to go into nested layers; -1 for all the way.
    """

    def __init__(self, model: nn.Module, max_depth: int = 1) -> None:
        self._model = model
        self._max_depth = max_depth

    @property
    def total_parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def trainable_parameters(self) -> int:
        """Number of weights that take part in training."""
        return sum(parameter.numel() for parameter in self._model.parameters() if parameter.requires_grad)

    @property
    def model_size(self) -> float:
        """Size of the weights in megabytes (10^6 bytes)."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self._model.parameters()) * 1e-6

    def __str__(self) -> str:
        return as_text(self._model, self._max_depth)

    __repr__ = __str__


def summarize(lightning_module: nn.Module, max_depth: int = 1) -> ModelSummary:
    """Return the summary of *lightning_module*."""
    return ModelSummary(lightning_module, max_depth)
