"""A small causal transformer for language modelling.

    ids ─► token + position embedding ─► depth x block ─► norm ─► head ─► logits

    block:  x + attention(norm(x));  then x + mlp(norm(x))

A position sees itself and what came before. The head shares the token embedding's weight
when tied. Losses are in nats per token; ``bpc`` is the same in bits (per character, when
tokens are characters).
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from leyden.errors import ConfigurationError
from leyden.models.arguments import Count, Probability
from leyden.module import LightningModule

INIT_STD = 0.02


class Block(nn.Module):
    """Attention and an MLP, each on a normalised input and added to it.

    Args:
        width: Size ``W`` of an embedding.
        heads: Number of attention heads; divides *width*.
        dropout: Probability of dropping a value of either branch, or an attention weight.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map embeddings of shape ``(B, L, W)`` to the same shape."""
        rate = self.dropout if self.training else 0.0
        x = x + F.dropout(self._attend(self.attention_norm(x), rate), rate)
        return x + F.dropout(self.down(F.gelu(self.up(self.mlp_norm(x)))), rate)

    def _attend(self, x: Tensor, dropout: float) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, L, W / heads)
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        return out


class CausalTransformer(LightningModule):
    """Predict the next token at every position of a sequence.

    Args:
        vocab_size: Number of different tokens ``V``; None asks the run's data module, which
            must then have a ``vocab_size``. Layers are created in `configure_model` then.
        block_size: Longest sequence ``L`` it can read.
        width: Size of an embedding.
        depth: Number of blocks.
        heads: Attention heads per block; divides *width*.
        dropout: Probability of dropping a value while training.
        tied: Use the token embedding's weight for the head, too.
    """

    def __init__(
        self,
        vocab_size: Count | None = None,
        block_size: Count = 128,
        width: Count = 128,
        depth: Annotated[int, Ge(0)] = 4,
        heads: Count = 4,
        dropout: Probability = 0.0,
        tied: bool = True,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigurationError(
                f"CausalTransformer was given width={width} and heads={heads}; the width is divided among the heads. "
                f"Make width a multiple of heads."
            )
        self.save_hyperparameters()
        if vocab_size is not None:
            self._build(vocab_size)

    def configure_model(self) -> None:
        """Create the layers, if that had to wait for the data to tell the vocabulary."""
        if self.hparams["vocab_size"] is not None:
            return
        datamodule = self.trainer.datamodule
        vocab_size = getattr(datamodule, "vocab_size", None)
        if vocab_size is None:
            raise ConfigurationError(
                f"CausalTransformer was given vocab_size=None, and the run's data module "
                f"({type(datamodule).__name__}) does not tell its vocab_size. "
                f"Set model.vocab_size, or use a data module that has one, leyden.datasets.Text say."
            )
        self._build(vocab_size)

    def _build(self, vocab_size: int) -> None:
        hparams = self.hparams
        hparams["vocab_size"] = vocab_size  # so that a checkpoint can be loaded without the data
        width, depth = hparams["width"], hparams["depth"]
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(hparams["block_size"], width)
        blocks = [Block(width, hparams["heads"], hparams["dropout"]) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)
        self.apply(_initialise)
        for block in blocks:  # 2 * depth branches add up: keep the sum's variance that of one
            for branch_end in (block.out, block.down):
                nn.init.normal_(branch_end.weight, std=INIT_STD / math.sqrt(2 * depth))
        if hparams["tied"]:
            self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits of shape ``(B, L, V)`` for token ids of shape ``(B, L)``."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        x = F.dropout(x, self.hparams["dropout"], self.training)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the mean negative log-likelihood, in nats per token, of ``(x, y)``, each ``(B, L)``."""
        x, y = batch
        try:
            return F.cross_entropy(self(x).flatten(0, 1).float(), y.flatten())
        except (RuntimeError, IndexError, AttributeError):
            self._check(x)
            raise

    def _check(self, x: Tensor) -> None:
        """Explain why torch refused a batch.

        Raises:
            ConfigurationError: If it is none of token ids, has longer sequences, or tokens outside of the vocabulary.
        """
        known, longest = self.hparams["vocab_size"], self.hparams["block_size"]
        said = None
        if x.is_floating_point() or x.ndim != 2:
            said = (
                f"token ids of shape (B, L), but the data give {x.dtype} of shape {tuple(x.shape)}. Choose other data"
            )
        elif x.shape[1] > longest:
            said = f"block_size={longest}, but a sequence of the data has {x.shape[1]} tokens. Make block_size as large"
        elif x.numel() and int(x.max()) >= known:
            said = f"vocab_size={known}, but a token of the data is {int(x.max())}. Make vocab_size larger, or null"
        if said is not None:
            raise ConfigurationError(f"{type(self).__name__} was made for {said}.")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        loss = self.loss(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the loss of a validation batch, in nats and in bits per token."""
        self._log_loss("val", self.loss(batch))

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the loss of a test batch, in nats and in bits per token."""
        self._log_loss("test", self.loss(batch))

    def _log_loss(self, split: str, loss: Tensor) -> None:
        self.log(f"{split}_loss", loss, prog_bar=True, sync_dist=True)
        self.log(f"{split}_bpc", loss / math.log(2), sync_dist=True)

    @torch.no_grad()
    def generate(self, ids: Tensor, count: int, temperature: float = 1.0) -> Tensor:
        """Continue each sequence by *count* sampled tokens.

        Args:
            ids: Token ids to start from, shape ``(B, L)`` with L at least 1.
            count: Number of tokens to add.
            temperature: Above 0; below 1 prefers likely tokens, above 1 evens them out.

        Returns:
            Token ids of shape ``(B, L + count)``, the given ones first.
        """
        for _ in range(count):
            logits = self(ids[:, -self.hparams["block_size"] :])[:, -1].float() / temperature
            ids = torch.cat([ids, torch.multinomial(logits.softmax(dim=-1), 1)], dim=1)
        return ids


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
