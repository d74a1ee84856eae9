"""Learning rate schedules that torch has no single class for.

Each is a function of an optimizer, so that a config can name it with ``_partial_: true``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from leyden.errors import ConfigurationError


@dataclass(frozen=True)
class WarmupCosine:
    r"""The factor on the learning rate at a step: a line up, then half a cosine down.

        factor
          1 |   .--.
            |  /    \
            | /      `---  min_factor
            +---+-----+--
              warmup  total

    A class rather than a closure, so that a scheduler can be pickled and compared.
    """

    warmup_steps: int
    total_steps: int | None
    min_factor: float

    def __call__(self, step: int) -> float:
        """Return the factor for the update number *step*, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.total_steps is None:
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.min_factor + (1.0 - self.min_factor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def cosine_warmup(
    optimizer: Optimizer,
    warmup_steps: Annotated[int, Ge(0)],
    total_steps: Annotated[int, Ge(1)] | None = None,
    min_factor: Annotated[float, Ge(0), Le(1)] = 0.1,
) -> LambdaLR:
    """Build a schedule that warms up linearly and then decays along a cosine.

    Step it once per update (``interval: step``).

    Args:
        optimizer: Its learning rates are the ones reached after the warm-up.
        warmup_steps: Updates until then; 0 starts at the full rate.
        total_steps: Update at which the floor is reached; the rate stays there afterwards.
            None: no decay, the full rate stays after the warm-up.
        min_factor: The floor, as a part of the full rate.

    Raises:
        ConfigurationError: If the numbers describe no such curve.
    """
    if warmup_steps < 0 or not 0.0 <= min_factor <= 1.0 or (total_steps is not None and total_steps <= warmup_steps):
        raise ConfigurationError(
            f"cosine_warmup was given warmup_steps={warmup_steps!r}, total_steps={total_steps!r}, "
            f"min_factor={min_factor!r}. It takes 0 <= warmup_steps < total_steps and a min_factor in [0, 1]. "
            f"Warm up for fewer updates than the run has, or train for longer."
        )
    return LambdaLR(optimizer, WarmupCosine(warmup_steps, total_steps, min_factor))
