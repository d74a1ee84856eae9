"""The data that the programs of pytorch-forecasting share."""

import torch
from pytorch_forecasting import GroupNormalizer, TimeSeriesDataSet
from pytorch_forecasting.data.examples import generate_ar_data

torch.set_num_threads(1)


def loaders():
    """Return the training set and loaders of training and validation: twelve series, a known month, 6 steps ahead."""
    frame = generate_ar_data(seasonality=10.0, timesteps=120, n_series=12, seed=42)
    frame["month"] = (frame["time_idx"] % 12).astype(str).astype("category")
    cutoff = frame["time_idx"].max() - 20
    training = TimeSeriesDataSet(
        frame[frame["time_idx"] <= cutoff],
        time_idx="time_idx",
        target="value",
        group_ids=["series"],
        max_encoder_length=24,
        max_prediction_length=6,
        time_varying_known_categoricals=["month"],
        time_varying_known_reals=["time_idx"],
        time_varying_unknown_reals=["value"],
        target_normalizer=GroupNormalizer(groups=["series"]),
        add_relative_time_idx=True,
        add_target_scales=True,
    )
    validation = TimeSeriesDataSet.from_dataset(training, frame, min_prediction_idx=cutoff + 1)
    train = training.to_dataloader(train=True, batch_size=32, num_workers=0)
    return training, train, validation.to_dataloader(train=False, batch_size=64, num_workers=0)
