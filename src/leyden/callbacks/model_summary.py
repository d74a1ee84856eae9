"""A table of a module's layers and how many parameters they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.parameter import is_lazy

from leyden import divided
from leyden.callback import Callback
from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.module import LightningModule
    from leyden.trainer import Trainer

HEADER = ("", "Name", "Type", "Params", "Mode")


class ModelSummary(Callback):
    """Print the table when training starts.

    Args:
        max_depth: How deep to list nested modules: 1 the direct children, -1 all, 0 prints
            nothing.
    """

    def __init__(self, max_depth: int = 1) -> None:
        super().__init__()
        self._max_depth = _checked(max_depth)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print, once the module is complete and where it runs."""
        if self._max_depth:
            trainer.print(f"\n{summarize(pl_module, self._max_depth)}\n")


def summarize(module: nn.Module, max_depth: int = 1) -> str:
    """Return the table as plain text.

    Args:
        module: Any module; it is not run.
        max_depth: How deep to list nested modules: 1 the direct children, -1 all, 0 only
            the totals.

    Returns:
        One line per layer, then the totals. A parameter used twice counts once in the
        totals; a lazy one counts once it has been initialised. The size is that of the
        parameters as they are now, in megabytes of 10^6 bytes.
    """
    rows = layer_rows(module, _checked(max_depth))
    lines = _aligned([HEADER, *rows], numeric=3) if rows else []
    if lines:
        rule = "-" * max(len(line) for line in lines)
        lines = [lines[0], rule, *lines[1:], rule]
    totals = _aligned(list(total_rows(module)), numeric=0)
    return "\n".join([*lines, *totals])


def layer_rows(module: nn.Module, max_depth: int) -> list[tuple[str, ...]]:
    """Return one row per nested module, and one for parameters that belong to none of them."""
    inner = [(name, child) for name, child in module.named_modules() if name]
    shown = [(name, child) for name, child in inner if max_depth == -1 or name.count(".") < max_depth]
    rows: list[tuple[str, ...]] = [
        (str(number), name, type(child).__name__, _short(_count(child.parameters())), _mode(child))
        for number, (name, child) in enumerate(shown)
    ]
    own = _count(module.parameters(recurse=False))
    if own and max_depth:
        rows.append(("", "other params", "n/a", _short(own), "n/a"))
    return rows


def total_rows(module: nn.Module) -> Iterable[tuple[str, str]]:
    """Yield the lines below the table: a value and what it means."""
    trainable = _count(parameter for parameter in module.parameters() if parameter.requires_grad)
    total = _count(module.parameters())
    size = sum(divided.size(parameter) * parameter.element_size() for parameter in _initialised(module.parameters()))
    yield _short(trainable), "Trainable params"
    yield _short(total - trainable), "Non-trainable params"
    yield _short(total), "Total params"
    yield f"{size / 1e6:.3f}", "Total estimated model params size (MB)"


def _initialised(parameters: Iterable[nn.Parameter]) -> Iterable[nn.Parameter]:
    return (parameter for parameter in parameters if not is_lazy(parameter))


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(divided.size(parameter) for parameter in _initialised(parameters))


def _mode(module: nn.Module) -> str:
    return "train" if module.training else "eval"


def _short(number: int) -> str:
    """Write a count with three digits at most: 949, 1.3 K, 132 K, 2.4 M."""
    units = ("", "K", "M", "B", "T")
    scale = min(max(len(str(number)) - 1, 0) // 3, len(units) - 1)
    scaled = number / 1000**scale
    digits = f"{scaled:.1f}" if scale and scaled < 99.5 else f"{scaled:.0f}"
    return f"{digits} {units[scale]}".rstrip()


def _aligned(rows: Sequence[Sequence[str]], numeric: int) -> list[str]:
    """Pad every column to its widest cell; column number *numeric* is flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column == numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _checked(max_depth: int) -> int:
    """Refuse a depth that means nothing."""
    if not isinstance(max_depth, int) or max_depth < -1:
        raise ConfigurationError(f"max_depth={max_depth!r} means nothing. Expected -1 (all), 0 (none) or more.")
    return max_depth
