"""What is trained: three small models, their data, and the one loss all contenders compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, default_collate

from experiments.bench.gate import Gate

LEARNING_RATE = 1e-3
VOCABULARY, LENGTH = 256, 64


class Kind(NamedTuple):
    """A model with its data: how many samples, how they come in batches, and how many steps make a turn."""

    build: Callable[[], nn.Module]
    sample: Callable[[int], tuple[Tensor, Tensor]]
    samples: int
    batch: int
    chunk: int


class Reader(nn.Module):
    """A causal transformer: 12 layers of width 256, 9.6 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, 256)
        self.places = nn.Embedding(LENGTH, 256)
        layer = nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        self.head = nn.Linear(256, VOCABULARY)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(LENGTH), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token ids ``(B, L)`` to logits ``(B, V, L)``."""
        hidden = self.tokens(tokens) + self.places.weight
        logits: Tensor = self.head(self.layers(hidden, mask=self.mask, is_causal=True))
        return logits.transpose(1, 2)


def _perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def _convolutions() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 5 * 5, 10)),
    )


def _vectors(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 64), torch.randint(10, (count,))


def _images(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 1, 28, 28), torch.randint(10, (count,))


def _texts(count: int) -> tuple[Tensor, Tensor]:
    tokens = torch.randint(VOCABULARY, (count, LENGTH + 1))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


KINDS = {
    "mlp": Kind(_perceptron, _vectors, samples=8192, batch=32, chunk=400),
    "cnn": Kind(_convolutions, _images, samples=2048, batch=32, chunk=10),
    "lm": Kind(Reader, _texts, samples=512, batch=2, chunk=2),
}


class Task:
    """One kind of work, the same for every contender: weights, batches and their order are seeded.

    The order comes from the global generator: with one of its own, a loader that is read to its very end draws
    once more than one that is left after its last batch, and the second epochs differ.

    Args:
        name: A key of `KINDS`.
        gate: Where steps are counted; None where whole fits are the turns.
    """

    def __init__(self, name: str, gate: Gate | None) -> None:
        self.kind, self.gate = KINDS[name], gate
        torch.manual_seed(0)
        self.data = TensorDataset(*self.kind.sample(self.kind.samples))

    def model(self) -> nn.Module:
        """Return the model with its first weights."""
        torch.manual_seed(1)
        return self.kind.build()

    def optimizer(self, model: nn.Module, **options: Any) -> torch.optim.Optimizer:
        """Return the user's optimizer."""
        return torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, **options)

    def loader(
        self, collate: Callable[[list[tuple[Tensor, ...]]], object] | None = None
    ) -> DataLoader[tuple[Tensor, ...]]:
        """Return the loader a person would write; with a *collate* of one's own nobody can fetch around it."""
        torch.manual_seed(2)
        return DataLoader(self.data, self.kind.batch, shuffle=True, collate_fn=collate)

    def gathered(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield one epoch after another of the loader's batches, each epoch gathered at once."""
        torch.manual_seed(2)
        while True:
            _, seed = _drawn(), _drawn()  # a loader draws its workers' seed before that of its order
            places = torch.randperm(self.kind.samples, generator=torch.Generator().manual_seed(seed))
            yield from zip(*(torch.split(each[places], self.kind.batch) for each in self.data.tensors), strict=True)

    def loss(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Compute the loss; a step begins here."""
        return self.scored(model, x, y)[0]

    def scored(self, model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the loss and return the logits ``(B, V, *)`` with it; a step begins here."""
        if self.gate is not None:
            self.gate.tick(model)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        if self.gate is not None:
            self.gate.loss = loss
        return loss, logits


def _drawn() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())


def own_collate(samples: list[tuple[Tensor, ...]]) -> object:
    """Put samples into a batch exactly as the default does; an engine cannot know that."""
    return default_collate(samples)
