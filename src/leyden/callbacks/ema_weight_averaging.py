"""An exponential moving average of the weights: recent states count more."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch.optim.swa_utils import get_ema_avg_fn

from leyden.callbacks.weight_averaging import WeightAveraging


class EMAWeightAveraging(WeightAveraging):
    """Keep ``decay * average + (1 - decay) * weights``; see `WeightAveraging` for what is done with it.

    Args:
        device: Where the average is kept; None for the module's device.
        use_buffers: Whether buffers are averaged, too; if not, they are copied from the module.
        decay: How much of the average stays at an update, in ``[0, 1]``.
        update_every_n_steps: Optimizer steps from one update to the next; 0 for no update after steps.
        update_starting_at_step: Index of the first step that may be followed by an update.
        update_starting_at_epoch: Index of the first epoch whose end is an update; None for no update after epochs.
        kwargs: Further arguments of torch's `AveragedModel`.
    """

    def __init__(
        self,
        device: torch.device | str | int | None = None,
        use_buffers: bool = True,
        decay: float = 0.999,
        update_every_n_steps: Annotated[int, Ge(1)] = 1,
        update_starting_at_step: Annotated[int, Ge(0)] | None = None,
        update_starting_at_epoch: Annotated[int, Ge(0)] | None = None,
        **kwargs: Any,
    ) -> None:
        average: Any = get_ema_avg_fn(decay=decay)  # type: ignore[no-untyped-call]
        super().__init__(device=device, use_buffers=use_buffers, **kwargs, avg_fn=average)
        self.update_every_n_steps = update_every_n_steps
        self.update_starting_at_step = update_starting_at_step
        self.update_starting_at_epoch = update_starting_at_epoch

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Tell whether the weights enter the average after this step, or after this epoch."""
        if step_idx is not None:
            first, every = self.update_starting_at_step or 0, self.update_every_n_steps
            return every > 0 and step_idx >= first and step_idx % every == 0
        if epoch_idx is not None and self.update_starting_at_epoch is not None:
            return epoch_idx >= self.update_starting_at_epoch
        return False
