"""Text for character-level language modelling.

The corpus is one string: the text files found, in sorted order, one after another. It is cut
into three contiguous parts (train, val, test), and each part into windows:

    text     c0 c1 c2 c3 c4 c5 c6 ...
    x        c0 c1 c2 c3 │ c4 c5 c6 ...       block_size = 4
    y        c1 c2 c3 c4 │ c5 c6 ...          y is x, one character later

A batch gathers its windows from the part at once; windows are never copied beforehand.
Without a path the corpus is the running interpreter's own standard library: some text is
on every machine. It then depends on the Python version, so compare like with like.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from leyden.datasets.checks import check_count, check_fractions
from leyden.datasets.splits import SplitData
from leyden.errors import CheckpointError, ConfigurationError


class Windows(Dataset[tuple[Tensor, ...]]):
    """Windows over a sequence, without overlap, fetched a whole batch at a time.

    Args:
        tokens: Token ids, shape ``(N,)``.
        block_size: Length ``L`` of a window; ``N`` must be at least ``L + 1``.
    """

    draws = False  # no random numbers: see `leyden.engine.seeded`

    def __init__(self, tokens: Tensor, block_size: int) -> None:
        self.tokens = tokens
        self.block_size = block_size

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // self.block_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one window ``(x, y)``, each of shape ``(L,)``."""
        x, y = self.__getitems__([range(len(self))[index]])
        return x[0], y[0]

    def __getitems__(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Return the windows at *indices* as ``(x, y)``, int64, each of shape ``(B, L)``."""
        starts = torch.as_tensor(indices, dtype=torch.int64) * self.block_size
        windows = self.tokens[starts[:, None] + torch.arange(self.block_size + 1)].long()
        return windows[:, :-1], windows[:, 1:]


class Text(SplitData):
    """Batches ``(x, y)`` of character ids, int64, each of shape ``(B, block_size)``.

    Args:
        path: A text file, or a folder of them; None takes the standard library's sources.
        pattern: Which files of a folder, as in `Path.glob`; ``**/*.txt`` looks into subfolders.
        block_size: Characters in a window.
        batch_size: Windows per batch.
        val_fraction: Part of the corpus used for validation.
        test_fraction: Part of the corpus held out for the test, its end.
        max_chars: Take no more of the corpus than this; None takes all.
        num_workers: Worker processes per loader.

    Attributes:
        vocab: Every character of the corpus in code point order; empty before `setup`.
        parts: Token ids of the whole ``train``, ``val`` and ``test`` text, int32 of shape ``(N,)``.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        pattern: str = "*.py",
        block_size: int = 128,
        batch_size: int = 32,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        max_chars: int | None = 1_500_000,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers)
        check_count("Text", "block_size", block_size)
        check_fractions("Text", val_fraction=val_fraction, test_fraction=test_fraction)
        if max_chars is not None:
            check_count("Text", "max_chars", max_chars, minimum=2)
        self.path = Path(path) if path is not None else None
        self.pattern = pattern
        self.block_size = block_size
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.max_chars = max_chars
        self.vocab = ""
        self.parts: dict[str, Tensor] = {}
        self.save_hyperparameters(ignore="path")

    @property
    def vocab_size(self) -> int:
        """Number of different characters; known after `setup`."""
        if not self.vocab:
            raise ConfigurationError("Text.vocab_size was read before setup() had read the corpus. Call setup first.")
        return len(self.vocab)

    def build(self, names: Sequence[str]) -> dict[str, Dataset[Any]]:
        """Cut the splits called *names* into windows; reads the corpus the first time."""
        if not self.parts:
            corpus = self._corpus()
            self.vocab = "".join(sorted(set(corpus)))
            self.parts = self._parts(self.encode(corpus))
        return {name: Windows(self.parts[name], self.block_size) for name in names}

    def _parts(self, tokens: Tensor) -> dict[str, Tensor]:
        val, test = int(len(tokens) * self.val_fraction), int(len(tokens) * self.test_fraction)
        sizes = {"train": len(tokens) - val - test, "val": val, "test": test}
        if min(sizes.values()) <= self.block_size:
            raise ConfigurationError(
                f"Text found {len(tokens)} characters in {self._source()}, which make splits of {sizes}. Each needs "
                f"more than block_size={self.block_size}. Give it more text, or make block_size smaller."
            )
        return dict(zip(sizes, torch.split(tokens, list(sizes.values())), strict=True))

    def encode(self, text: str) -> Tensor:
        """Return the id of each character, shape ``(N,)``, int32.

        Raises:
            ConfigurationError: If *text* has a character the corpus does not have.
        """
        numbers = {character: number for number, character in enumerate(self.vocab)}
        unknown = sorted(set(text) - numbers.keys())
        if unknown:
            raise ConfigurationError(f"the characters {unknown} are not in the vocabulary {self.vocab!r}.")
        return torch.tensor([numbers[character] for character in text], dtype=torch.int32)

    def decode(self, tokens: Tensor) -> str:
        """Return the text of *tokens*, ids of shape ``(N,)``."""
        return "".join(self.vocab[number] for number in tokens.tolist())

    def state_dict(self) -> dict[str, Any]:
        """Return the vocabulary: ids mean nothing without it."""
        return {"vocab": self.vocab}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint whose ids stand for other characters."""
        if self.vocab and state_dict["vocab"] != self.vocab:
            raise CheckpointError(
                f"the checkpoint was trained on text with the vocabulary {state_dict['vocab']!r}, but the corpus in "
                f"{self._source()} has {self.vocab!r}. Ids would stand for other characters: use the same corpus."
            )

    def _source(self) -> Path:
        return self.path if self.path is not None else Path(sysconfig.get_path("stdlib"))

    def _corpus(self) -> str:
        source = self._source()
        files = [source] if source.is_file() else sorted(path for path in source.glob(self.pattern) if path.is_file())
        if not files:
            raise ConfigurationError(
                f"Text found no file in {source.absolute()} that matches pattern={self.pattern!r}. "
                f"Set data.path to a text file, or to a folder, and data.pattern to files that are in it."
            )
        pieces, wanted = [], self.max_chars
        for path in files:
            pieces.append(path.read_text(encoding="utf-8", errors="replace")[:wanted])
            if wanted is not None and (wanted := wanted - len(pieces[-1])) <= 0:
                break
        return "".join(pieces)


def bigram_nll(train: Tensor, test: Tensor, vocab_size: int) -> float:
    """Score *test* by how often each character followed each other one in *train*.

    The baseline a language model must beat: it knows one character of context,

        p(b | a) = (count(a b) + 1) / (count(a) + vocab_size)

    Args:
        train: Token ids, shape ``(N,)``, each in ``[0, vocab_size)``.
        test: Token ids, shape ``(M,)``, M at least 2.
        vocab_size: Number of different tokens.

    Returns:
        Mean negative log-likelihood of a character of *test* (its first excepted), in nats.
    """
    pairs = train[:-1].long() * vocab_size + train[1:].long()
    counts = torch.bincount(pairs, minlength=vocab_size**2).reshape(vocab_size, vocab_size).double() + 1.0
    log_p = counts.log() - counts.sum(dim=1, keepdim=True).log()
    return -log_p[test[:-1].long(), test[1:].long()].mean().item()
