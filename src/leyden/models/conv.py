"""A small convolutional network for images of MNIST's kind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from leyden.errors import ConfigurationError
from leyden.models.arguments import Count, Probability
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
        in_channels: Count = 1,
        channels: Sequence[Count] = (16, 32),
        side: Count = 28,
        hidden: Count = 128,
        classes: Count = 10,
        dropout: Probability = 0.0,
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
        self.in_channels, self.side = in_channels, side
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

    def unfit(self, x: Tensor) -> str | None:
        """Say what is wrong where samples are no images of the size that the layers were made for."""
        wanted, found = (self.in_channels, self.side, self.side), tuple(x.shape[1:])
        if found == wanted:
            return None
        if len(found) != len(wanted):
            return (
                f"images of shape {wanted}, but a sample of the data has the shape {found}. Have the data give images"
            )
        return (
            f"in_channels={self.in_channels} and side={self.side}, but a sample of the data has the shape {found}. Set "
            "them to its channels and its height, which has to be its width"
        )
