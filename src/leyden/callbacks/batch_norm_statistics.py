"""The running statistics of batch norm layers, gathered anew for weights that were not trained as they are.

While it lasts the layers have no momentum, so that every batch counts the same.
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNormStatistics:
    """Empty the statistics of a module's batch norm layers, and let them fill again.

    Attributes:
        momenta: The momentum of each layer, while it is set aside.
    """

    def __init__(self) -> None:
        self.momenta: dict[_BatchNorm, float | None] = {}

    @staticmethod
    def layers(module: nn.Module) -> list[_BatchNorm]:
        """Return the batch norm layers of *module*."""
        return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]

    def gather(self, module: nn.Module) -> None:
        """Let every batch from now on count the same."""
        for layer in self.layers(module):
            if layer not in self.momenta:
                self.momenta[layer] = layer.momentum
                layer.momentum = None

    def empty(self, module: nn.Module) -> None:
        """Forget the batches seen so far."""
        for layer in self.layers(module):
            layer.reset_running_stats()

    def end(self) -> None:
        """Give the layers their momentum back."""
        for layer, momentum in self.momenta.items():
            layer.momentum = momentum
        self.momenta = {}
