"""Types of the arguments that models take: what a config gives is held against them before anything is built."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

Count = Annotated[int, Ge(1)]
Probability = Annotated[float, Ge(0), Le(1)]
