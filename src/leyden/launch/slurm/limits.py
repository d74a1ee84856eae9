"""How large an array may be on this cluster, and how runs are dealt out to several where it is too large."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from leyden.errors import ConfigurationError
from leyden.launch.slurm_queries import said

Item = TypeVar("Item")
_LINE = re.compile(r"^(MaxArraySize|MaxJobCount)\s*=\s*(\d+)\s*$", re.MULTILINE)
_TASKS = re.compile(r"max_array_tasks=(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What the controller allows.

    Args:
        elements: Of one array.
        jobs: In the whole queue, everybody's together.
    """

    elements: int
    jobs: int

    def dealt(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        """Return *items* in arrays that are not too large, in order.

        Raises:
            ConfigurationError: If they are more than the cluster takes, in however many arrays.
        """
        if len(items) > self.jobs:
            raise ConfigurationError(
                f"{len(items)} runs were to be submitted, but this cluster keeps at most {self.jobs} jobs (MaxJobCount "
                "of scontrol show config). Expected no more than that. Submit them in parts."
            )
        return [items[at : at + self.elements] for at in range(0, len(items), self.elements)]


def limits(needed: bool = True) -> Limits:
    """Ask the controller.

    Args:
        needed: Otherwise SLURM's own defaults are good enough, where nobody answers.

    Raises:
        ConfigurationError: If there is none, or it does not answer.
    """
    text, problem = said(["scontrol", "show", "config"])
    if problem is not None and needed:
        raise ConfigurationError(
            f"SLURM cannot be asked about its limits: {problem}. Expected a controller that answers scontrol show "
            "config. Submit from a login node of the cluster; scontrol ping tells whether its controller is up."
        )
    return parse(text)


def parse(text: str) -> Limits:
    """Read what ``scontrol show config`` prints; a cluster that allows no arrays gets them with one element each."""
    found = {name: int(value) for name, value in _LINE.findall(text)}
    tasks = _TASKS.search(text)
    sizes = [found.get("MaxArraySize", 1001), *([int(tasks[1])] if tasks else [])]
    return Limits(elements=max(1, min(sizes)), jobs=found.get("MaxJobCount", 10_000))
