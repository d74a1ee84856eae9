"""Transfer learning: a backbone from a checkpoint stays frozen while a new head learns."""

import json

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks.early_stopping import EarlyStopping
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only
from lightning_fabric.utilities.seed import seed_everything
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Autoencoder(pl.LightningModule):
    """What the backbone is pre-trained as."""

    def __init__(self, width=8):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width), nn.ReLU())
        self.decoder = nn.Linear(width, 6)

    def training_step(self, batch, batch_idx):
        (x, _) = batch
        loss = F.mse_loss(self.decoder(self.encoder(x)), x)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class FineTuned(pl.LightningModule):
    def __init__(self, checkpoint):
        super().__init__()
        self.save_hyperparameters()
        self.backbone = Autoencoder.load_from_checkpoint(checkpoint)
        self.backbone.freeze()
        self.head = nn.Linear(self.backbone.hparams.width, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.backbone.eval()
        with torch.no_grad():
            features = self.backbone.encoder(x)
        return F.cross_entropy(self.head(features), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.head(self.backbone.encoder(x)), y))

    def configure_optimizers(self):
        return torch.optim.Adam((each for each in self.parameters() if each.requires_grad), lr=0.05)


@rank_zero_only
def write(result):
    with open("result.json", "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    seed_everything(11)
    x = torch.randn(96, 6)
    data = TensorDataset(x, (x[:, 0] > 0).long())
    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}

    first = pl.Trainer(max_epochs=2, **options)
    first.fit(Autoencoder(), DataLoader(data, batch_size=16))
    first.save_checkpoint("backbone.ckpt")

    model = FineTuned("backbone.ckpt")
    before = [each.clone() for each in model.backbone.state_dict().values()]
    second = pl.Trainer(max_epochs=3, callbacks=[EarlyStopping(monitor="val_loss")], **options)
    second.fit(model, DataLoader(data, batch_size=16), DataLoader(data, batch_size=16))
    rank_zero_info("done")
    write(
        {
            "val_loss": second.callback_metrics["val_loss"].item(),
            "weights": [each.tolist() for each in model.parameters()],
            "frozen": all(map(torch.equal, before, model.backbone.state_dict().values())),
        }
    )
