"""The temporal fusion transformer of pytorch-forecasting: rate searched for, trained, the best read back and used."""

import json
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from pytorch_forecasting import SMAPE, QuantileLoss, TemporalFusionTransformer
from pytorch_forecasting.tuning import Tuner
from series import loaders


class Losses(pl.Callback):
    def __init__(self):
        self.train, self.val, self.rates = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.train.append(outputs["loss"].item())
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.val.append(trainer.callback_metrics["val_loss"].item())


def exact(values):
    return [float(value).hex() for value in np.asarray(values, dtype=float).ravel()]


def quiet():
    return {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}


pl.seed_everything(7)
training, train, val = loaders()
model = TemporalFusionTransformer.from_dataset(
    training,
    learning_rate=0.03,
    hidden_size=8,
    attention_head_size=2,
    dropout=0.1,
    hidden_continuous_size=4,
    loss=QuantileLoss(),
    logging_metrics=torch.nn.ModuleList([SMAPE()]),
    log_interval=10,
    reduce_on_plateau_patience=1,
)
search = Tuner(pl.Trainer(accelerator="cpu", gradient_clip_val=0.1, logger=False)).lr_find(
    model, train_dataloaders=train, val_dataloaders=val, min_lr=1e-5, max_lr=1.0, num_training=20
)

losses = Losses()
trainer = pl.Trainer(
    accelerator="cpu",
    max_epochs=4,
    gradient_clip_val=0.1,
    limit_train_batches=15,
    callbacks=[
        losses,
        EarlyStopping(monitor="val_loss", min_delta=1e-4, patience=3, mode="min"),
        LearningRateMonitor(),
        ModelCheckpoint(monitor="val_loss", filename="best-{epoch}-{val_loss:.4f}"),
    ],
    logger=TensorBoardLogger("logs", name="tft", version=0),
)
trainer.fit(model, train, val)

best = TemporalFusionTransformer.load_from_checkpoint(trainer.checkpoint_callback.best_model_path)
forecast = best.predict(val, return_y=True, return_index=True, return_x=True, trainer_kwargs=quiet())
quantiles = best.predict(val, mode="quantiles", trainer_kwargs=quiet())
raw = best.predict(val, mode="raw", trainer_kwargs=quiet())
best.predict(val, write_interval="epoch", output_dir=".", trainer_kwargs=quiet())
tested = trainer.test(best, val, verbose=False)

result = {
    "search": [exact(search.results["lr"]), exact(search.results["loss"]), search.suggestion()],
    "train": exact(losses.train),
    "val": exact(losses.val),
    "rates": exact(losses.rates),
    "metrics": {name: exact(value) for name, value in trainer.callback_metrics.items()},
    "best": Path(trainer.checkpoint_callback.best_model_path).name,
    "forecast": exact(forecast.output),
    "index": forecast.index.astype(str).values.tolist(),
    "quantiles": exact(quantiles),
    "raw": exact(raw.prediction),
    "attention": exact(best.interpret_output(raw, reduction="sum")["attention"]),
    "written": [exact(each) for each in torch.load("predictions.pt", weights_only=False)],
    "tested": [{name: exact(value) for name, value in each.items()} for each in tested],
    "place": [trainer.current_epoch, trainer.global_step],
}
with open("result.json", "w") as file:
    json.dump(result, file)
