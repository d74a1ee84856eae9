"""A GAN with manual optimisation, in the manner of the examples: two optimizers, toggled in turn."""

import json

import pytorch_lightning as pl
import torch
from pytorch_lightning.demos.boring_classes import RandomDataset
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


class GAN(pl.LightningModule):
    def __init__(self, latent_dim=4, lr=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(latent_dim, 8), nn.ReLU(), nn.Linear(8, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def forward(self, z):
        return self.generator(z)

    def adversarial_loss(self, logits, real):
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def training_step(self, batch):
        optimizer_g, optimizer_d = self.optimizers()
        z = torch.randn(batch.shape[0], self.hparams.latent_dim).type_as(batch)

        self.toggle_optimizer(optimizer_g)
        g_loss = self.adversarial_loss(self.discriminator(self(z)), True)
        self.log("g_loss", g_loss, prog_bar=True)
        self.manual_backward(g_loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)

        self.toggle_optimizer(optimizer_d)
        real_loss = self.adversarial_loss(self.discriminator(batch + 2), True)
        fake_loss = self.adversarial_loss(self.discriminator(self(z).detach()), False)
        d_loss = (real_loss + fake_loss) / 2
        self.log("d_loss", d_loss, prog_bar=True)
        self.manual_backward(d_loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    def on_train_epoch_end(self):
        for scheduler in self.lr_schedulers():
            scheduler.step()

    def configure_optimizers(self):
        optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=self.hparams.lr, betas=(0.5, 0.999))
        optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=self.hparams.lr, betas=(0.5, 0.999))
        schedulers = [torch.optim.lr_scheduler.ExponentialLR(each, 0.9) for each in (optimizer_g, optimizer_d)]
        return [optimizer_g, optimizer_d], schedulers


if __name__ == "__main__":
    pl.seed_everything(3)
    model = GAN()
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.fit(model, DataLoader(RandomDataset(2, 64), batch_size=8))
    with open("result.json", "w") as file:
        json.dump(
            {
                "g_loss": trainer.callback_metrics["g_loss"].item(),
                "d_loss": trainer.callback_metrics["d_loss"].item(),
                "rates": [each.param_groups[0]["lr"] for each in trainer.optimizers],
                "weights": [parameter.tolist() for parameter in model.parameters()],
                "steps": trainer.global_step,
            },
            file,
        )
