"""The same transformer, trained for four epochs at once, and for two and then, from a file, for two more."""

import json

import lightning.pytorch as pl
from pytorch_forecasting import QuantileLoss, TemporalFusionTransformer
from series import loaders


def trained(epochs, **continued):
    pl.seed_everything(7)
    training, train, val = loaders()
    model = TemporalFusionTransformer.from_dataset(
        training, learning_rate=0.03, hidden_size=8, dropout=0.1, loss=QuantileLoss(), log_interval=0
    )
    trainer = pl.Trainer(accelerator="cpu", max_epochs=epochs, limit_train_batches=8, logger=False)
    trainer.fit(model, train, val, **continued)
    trainer.save_checkpoint(f"{epochs}.ckpt")
    return {name: weight.tolist() for name, weight in model.state_dict().items()}


whole = trained(4)
trained(2)
resumed = trained(4, ckpt_path="2.ckpt", weights_only=False)
with open("result.json", "w") as file:
    json.dump({"whole": whole, "resumed": resumed}, file)
