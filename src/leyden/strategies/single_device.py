"""One process, one device."""

from __future__ import annotations

import torch

from leyden.module import LightningModule
from leyden.strategy import Strategy


class SingleDevice(Strategy):
    """Run in this process on *device*.

    Args:
        device: Where the module goes, e.g. ``"cpu"`` or ``"cuda:0"``.
    """

    strategy_name = "single_device"

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self._device = torch.device(device)

    @property
    def root_device(self) -> torch.device:
        """The device of this process."""
        return self._device

    def setup(self, module: LightningModule) -> None:
        """Move *module* to the device, and make it the current one."""
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        module.to(self._device)

    def teardown(self, module: LightningModule) -> None:
        """Bring *module* back to the CPU."""
        if self._device.type != "cpu":
            module.cpu()
