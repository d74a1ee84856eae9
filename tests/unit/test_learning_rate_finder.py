"""A search for a learning rate finds what it should, sets it where it is read, and leaves no other trace."""

import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler, TensorDataset
from torchmetrics import MeanMetric

import leyden as L
from leyden.callbacks import LearningRateFinder, LearningRateSearch, ModelCheckpoint
from leyden.errors import ConfigurationError
from leyden.testing import RecordingCallback, RecordingLogger
from leyden.tuner import Tuner


class Regression(L.LightningModule):
    """Has dropout, a metric object and a scheduler."""

    def __init__(self, lr=0.05):
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 1))
        self.mean = MeanMetric()

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.layers(batch[0]), batch[1])
        self.mean(loss)
        self.log("loss", loss)
        self.log("mean", self.mean, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


def loader(batches=40, generator=None, sampler=None):
    x = torch.randn(batches * 4, 4, generator=torch.Generator().manual_seed(1))
    data = TensorDataset(x, x.sum(1, keepdim=True))
    return DataLoader(data, 4, shuffle=sampler is None, sampler=sampler, generator=generator)


def trainer_of(folder, *callbacks, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return L.Trainer(**{"max_epochs": 2, "default_root_dir": folder, **quiet, **options}, callbacks=list(callbacks))


def seeded(module_class=Regression, **arguments):
    L.seed_everything(3, verbose=False)
    return module_class(**arguments)


def test_the_rate_suggested_is_set_and_is_where_the_loss_falls_most_steeply(tmp_path):
    module = seeded()

    found = Tuner(trainer_of(tmp_path, max_epochs=10)).lr_find(module, loader())

    rates, losses = torch.tensor(found.results["lr"]), torch.tensor(found.results["loss"])
    slopes = torch.gradient(losses[10:-1], spacing=[rates[10:-1]])[0]
    assert module.lr == found.suggestion() == pytest.approx(float(rates[10 + int(slopes.argmin())]))
    assert found.results["lr"][0] == 1e-8
    assert 1e-8 < module.lr < 1


@pytest.mark.parametrize("mode", ["linear", "exponential"])
def test_the_rates_tried_grow_as_they_should(tmp_path, mode):
    trainer = trainer_of(tmp_path)

    found = Tuner(trainer).lr_find(
        seeded(), loader(), min_lr=0.001, max_lr=0.1, num_training=20, mode=mode, early_stop_threshold=None
    )

    share = [0, *(index + 1 for index in range(1, 20))]
    if mode == "linear":
        expected = [0.001 + 0.099 * each / 20 for each in share]
    else:
        expected = [0.001 * 100 ** (each / 20) for each in share]
    assert found.results["lr"] == pytest.approx(expected)


def test_a_search_leaves_no_trace_but_the_rate(tmp_path):
    logger, heard, order = RecordingLogger(), RecordingCallback(), torch.Generator().manual_seed(5)
    trainer = trainer_of(tmp_path, heard, logger=logger, max_steps=30, accumulate_grad_batches=2)
    module = seeded()
    weights = {name: each.clone() for name, each in module.state_dict().items()}
    random, ordered = torch.get_rng_state(), order.get_state()

    Tuner(trainer).lr_find(module, loader(generator=order), num_training=15)

    assert all(torch.equal(each, weights[name]) for name, each in module.state_dict().items())
    assert int(module.mean.update_count) == 0
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(order.get_state(), ordered)
    assert (trainer.global_step, trainer.current_epoch, trainer.max_steps, trainer.should_stop) == (0, 0, 30, False)
    assert not any(isinstance(callback, LearningRateFinder) for callback in trainer.callbacks)
    assert trainer.callback_metrics == {}
    assert logger.rows == []
    assert logger.statuses == ["success"]
    assert [call.hook for call in heard.heard] == ["setup", "on_fit_start", "teardown"][::2]
    assert list(tmp_path.iterdir()) == []


class Ordered(Sampler):
    """Draws from a generator of NumPy's, and counts its passes."""

    def __init__(self):
        self.generator, self.passes = np.random.default_rng(3), 0

    def __len__(self):
        return 160

    def __iter__(self):
        self.passes += 1
        yield from self.generator.permutation(160).tolist()

    def state_dict(self):
        return {"passes": self.passes}

    def load_state_dict(self, state):
        self.passes = state["passes"]


def test_a_search_leaves_samplers_as_they_were(tmp_path):
    sampler, fresh = Ordered(), np.random.default_rng(3)

    Tuner(trainer_of(tmp_path, max_steps=30)).lr_find(seeded(), loader(sampler=sampler), num_training=15)

    assert sampler.generator.bit_generator.state == fresh.bit_generator.state
    assert sampler.passes == 0


def test_a_fit_after_a_search_is_the_fit_with_that_rate_from_the_start(tmp_path):
    module = seeded()
    trainer = trainer_of(tmp_path)
    Tuner(trainer).lr_find(module, loader(), num_training=30)
    trainer.fit(module, loader())

    plain = seeded(lr=module.lr)
    trainer_of(tmp_path / "plain").fit(plain, loader())

    assert all(torch.equal(*pair) for pair in zip(module.parameters(), plain.parameters(), strict=True))


def test_the_callback_trains_on_with_the_rate_it_found(tmp_path):
    class Watching(Regression):
        rates = ()

        def on_train_epoch_start(self):
            self.rates = [*self.rates, self.trainer.optimizers[0].param_groups[0]["lr"]]

    module, finder = seeded(Watching), LearningRateFinder(num_training_steps=30)

    trainer_of(tmp_path, finder).fit(module, loader())

    assert module.lr == finder.optimal_lr.suggestion()
    assert module.rates[-2] == module.lr  # the one before it is of the rehearsal
    assert module.rates[-1] == pytest.approx(module.lr * 0.1)


class AtMilestones(LearningRateFinder):
    """Searches when some epochs begin, as the documentation of Lightning suggests."""

    def on_fit_start(self, trainer, pl_module):
        return

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.lr_find(trainer, pl_module)


def test_a_search_between_epochs_disturbs_nothing(tmp_path):
    silent = AtMilestones(num_training_steps=12, update_attr=False)
    folders = tmp_path / "with", tmp_path / "without"
    modules = []
    for folder, callbacks in zip(folders, ([silent], []), strict=True):
        modules.append(seeded())
        saver = ModelCheckpoint(folder, save_last=True)
        trainer_of(folder, *callbacks, saver, accumulate_grad_batches=3).fit(modules[-1], loader(10))

    assert len(silent.optimal_lr.results["lr"]) == len(silent.optimal_lr.results["loss"]) > 0
    assert all(torch.equal(*pair) for pair in zip(*(module.parameters() for module in modules), strict=True))
    one, other = (torch.load(folder / "last.ckpt", weights_only=True) for folder in folders)
    one["leyden"]["progress"].pop("seconds"), other["leyden"]["progress"].pop("seconds")
    for name in ("optimizer_states", "lr_schedulers"):
        assert str(one[name]) == str(other[name])


def test_the_search_stops_when_the_loss_explodes(tmp_path):
    found = Tuner(trainer_of(tmp_path, max_epochs=10)).lr_find(seeded(), loader(), max_lr=1e6, update_attr=False)

    assert len(found.results["loss"]) < 100
    assert found.results["loss"][-1] > 4 * min(found.results["loss"])


def test_the_rate_may_be_a_hyper_parameter_or_the_data_modules(tmp_path):
    class Saving(Regression):
        def __init__(self, rate=0.05):
            super().__init__()
            del self.lr
            self.save_hyperparameters()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=self.hparams.rate)

    class Data(L.LightningDataModule):
        rate = 0.1

        def train_dataloader(self):
            return loader()

    module, data = seeded(Saving), Data()

    found = Tuner(trainer_of(tmp_path)).lr_find(module, datamodule=data, num_training=30, attr_name="rate")

    assert module.hparams.rate == data.rate == found.suggestion()


@pytest.mark.parametrize(("arguments", "said"), [({}, "'lr' or 'learning_rate'"), ({"attr_name": "rate"}, "'rate'")])
def test_a_rate_that_is_nowhere_is_an_error_that_names_it(tmp_path, arguments, said):
    class Fixed(Regression):
        def configure_optimizers(self):
            del self.lr
            return torch.optim.Adam(self.parameters(), lr=0.1)

    module = seeded(Fixed)

    with pytest.raises(ConfigurationError, match=f"found no attribute {said} in Fixed"):
        Tuner(trainer_of(tmp_path)).lr_find(module, loader(), **arguments)


def test_too_few_points_suggest_nothing(tmp_path, caplog):
    module = seeded()

    found = Tuner(trainer_of(tmp_path)).lr_find(module, loader(), num_training=8)

    assert found.suggestion() is None
    assert module.lr == 0.05
    assert "No learning rate can be suggested" in caplog.text


def test_losses_that_are_not_finite_do_not_count():
    search = LearningRateSearch("linear", 0.0, 1.0, 5)
    search.results = {"lr": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "loss": [3.0, math.nan, 2.0, 0.5, math.inf, 0.0]}

    assert search.suggestion(skip_begin=0) == 0.4


def test_the_plot_shows_curve_and_suggestion():
    matplotlib.use("Agg")
    search = LearningRateSearch("exponential", 0.1, 1.0, 5)
    search.results = {"lr": [0.1 * n for n in range(1, 15)], "loss": [3.0] * 10 + [2.9, 2.0, 1.9, 5.0]}

    figure = search.plot(suggest=True)
    (axes,) = figure.axes
    again = search.plot(ax=axes)

    curve, mark, _ = axes.lines
    assert list(curve.get_ydata()) == search.results["loss"]
    assert mark.get_xdata()[0] in search.results["lr"][10:13]
    assert axes.get_xscale() == "log"
    assert again is figure
    plt.close(figure)


def test_a_dry_run_searches_nothing(tmp_path):
    with pytest.warns(UserWarning, match="fast_dev_run"):
        found = Tuner(trainer_of(tmp_path, fast_dev_run=True)).lr_find(seeded(), loader())

    assert found is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"method": "test"}, "only a fit has a learning rate"),
        ({"dataloaders": []}, "only a fit has a learning rate"),
        ({"mode": "cubic"}, "mode='cubic'"),
    ],
)
def test_calls_that_cannot_be_meant_are_refused(tmp_path, call, said):
    with pytest.raises(ConfigurationError, match=said):
        Tuner(trainer_of(tmp_path)).lr_find(seeded(), **call)


def test_two_searches_at_once_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="has a LearningRateFinder already"):
        Tuner(trainer_of(tmp_path, LearningRateFinder())).lr_find(seeded(), loader())


def test_several_optimizers_are_refused(tmp_path):
    class Two(Regression):
        automatic_optimization = False

        def configure_optimizers(self):
            return [torch.optim.SGD(self.parameters(), 0.1) for _ in range(2)]

    with pytest.raises(ConfigurationError, match="one optimizer"):
        Tuner(trainer_of(tmp_path)).lr_find(seeded(Two), loader())
