"""Pictures of what the generator makes, drawn from the same noise every time."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.gan_digits.model import GAN
from leyden import Callback, LightningModule, Trainer
from leyden.loggers import TensorBoardLogger


class SampleGrid(Callback):
    """Write ``samples-<epoch>.png`` into the run's folder, and send it to TensorBoard if that is on.

    Args:
        every_n_epochs: Epochs from one picture to the next; the last epoch always has one.
        rows: Digits in a row, and in a column.
        zoom: Screen pixels per pixel of a digit.
    """

    def __init__(self, every_n_epochs: int = 50, rows: int = 8, zoom: int = 6) -> None:
        self.every_n_epochs = every_n_epochs
        self.rows = rows
        self.zoom = zoom

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, if it is time."""
        assert isinstance(pl_module, GAN)
        epoch = trainer.current_epoch + 1
        if not trainer.is_global_zero or (epoch % self.every_n_epochs and epoch != trainer.max_epochs):
            return
        picture = self.draw(pl_module)
        write_png(picture, Path(trainer.default_root_dir) / f"samples-{epoch:03d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("samples", picture, trainer.global_step, dataformats="HW")

    @torch.no_grad()
    def draw(self, model: GAN) -> Tensor:
        """Return a grid of digits, uint8, shape ``(rows * 10 * zoom, rows * 10 * zoom)``: 8 pixels and a margin."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(self.rows**2, model.hparams.latent, generator=generator).to(model.device)
        training = model.training
        digits = F.pad(model.eval()(noise).reshape(self.rows, self.rows, 8, 8), (1, 1, 1, 1))
        model.train(training)
        grid = digits.transpose(1, 2).reshape(self.rows * 10, self.rows * 10)
        ink = (255 * (1 - grid)).byte().cpu()  # dark on light
        return ink.repeat_interleave(self.zoom, 0).repeat_interleave(self.zoom, 1)


def write_png(picture: Tensor, path: Path) -> None:
    """Write a grey picture, uint8 of shape ``(H, W)``."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.numpy()).save(path)
