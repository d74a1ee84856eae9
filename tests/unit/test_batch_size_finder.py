"""A search for a batch size finds the largest that fits, sets it where it is read, and leaves no other trace."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchmetrics import MeanMetric

import leyden as L
from leyden.callbacks import BatchSizeFinder, ModelCheckpoint
from leyden.callbacks.batch_size_search import largest
from leyden.errors import ConfigurationError
from leyden.memory import is_out_of_memory
from leyden.testing import RecordingCallback, RecordingLogger
from leyden.tuner import Tuner

SAMPLES = 200


@pytest.fixture(autouse=True, scope="module")
def _little_garbage():
    """Searches collect garbage at each trial; spare them what was there before."""
    gc.freeze()
    yield
    gc.unfreeze()


def more_than_there_is():
    """Ask torch for memory that no machine has; its own error says so."""
    torch.empty(2**60)


class Regression(L.LightningModule):
    """Has dropout, a metric object, a scheduler, an unsaved buffer and memory for *capacity* samples."""

    def __init__(self, capacity=20, batch_size=2):
        super().__init__()
        self.capacity = capacity
        self.batch_size = batch_size
        self.order = torch.Generator().manual_seed(5)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 1))
        self.mean = MeanMetric()
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def loss(self, batch):
        if len(batch[0]) > self.capacity:
            more_than_there_is()
        return F.mse_loss(self.layers(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.seen += 1
        self.mean(loss)
        self.log("loss", loss)
        self.log("mean", self.mean, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch, batch_idx):
        self.log("test_size", float(len(batch[0])), reduce_fx="max")
        self.loss(batch)

    def predict_step(self, batch, batch_idx):
        self.loss(batch)
        return batch[1]

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    def loader(self, **options):
        x = torch.randn(SAMPLES, 4, generator=torch.Generator().manual_seed(1))
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), self.batch_size, **options)

    def train_dataloader(self):
        return self.loader(shuffle=True, generator=self.order)

    def val_dataloader(self):
        return self.loader()

    test_dataloader = predict_dataloader = val_dataloader


def trainer_of(folder, *callbacks, **options):
    names = ("progress_bar", "model_summary", "checkpointing")
    quiet = {"logger": False, **{f"enable_{name}": False for name in names}}
    return L.Trainer(**{"max_epochs": 2, "default_root_dir": folder, **quiet, **options}, callbacks=list(callbacks))


def seeded(module_class=Regression, **arguments):
    L.seed_everything(3, verbose=False)
    return module_class(**arguments)


def equal(one, other):
    return all(torch.equal(*pair) for pair in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("method", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize(("mode", "size"), [("power", 16), ("binsearch", 18)])
def test_the_largest_size_that_fits_is_found_and_set(tmp_path, method, mode, size):
    module = seeded()

    found = Tuner(trainer_of(tmp_path)).scale_batch_size(module, method=method, mode=mode, init_val=16, margin=0.1)

    assert found == module.batch_size == size


def test_a_search_leaves_no_trace_but_the_size(tmp_path):
    logger, heard = RecordingLogger(), RecordingCallback()
    trainer = trainer_of(tmp_path, heard, logger=logger, max_steps=30, accumulate_grad_batches=2)
    module = seeded()
    module.on_train_end = module.train
    module.layers[1].eval()
    weights = {name: each.clone() for name, each in module.state_dict().items()}
    random, ordered = torch.get_rng_state(), module.order.get_state()

    Tuner(trainer).scale_batch_size(module, init_val=8)

    assert all(torch.equal(each, weights[name]) for name, each in module.state_dict().items())
    assert [layer.training for layer in module.layers] == [True, False, True, True]
    assert float(module.seen) == 0
    assert int(module.mean.update_count) == 0
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(module.order.get_state(), ordered)
    assert (trainer.global_step, trainer.current_epoch, trainer.max_steps, trainer.should_stop) == (0, 0, 30, False)
    assert (trainer.limit_train_batches, trainer.limit_val_batches) == (1.0, 1.0)
    assert not any(isinstance(callback, BatchSizeFinder) for callback in trainer.callbacks)
    assert trainer.callback_metrics == {}
    assert logger.rows == []
    assert logger.statuses == ["success"]
    assert [call.hook for call in heard.heard] == ["setup", "teardown"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("searches", ["Tuner", "BatchSizeFinder"])
def test_a_fit_after_a_search_is_the_fit_with_that_size_from_the_start(tmp_path, searches):
    module, plain = seeded(), Regression(batch_size=16)
    plain.load_state_dict(module.state_dict())
    states = torch.get_rng_state()
    finders = [BatchSizeFinder(init_val=8)] if searches == "BatchSizeFinder" else []
    trainers = [
        trainer_of(tmp_path / name, *each, ModelCheckpoint(save_last=True), enable_checkpointing=True)
        for name, each in (("a", finders), ("b", []))
    ]

    if searches == "Tuner":
        Tuner(trainers[0]).scale_batch_size(module, init_val=8)
    trainers[0].fit(module)
    torch.set_rng_state(states)
    trainers[1].fit(plain)

    assert module.batch_size == 16
    assert equal(module, plain)
    one, other = (torch.load(trainer.checkpoint_callback.last_model_path, weights_only=True) for trainer in trainers)
    for name in ("optimizer_states", "lr_schedulers", "global_step", "epoch"):
        assert str(one[name]) == str(other[name]), name
    assert trainers[0].callback_metrics == trainers[1].callback_metrics


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_an_evaluation_goes_on_with_the_size_found(tmp_path, stage):
    module, finder = seeded(), BatchSizeFinder(init_val=8)
    sizes = []

    class Watching(L.Callback):
        def on_test_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            sizes.append(len(batch[0]))

        on_validation_batch_end = on_predict_batch_end = on_test_batch_end

    returned = getattr(trainer_of(tmp_path, finder, Watching()), stage)(module)

    assert finder.optimal_batch_size == module.batch_size == 16
    assert sizes == [16] * 12 + [8]
    assert sum(map(len, returned)) == (SAMPLES if stage == "predict" else 1)


def test_predictions_after_a_search_are_those_of_all_samples_in_order(tmp_path):
    module = seeded()

    predicted = torch.cat(trainer_of(tmp_path, BatchSizeFinder(init_val=16)).predict(module))

    assert torch.equal(predicted, torch.cat([batch[1] for batch in module.predict_dataloader()]))


class AtMilestones(BatchSizeFinder):
    """Searches when some epochs begin, as the documentation of Lightning suggests."""

    def on_fit_start(self, trainer, pl_module):
        return

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            pl_module.capacity = 70
            self.scale_batch_size(trainer, pl_module)


def test_training_goes_on_with_a_size_found_between_epochs(tmp_path):
    sizes = []

    class Watching(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            sizes.append(len(batch[0]))

    trainer = trainer_of(tmp_path, AtMilestones(init_val=32), Watching(), max_epochs=3)
    trainer.fit(seeded(batch_size=20))

    assert sizes == [20] * 10 + [64, 64, 64, 8] * 2
    assert trainer.global_step == 18


class ByHand(L.Callback):
    """Sets a size when the first epoch ends."""

    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.batch_size = 64


def test_a_search_between_epochs_leaves_no_trace_but_the_size(tmp_path):
    searched, plain = seeded(batch_size=20), Regression(batch_size=20, capacity=70)
    plain.load_state_dict(searched.state_dict())
    states = torch.get_rng_state()

    trainer_of(tmp_path, AtMilestones(init_val=32), accumulate_grad_batches=3).fit(searched)
    torch.set_rng_state(states)
    trainer_of(tmp_path, ByHand(), accumulate_grad_batches=3, reload_dataloaders_every_n_epochs=1).fit(plain)

    assert equal(searched, plain)


def test_a_search_after_a_fit_that_is_over_tries_as_well(tmp_path):
    module, trainer = seeded(batch_size=20), trainer_of(tmp_path)
    trainer.fit(module)

    found = Tuner(trainer).scale_batch_size(module, init_val=8)

    assert found == 16
    assert trainer.current_epoch == 2


def test_a_validation_within_a_trial_has_to_fit_as_well(tmp_path):
    class Validating(Regression):
        def validation_step(self, batch, batch_idx):
            if len(batch[0]) > 9:
                more_than_there_is()

    found = Tuner(trainer_of(tmp_path, val_check_interval=2)).scale_batch_size(seeded(Validating), init_val=8)
    without = Tuner(trainer_of(tmp_path, limit_val_batches=0)).scale_batch_size(seeded(Validating), init_val=8)

    assert (found, without) == (8, 16)


def test_limits_of_the_batches_are_no_hindrance(tmp_path):
    module = seeded(capacity=150, batch_size=4)
    trainer = trainer_of(tmp_path, limit_train_batches=0.5, limit_val_batches=0.5, limit_test_batches=0.5)

    assert Tuner(trainer).scale_batch_size(module, init_val=64) == 128
    assert Tuner(trainer).scale_batch_size(module, method="test", init_val=64) == 128
    assert (trainer.limit_train_batches, trainer.limit_val_batches, trainer.limit_test_batches) == (0.5, 0.5, 0.5)


def test_a_time_limit_that_is_up_does_not_make_every_size_fit(tmp_path):
    found = Tuner(trainer_of(tmp_path, max_time={"seconds": 0})).scale_batch_size(seeded(), init_val=8)

    assert found == 16


def test_loaders_are_reloaded_in_the_epochs_they_would_be_without_a_search(tmp_path):
    class Counting(Regression):
        asked = 0

        def train_dataloader(self):
            self.asked += 1
            return super().train_dataloader()

        def on_train_start(self):
            self.asked = 0  # the last time is that of the fit itself

    module = seeded(Counting, capacity=1000)
    finder = BatchSizeFinder(init_val=256)
    trainer_of(tmp_path, finder, max_epochs=3, reload_dataloaders_every_n_epochs=1).fit(module)

    assert finder.optimal_batch_size == 256
    assert module.asked == 2


def test_a_scheduler_of_a_fixed_length_outlives_the_search(tmp_path):
    class Cycle(Regression):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    assert Tuner(trainer_of(tmp_path)).scale_batch_size(seeded(Cycle), init_val=8) == 16


def test_the_size_may_be_a_hyper_parameter_or_the_data_modules(tmp_path):
    class Saving(Regression):
        def __init__(self, size=2):
            super().__init__()
            del self.batch_size
            self.save_hyperparameters()

        def loader(self, **options):
            self.batch_size = self.hparams.size
            return super().loader(**options)

    class Data(L.LightningDataModule):
        size = 4
        capacity = 20

        def train_dataloader(self):
            return DataLoader(TensorDataset(torch.zeros(SAMPLES, 4), torch.zeros(SAMPLES, 1)), self.size)

    module, beside, data = seeded(Saving), seeded(), Data()

    found = Tuner(trainer_of(tmp_path)).scale_batch_size(module, init_val=8, batch_arg_name="size")
    of_data = Tuner(trainer_of(tmp_path)).scale_batch_size(beside, data, init_val=8, batch_arg_name="size")

    assert module.hparams.size == found == 16
    assert data.size == of_data == 16
    assert beside.batch_size == 2


def test_data_without_a_length_are_tried_up_to_the_largest_size(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([(torch.zeros(4), torch.zeros(1))] * SAMPLES)

    class Streaming(Regression):
        def train_dataloader(self):
            return DataLoader(Stream(), self.batch_size)

    module = seeded(Streaming, capacity=10**6)

    assert Tuner(trainer_of(tmp_path, limit_val_batches=0)).scale_batch_size(module, init_val=500, max_val=700) == 700


def test_every_loader_of_a_test_is_tried(tmp_path):
    class Two(Regression):
        def test_dataloader(self):
            return [self.loader(), DataLoader(TensorDataset(torch.zeros(9, 4), torch.zeros(9, 1)), 3 * self.batch_size)]

        def test_step(self, batch, batch_idx, dataloader_idx=0):
            self.loss(batch)

    assert (
        Tuner(trainer_of(tmp_path)).scale_batch_size(seeded(Two, capacity=8), method="test", mode="binsearch", margin=0)
        == 2
    )


def test_nothing_of_a_batch_that_did_not_fit_stays_in_memory(tmp_path):
    failed, left = [], []

    class Watching(Regression):
        def training_step(self, batch, batch_idx):
            if batch_idx == 0:
                left.extend(each() for each in failed)
                failed[:] = [weakref.ref(batch[0])] if len(batch[0]) > self.capacity else []
                knot = [batch]  # refers to itself, as much in a traceback does
                knot.append(knot)
            return super().training_step(batch, batch_idx)

    Tuner(trainer_of(tmp_path)).scale_batch_size(seeded(Watching), mode="binsearch", init_val=16)

    assert left
    assert left == [None] * len(left)


def test_a_dry_run_searches_nothing(tmp_path):
    module = seeded()

    with pytest.warns(UserWarning, match="fast_dev_run"):
        found = Tuner(trainer_of(tmp_path, fast_dev_run=True)).scale_batch_size(module)

    assert found is None
    assert module.batch_size == 2


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [("shapes do not match", RuntimeError, "shapes do not match"), ("", ConfigurationError, "one sample does not fit")],
)
def test_a_search_that_fails_puts_the_size_back(tmp_path, error, expected, said):
    class Failing(Regression):
        def loss(self, batch):
            if error:
                raise RuntimeError(error)
            return super().loss(batch)

    module = seeded(Failing, capacity=0, batch_size=3)
    weights = {name: each.clone() for name, each in module.state_dict().items()}
    trainer = trainer_of(tmp_path)

    with pytest.raises(expected, match=said):
        Tuner(trainer).scale_batch_size(module)

    assert module.batch_size == 3
    assert all(torch.equal(each, weights[name]) for name, each in module.state_dict().items())
    assert trainer.callbacks == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"method": "train"}, "method='train'"),
        ({"dataloaders": []}, "takes train_dataloaders and val_dataloaders"),
        ({"method": "test", "val_dataloaders": []}, "takes dataloaders"),
        ({"mode": "cubic"}, "mode='cubic'"),
        ({"margin": 1.0}, "margin=1.0"),
        ({"init_val": 0}, "init_val=0"),
        ({"batch_arg_name": "size"}, "no attribute 'size' in Regression"),
        ({"train_dataloaders": [1]}, "a loader was passed to fit"),
        ({"method": "test", "dataloaders": [1]}, "Return it from test_dataloader"),
    ],
)
def test_calls_that_cannot_be_meant_are_refused(tmp_path, call, said):
    with pytest.raises(ConfigurationError, match=said):
        Tuner(trainer_of(tmp_path)).scale_batch_size(seeded(), **call)


def test_two_searches_at_once_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="has a BatchSizeFinder already"):
        Tuner(trainer_of(tmp_path, BatchSizeFinder())).scale_batch_size(seeded())


@pytest.mark.parametrize(
    ("capacity", "arguments", "tried", "found"),
    [
        (40, {}, [2, 4, 8, 16, 32, 64], 32),
        (40, {"mode": "binsearch"}, [2, 4, 8, 16, 32, 64, 48, 40, 44, 42, 41], 40),
        (40, {"max_trials": 3}, [2, 4, 8], 8),
        (40, {"max_trials": 7, "mode": "binsearch"}, [2, 4, 8, 16, 32, 64, 48, 40, 44, 42, 41], 40),
        (40, {"max_trials": 6, "mode": "binsearch"}, [2, 4, 8, 16, 32, 64, 48, 40], 40),
        (900, {"most": 100}, [2, 4, 8, 16, 32, 64, 100], 100),
        (90, {"most": 100}, [2, 4, 8, 16, 32, 64, 100], 64),
        (90, {"most": 100, "mode": "binsearch"}, [2, 4, 8, 16, 32, 64, 100, 82, 91, 86, 88, 89, 90], 90),
        (900, {"samples": lambda: 50}, [2, 4, 8, 16, 32, 64], 64),
        (5, {"start": 16}, [16, 8, 4], 4),
        (4, {"start": 5}, [5, 2, 4], 4),
        (1, {}, [2, 1], 1),
        (1, {"mode": "binsearch"}, [2, 1], 1),
        (5, {"start": 16, "max_trials": 1}, [16, 8, 4], 4),
    ],
)
def test_sizes_are_tried_in_turn_and_the_one_returned_has_fit(capacity, arguments, tried, found):
    sizes = []

    def fits(size):
        sizes.append(size)
        return size <= capacity

    plan = {"start": 2, "mode": "power", "max_trials": 25, "most": 8192, "samples": lambda: 1000, **arguments}

    assert largest(fits, **plan) == found
    assert sizes == tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("Tried to allocate 20.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_errors_that_speak_of_memory_are_known(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: device-side assert"), ValueError("CUDA out of memory")])
def test_other_errors_are_not_taken_for_a_lack_of_memory(error):
    assert not is_out_of_memory(error)
