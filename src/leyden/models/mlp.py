"""A multi-layer perceptron: the model of the default job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from leyden.models.arguments import Count, Probability
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
        self,
        in_features: Count = 64,
        hidden: Sequence[Count] = (128,),
        classes: Count = 10,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(classes)
        widths = (in_features, *hidden)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(dropout)]
        self.in_features = in_features
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], classes))
        self.save_hyperparameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape ``(B, C)``, of inputs of shape ``(B, *)``."""
        logits: Tensor = self.layers(x.flatten(1))
        return logits

    def unfit(self, x: Tensor) -> str | None:
        """Say what is wrong where a sample has another number of values than the first layer takes."""
        found = x.flatten(1).shape[1] if x.ndim > 1 else 1
        if found == self.in_features:
            return None
        return f"in_features={self.in_features}, but a sample of the data has {found} values. Set in_features={found}"
