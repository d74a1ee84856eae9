"""Four models of neuralforecast: trained with early stopping, used, saved, read back, and validated across time."""

import json

import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MAE, DistributionLoss, MQLoss
from neuralforecast.models import LSTM, NBEATS, NHITS, TFT
from neuralforecast.utils import AirPassengersPanel, AirPassengersStatic

torch.set_num_threads(1)
HORIZON = 12
COMMON = {
    "h": HORIZON,
    "input_size": 24,
    "max_steps": 24,
    "val_check_steps": 8,
    "random_seed": 3,
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "logger": False,
}


def models():
    nhits = NHITS(
        loss=MQLoss(level=[80]),
        futr_exog_list=["trend"],
        hist_exog_list=["y_[lag12]"],
        stat_exog_list=["airline1"],
        early_stop_patience_steps=2,
        gradient_clip_val=0.5,
        **COMMON,
    )
    nbeats = NBEATS(loss=MAE(), scaler_type="robust", learning_rate=1e-3, **COMMON)
    lstm = LSTM(
        loss=DistributionLoss("Normal", level=[80]),
        encoder_hidden_size=16,
        decoder_hidden_size=16,
        futr_exog_list=["trend"],
        enable_checkpointing=True,
        **COMMON,
    )
    tft = TFT(loss=MAE(), hidden_size=8, inference_windows_batch_size=64, **{**COMMON, "max_steps": 8})
    return [nhits, nbeats, lstm, tft]


def exact(value):
    return float(value).hex()


def columns(frame):
    return {name: list(map(exact, frame[name])) for name in frame if frame[name].dtype.kind == "f"}


border = AirPassengersPanel["ds"].values[-HORIZON]
past, future = AirPassengersPanel[AirPassengersPanel.ds < border], AirPassengersPanel[AirPassengersPanel.ds >= border]
forecaster = NeuralForecast(models=models(), freq="ME")
forecaster.fit(past, static_df=AirPassengersStatic, val_size=HORIZON)
forecast = forecaster.predict(futr_df=future)
insample = forecaster.predict_insample(step_size=HORIZON)
forecaster.save("saved", overwrite=True, save_dataset=True)
loaded = NeuralForecast.load("saved").predict(futr_df=future)
crossed = NeuralForecast(models=models()[:2], freq="ME").cross_validation(
    AirPassengersPanel, static_df=AirPassengersStatic, n_windows=2, step_size=HORIZON, val_size=HORIZON
)

result = {
    "train": [[[step, exact(loss)] for step, loss in model.train_trajectories] for model in forecaster.models],
    "valid": [[[step, exact(loss)] for step, loss in model.valid_trajectories] for model in forecaster.models],
    "metrics": [{name: exact(value) for name, value in model.metrics.items()} for model in forecaster.models],
    "forecast": columns(forecast),
    "insample": columns(insample),
    "loaded": columns(loaded),
    "crossed": columns(crossed),
}
with open("result.json", "w") as file:
    json.dump(result, file)
