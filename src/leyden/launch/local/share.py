"""What a run is lent of this machine: whole GPUs, and an equal part of the processors.

    GPUs 0 1 2 3, 2 slots, trainer.devices=2     run 0: CUDA_VISIBLE_DEVICES=0,1    run 1: 2,3
    16 cores, 4 slots                            OMP_NUM_THREADS=4 each

Nobody is lent a GPU that another run has. A queue that was itself shown a part of the GPUs lends
only those, by the names it knows them under.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leyden.errors import ConfigurationError

CORES_PER_RUN = 4  # where there are no GPUs: more threads than that hardly help a small network
VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Need:
    """What one run asks for.

    Args:
        gpus: Lent to it alone.
        ranks: Processes that it starts on this machine.
        threads: Within one operation, if its config says so.
    """

    gpus: int
    ranks: int = 1
    threads: int | None = None


def need(config: Mapping[str, Any], available: int, gpus_per_job: int | None = None) -> Need:
    """Return what a run asks for.

    Args:
        config: Of the run, resolved.
        available: GPUs that there are to lend.
        gpus_per_job: For every run that uses an accelerator; None leaves it to ``trainer.devices``.

    Raises:
        ConfigurationError: If it asks for more GPUs than there are, or for particular ones.
    """
    trainer = config.get("trainer") or {}
    devices, threads = trainer.get("devices"), config.get("threads")
    number = _number(devices)
    if available == 0 or trainer.get("accelerator") in ("cpu", "mps"):
        return Need(0, max(number or 1, 1), threads)
    if isinstance(devices, list) or (isinstance(devices, str) and "," in devices):
        raise ConfigurationError(
            f"trainer.devices is {devices}: particular GPUs, but a queue lends those that are free. Expected how many. "
            f"Write trainer.devices={number}, and choose for the whole queue with {VISIBLE}."
        )
    gpus = gpus_per_job if gpus_per_job is not None else number or 1
    if gpus > available:
        asking = "trainer.devices" if gpus_per_job is None else "hydra.launcher.gpus_per_job"
        raise ConfigurationError(
            f"{asking} asks for {gpus} GPUs a run, "
            f"and there are {available} to lend. Ask for fewer, or look at {VISIBLE}, which is "
            f"{os.environ.get(VISIBLE, 'not set')}."
        )
    return Need(gpus, max(number or gpus, 1), threads)


def _number(devices: Any) -> int | None:
    """Return how many devices ``trainer.devices`` means; None where it leaves that open."""
    if isinstance(devices, list):
        return len(devices)
    text = str(devices)
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    return int(text) if text.isdigit() and int(text) > 0 else None


def visible_devices() -> list[str]:
    """Return the names of the GPUs that this process may use, without touching one."""
    import torch

    return named(os.environ.get(VISIBLE), torch.cuda.device_count())


def named(visible: str | None, count: int) -> list[str]:
    """Return the names by which GPUs can be lent.

    Args:
        visible: The variable by which this process was shown some: numbers or UUIDs; None shows all.
        count: How many torch finds.
    """
    if visible is None:
        return [str(number) for number in range(count)]
    return [name.strip() for name in visible.split(",") if name.strip()][:count]


class Leases:
    """GPUs that nobody has at the moment.

    Args:
        devices: Names of all there are to lend.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self.devices = tuple(devices)
        self._lent: set[str] = set()

    def take(self, number: int) -> tuple[str, ...] | None:
        """Lend *number* of them; None if so many are not free."""
        free = [name for name in self.devices if name not in self._lent]
        if len(free) < number:
            return None
        self._lent.update(free[:number])
        return tuple(free[:number])

    def claim(self, names: Sequence[str]) -> None:
        """Note that a run, which an earlier queue has started, has these."""
        self._lent.update(names)

    def give_back(self, names: Sequence[str]) -> None:
        """Take back what was lent."""
        self._lent.difference_update(names)


def default_slots(needs: Sequence[Need], devices: int, processors: int) -> int:
    """Return how many runs at a time make sense where nobody said it.

    Args:
        needs: Of all runs.
        devices: GPUs to lend.
        processors: To share.
    """
    if any(each.gpus for each in needs):
        return devices
    return max(1, processors // CORES_PER_RUN)


def variables(
    wants: Need, lent: Sequence[str], available: int, processors: int, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables by which one process learns what it was lent.

    Args:
        wants: What its run asks for.
        lent: GPUs it may use.
        available: GPUs there are; where there are none, nothing is said about them.
        processors: Its part of them.
        environ: Of the queue: what it says about threads already holds for all runs.
    """
    shown = {VISIBLE: ",".join(lent)} if available else {}
    if wants.threads is not None or any(name in environ for name in THREADS):
        return shown
    return shown | dict.fromkeys(THREADS, str(max(1, processors // wants.ranks)))
