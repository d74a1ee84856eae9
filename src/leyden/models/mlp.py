"""A multi-layer perceptron: the model of the default job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from leyden.models.classifier import Classifier


class MLP(Classifier):
    """Linear layers with ReLU and dropout between them.

    Args:
        in_features: Values per sample, ``prod(*)``; images are flattened.
        hidden: Widths of the hidden layers; none makes it a logistic regression.
        classes: Number of classes ``C``.
        dropout: Probability of dropping a hidden value while training.
    """

    def __init__(
        self, in_features: int = 64, hidden: Sequence[int] = (128,), classes: int = 10, dropout: float = 0.0
    ) -> None:
        super().__init__(classes)
        widths = (in_features, *hidden)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], classes))
        self.save_hyperparameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape ``(B, C)``, of inputs of shape ``(B, *)``."""
        logits: Tensor = self.layers(x.flatten(1))
        return logits
