"""Accelerators, as far as programs ask them which it is, whether there is one, and how many.

``trainer.accelerator`` is one of these objects; ``Trainer(accelerator=...)`` takes the name of one.
"""

from __future__ import annotations

import torch

from leyden.errors import ConfigurationError


class Accelerator:
    """A kind of device."""

    @staticmethod
    def is_available() -> bool:
        """Whether torch can use one here."""
        raise NotImplementedError

    @staticmethod
    def auto_device_count() -> int:
        """How many ``devices="auto"`` would mean."""
        raise NotImplementedError

    @staticmethod
    def name() -> str:
        """What ``Trainer(accelerator=...)`` calls it."""
        raise NotImplementedError


class CPUAccelerator(Accelerator):
    """The processor; it is always there."""

    @staticmethod
    def is_available() -> bool:
        """Whether torch can use one here."""
        return True

    @staticmethod
    def auto_device_count() -> int:
        """One process, as `Trainer` starts it."""
        return 1

    @staticmethod
    def name() -> str:
        """What ``Trainer(accelerator=...)`` calls it."""
        return "cpu"


class CUDAAccelerator(Accelerator):
    """NVIDIA's and AMD's GPUs."""

    @staticmethod
    def is_available() -> bool:
        """Whether torch can use one here."""
        return is_cuda_available()

    @staticmethod
    def auto_device_count() -> int:
        """How many there are."""
        return num_cuda_devices()

    @staticmethod
    def name() -> str:
        """What ``Trainer(accelerator=...)`` calls it."""
        return "cuda"


class MPSAccelerator(Accelerator):
    """Apple's GPU."""

    @staticmethod
    def is_available() -> bool:
        """Whether torch can use one here."""
        return torch.backends.mps.is_available()

    @staticmethod
    def auto_device_count() -> int:
        """A machine has one."""
        return 1

    @staticmethod
    def name() -> str:
        """What ``Trainer(accelerator=...)`` calls it."""
        return "mps"


class OtherAccelerator(Accelerator):
    """Whatever else torch can use here: Intel's GPUs, say."""

    @staticmethod
    def is_available() -> bool:
        """Whether torch can use one here."""
        return torch.accelerator.is_available()

    @staticmethod
    def auto_device_count() -> int:
        """How many there are."""
        return torch.accelerator.device_count()

    @staticmethod
    def name() -> str:
        """What ``Trainer(accelerator=...)`` calls it."""
        found = torch.accelerator.current_accelerator()
        return "cpu" if found is None else found.type


_KINDS: dict[str, type[Accelerator]] = {"cpu": CPUAccelerator, "cuda": CUDAAccelerator, "mps": MPSAccelerator}


def accelerator_of(device: torch.device) -> Accelerator:
    """Return what *device* is one of."""
    return _KINDS.get(device.type, OtherAccelerator)()


def is_cuda_available() -> bool:
    """Whether torch finds a CUDA device."""
    return torch.cuda.is_available()


def num_cuda_devices() -> int:
    """Return the number of CUDA devices that torch finds."""
    return torch.cuda.device_count()


def find_usable_cuda_devices(num_devices: int = -1) -> list[int]:
    """Return the indices of *num_devices* CUDA devices on which a tensor can be made; -1 means all such.

    Raises:
        ConfigurationError: If there are fewer.
    """
    usable: list[int] = []
    for index in range(num_cuda_devices()):
        if len(usable) == num_devices:
            break
        try:
            torch.tensor(0.0, device=torch.device("cuda", index))
        except RuntimeError:  # taken by another process, or in exclusive mode
            continue
        usable.append(index)
    if len(usable) < num_devices:
        raise ConfigurationError(
            f"find_usable_cuda_devices({num_devices}): torch finds {num_cuda_devices()} CUDA devices here, "
            f"of which {len(usable)} can be used. Ask for no more than that."
        )
    return usable


def device_named(name: str, owner: str) -> torch.device:
    """Return the device called *name*, ``"cpu"`` or ``"cuda:1"`` say.

    Args:
        name: As torch writes it.
        owner: Who was given it, for the message.

    Raises:
        ConfigurationError: If torch knows no such kind of device.
    """
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{owner}(device={name!r}) names no device that torch knows. Expected 'cpu', 'cuda', 'cuda:1' ... Choose "
            f"one."
        ) from error
