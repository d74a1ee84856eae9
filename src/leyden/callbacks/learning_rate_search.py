"""What a search for a learning rate found: the loss at each rate, a suggestion, a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from leyden.errors import ConfigurationError
from leyden.warnings import log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


class LearningRateSearch:
    """The curve of the loss over the learning rate.

    Args:
        mode: ``"exponential"`` or ``"linear"``: how the rate grew.
        lr_min: The first rate.
        lr_max: The rate it grew towards.
        num_training: Steps it was to take.

    Attributes:
        results: ``"lr"`` and ``"loss"``: lists of the rates tried and the smoothed losses there.
    """

    def __init__(self, mode: str, lr_min: float, lr_max: float, num_training: int) -> None:
        self.mode = mode
        self.lr_min = lr_min
        self.lr_max = lr_max
        self.num_training = num_training
        self.results: dict[str, list[float]] = {"lr": [], "loss": []}
        self._optimal_idx: int | None = None

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """Return the rate at which the loss falls most steeply; None if there are too few points.

        Args:
            skip_begin: Points at the beginning that do not count.
            skip_end: Points at the end that do not count; at least 1.
        """
        kept = [
            index
            for index, loss in list(enumerate(self.results["loss"]))[skip_begin:-skip_end]
            if torch.isfinite(torch.tensor(loss))
        ]
        self._optimal_idx = None
        if len(kept) < 2:
            log.error(
                "No learning rate can be suggested: of %d losses, %d are left without the first %d, the last %d and "
                "those that are not finite. Let the search take more steps, or give it more batches.",
                *(len(self.results["loss"]), len(kept), skip_begin, skip_end),
            )
            return None
        losses, rates = (torch.tensor([self.results[name][index] for index in kept]) for name in ("loss", "lr"))
        slopes = torch.gradient(losses, spacing=[rates])[0]
        self._optimal_idx = kept[int(torch.argmin(slopes))]
        return self.results["lr"][self._optimal_idx]

    def plot(self, suggest: bool = False, show: bool = False, ax: Axes | None = None) -> Figure | SubFigure:
        """Draw the loss over the learning rate; needs matplotlib.

        Args:
            suggest: Whether to mark the `suggestion`.
            show: Whether to open a window.
            ax: Where to draw; None for a figure of its own.

        Raises:
            ConfigurationError: If matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "plot() draws with matplotlib, which is not installed. Install it with: pip install matplotlib, or "
                "draw results['loss'] over results['lr'] with what you have."
            ) from error
        figure: Any = None
        figure, ax = plt.subplots() if ax is None else (ax.figure, ax)
        rates, losses = self.results["lr"], self.results["loss"]
        ax.plot(rates, losses)
        if self.mode == "exponential":
            ax.set_xscale("log")
        ax.set_xlabel("Learning rate")
        ax.set_ylabel("Loss")
        if suggest:
            self.suggestion()
            if (best := self._optimal_idx) is not None:
                ax.plot(rates[best], losses[best], marker="o", markersize=10, color="red")
        if show:
            plt.show()
        return figure  # type: ignore[no-any-return]
