"""One GAN, trained in the two ways a module with two optimizers can be.

`AutomaticGAN` says what each optimizer minimises and leaves the rest to the engine, which
calls ``training_step`` once per optimizer for every batch. `ManualGAN` does every step
itself. Both alternate discriminator and generator on the same losses:

    discriminator (0)   real to 1, generated to 0
    generator (1)       what it makes, to 1
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.gan_digits.networks import discriminator, frechet_distance, generator
from leyden import LightningModule

DISCRIMINATOR, GENERATOR = 0, 1


class GAN(LightningModule):
    """What both forms share: networks, losses, optimizers and the validation.

    Args:
        latent: Size of the noise.
        width: Of the hidden layers of both networks.
        lr: Of the generator, and the discriminator's highest one.
        betas: Of both Adams.
    """

    def __init__(
        self, latent: int = 32, width: int = 256, lr: float = 1e-3, betas: tuple[float, float] = (0.5, 0.999)
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.generator = generator(latent, width)
        self.discriminator = discriminator(width)
        self.real: list[Tensor] = []

    def forward(self, noise: Tensor) -> Tensor:
        """Return images in [0, 1], shape ``(B, 64)``, made of noise of shape ``(B, latent)``."""
        images: Tensor = self.generator(noise)
        return images

    def noise(self, count: int) -> Tensor:
        """Return fresh noise of shape ``(count, latent)``."""
        return torch.randn(count, self.hparams.latent, device=self.device)

    def discriminator_loss(self, real: Tensor) -> Tensor:
        """Return how badly *real* images, shape ``(B, 64)``, are told from as many generated ones."""
        with torch.no_grad():
            made = self(self.noise(len(real)))
        on_real, on_made = self.discriminator(real), self.discriminator(made)
        smooth = torch.full_like(on_real, 0.9)  # keeps the discriminator from being sure too early
        return (
            F.binary_cross_entropy_with_logits(on_real, smooth)
            + F.binary_cross_entropy_with_logits(on_made, torch.zeros_like(on_made))
        ) / 2

    def generator_loss(self, count: int) -> Tensor:
        """Return how badly *count* generated images pass for real ones."""
        verdict = self.discriminator(self(self.noise(count)))
        return F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))

    def configure_optimizers(self) -> tuple[list[Any], list[Any]]:
        """Return one optimizer and one schedule for each network, discriminator first."""
        lr, betas = self.hparams.lr, tuple(self.hparams.betas)
        d_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=betas)
        g_optimizer = torch.optim.Adam(self.generator.parameters(), lr=lr, betas=betas)
        one_cycle = torch.optim.lr_scheduler.OneCycleLR(
            d_optimizer, max_lr=lr, total_steps=self.updates_per_network(), cycle_momentum=False
        )
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(g_optimizer, factor=0.5, patience=15)
        return [d_optimizer, g_optimizer], [
            {"scheduler": one_cycle, "interval": "step", "name": "discriminator"},
            {"scheduler": plateau, "interval": "epoch", "monitor": "val_distance", "name": "generator"},
        ]

    def updates_per_network(self) -> int:
        """Return how often each optimizer steps in the whole run."""
        return int(self.trainer.estimated_stepping_batches)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collect the real images."""
        self.real.append(batch[0])

    def on_validation_epoch_end(self) -> None:
        """Log how far 1000 generated images are from the real ones."""
        real = torch.cat(self.real)
        self.real.clear()
        self.log("val_distance", frechet_distance(self(self.noise(1000)), real), prog_bar=True)


class AutomaticGAN(GAN):
    """The engine alternates: ``optimizer_idx`` says whose turn it is."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, optimizer_idx: int) -> Tensor:
        """Return the loss of the network whose optimizer steps next."""
        real, _ = batch
        if optimizer_idx == DISCRIMINATOR:
            loss = self.discriminator_loss(real)
            self.log("d_loss", loss, on_step=False, on_epoch=True)
        else:
            loss = self.generator_loss(len(real))
            self.log("g_loss", loss, on_step=False, on_epoch=True)
        return loss


class ManualGAN(GAN):
    """The module alternates: every update, and every step of a schedule, is written out."""

    automatic_optimization = False

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Update the discriminator, then the generator."""
        real, _ = batch
        d_optimizer, g_optimizer = self.optimizers()
        one_cycle, _ = self.lr_schedulers()

        self.toggle_optimizer(d_optimizer)
        d_loss = self.discriminator_loss(real)
        d_optimizer.zero_grad()
        self.manual_backward(d_loss)
        d_optimizer.step()
        one_cycle.step()
        self.untoggle_optimizer(d_optimizer)

        self.toggle_optimizer(g_optimizer)
        g_loss = self.generator_loss(len(real))
        g_optimizer.zero_grad()
        self.manual_backward(g_loss)
        g_optimizer.step()
        self.untoggle_optimizer(g_optimizer)

        self.log_dict({"d_loss": d_loss, "g_loss": g_loss}, on_step=False, on_epoch=True)

    def on_train_epoch_end(self) -> None:
        """Step the generator's schedule by the distance measured in this epoch."""
        _, plateau = self.lr_schedulers()
        plateau.step(self.trainer.callback_metrics["val_distance"])
