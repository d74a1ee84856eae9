"""A small convolutional network for images of MNIST's kind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from leyden.errors import ConfigurationError
from leyden.models.classifier import Classifier


class ConvNet(Classifier):
    """Stages of 3x3 convolution, ReLU and 2x2 pooling, then two linear layers.

    Args:
        in_channels: Channels of an image, 1 for grey.
        channels: Channels after each stage; a stage halves height and width.
        side: Height and width of an image; at least 2 to the number of stages.
        hidden: Width of the hidden linear layer.
        classes: Number of classes ``C``.
        dropout: Probability of dropping an input of a linear layer while training.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32),
        side: int = 28,
        hidden: int = 128,
        classes: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(classes)
        left = side // 2 ** len(channels)
        if left < 1 or not channels:
            raise ConfigurationError(
                f"ConvNet was given channels={list(channels)!r} for images of side={side}: each stage halves the side. "
                f"Give it at least one stage, and no more than the side can be halved."
            )
        stages: list[nn.Module] = []
        for fan_in, fan_out in pairwise((in_channels, *channels)):
            stages += [nn.Conv2d(fan_in, fan_out, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(channels[-1] * left**2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )
        self.save_hyperparameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape ``(B, C)``, of images of shape ``(B, in_channels, side, side)``."""
        logits: Tensor = self.head(self.stages(x).flatten(1))
        return logits
