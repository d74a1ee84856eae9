"""A run stopped after any batch and resumed equals the uninterrupted one bit for bit: weights, rows, learning rates."""

import csv
import os
import random
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

import leyden as L
from leyden.callbacks import EarlyStopping, LambdaCallback, LearningRateMonitor, ModelCheckpoint
from leyden.combined_loader import CombinedLoader
from leyden.errors import CheckpointError, Interrupted
from leyden.loggers import CSVLogger


class Everything(L.LightningModule):
    """Uses whatever has a state: dropout, batch norm, metric objects, schedulers, half-accumulated means."""

    def __init__(self, scheduler="step"):
        super().__init__()
        self.scheduler = scheduler
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
        self.train_acc, self.val_acc, self.seen = MulticlassAccuracy(3), MulticlassAccuracy(3), MeanMetric()

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self.layers(x + 0.01 * float(np.random.rand()) + 0.01 * random.random())
        loss = F.cross_entropy(scores, y)
        self.train_acc(scores, y)
        self.seen.update(loss.detach())
        self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("acc", self.train_acc, on_step=True, on_epoch=True)
        self.log("largest", loss, on_step=False, on_epoch=True, reduce_fx="max")
        return loss

    def on_train_epoch_end(self):
        self.log("seen", self.seen.compute())
        self.seen.reset()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        scores = self.layers(x)
        self.val_acc(scores, y)
        self.log("val_loss", F.cross_entropy(scores, y))
        self.log("val_acc", self.val_acc)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.02)
        if self.scheduler == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
            return {"optimizer": optimizer, "lr_scheduler": plateau, "monitor": "val_loss"}
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=40)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]


class Manual(Everything):
    """Steps its optimizer itself, on every second batch: gradients wait in between."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss)
        if batch_idx % 2:
            optimizer = self.optimizers()
            optimizer.step()
            optimizer.zero_grad()


class Saver(L.Callback):
    """Writes a checkpoint after every batch, within a window of accumulated gradients as well, and where epochs end."""

    runs_last = True

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def save(self, trainer, place):
        trainer.save_checkpoint(self.folder / f"{self.count:03}-{place}.ckpt")
        self.count += 1

    def on_train_batch_end(self, trainer, *_):
        self.save(trainer, "batch")

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            self.save(trainer, "validated")

    def on_train_epoch_end(self, trainer, module):
        self.save(trainer, "epoch")


class Noisy(Dataset):
    """A map-style data set whose items are augmented with random numbers of the fetching process."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index] + 0.1 * torch.randn(6), self.y[index]


class Stream(IterableDataset):
    """A data set without a length."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        yield from zip(self.x, self.y, strict=True)


def data():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(56, 6, generator=generator)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()


def run(folder, module_class, dataset_class, workers, options, resume_from=None, save=True, collect=None, **arguments):
    """Train, with a checkpoint after every batch; returns the module, the trainer and the rows."""
    L.seed_everything(3, verbose=False)
    x, y = data()
    dataset = dataset_class(x, y)
    shuffle = {} if isinstance(dataset, IterableDataset) else {"shuffle": True}
    loader = collect(x, y) if collect else DataLoader(dataset, 8, num_workers=workers, **shuffle)
    module = module_class(**arguments)
    saver = Saver(folder / "every")
    epochs = ModelCheckpoint(folder / "epochs", monitor="val_loss", save_top_k=2, save_last=True)
    trainer = L.Trainer(
        max_epochs=3,
        default_root_dir=folder,
        logger=CSVLogger(folder, name="", version=""),
        callbacks=[
            EarlyStopping("val_loss", patience=5),
            LearningRateMonitor("step"),
            epochs,
            *([saver] if save else []),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **options,
    )
    trainer.fit(module, loader, DataLoader(TensorDataset(x, y), 20, shuffle=True), ckpt_path=resume_from)
    with open(folder / "metrics.csv", encoding="utf-8") as file:
        return module, trainer, list(csv.DictReader(file))


def checkpoints(folder, place="*"):
    """The checkpoints of an undisturbed run, in the order in which they were written."""
    found = sorted((folder / "every").glob(f"*-{place}.ckpt"))
    assert found
    return found


class Several(Everything):
    """Learns from all batches it is given, in whatever structure."""

    def training_step(self, batch, batch_idx):
        given = [part for part in batch.values() if part is not None]
        return super().training_step([torch.cat(parts) for parts in zip(*given, strict=True)], batch_idx)


class Resumable:
    """A loader that keeps its own position, and maybe a secret of its length."""

    def __init__(self, x, y):
        self.data = list(zip(x.split(8), y.split(8), strict=True))
        self.start = self.position = 0

    def __iter__(self):
        start, self.start = self.start, 0
        for index in range(start, len(self.data)):
            self.position = index + 1
            yield list(self.data[index])

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.start = self.position = state["position"]


class Counted(Resumable):
    """The same with a length."""

    def __len__(self):
        return len(self.data)


def part(x, y, size, kind=TensorDataset, **options):
    """A shuffling loader of the first *size* samples, in batches of eight."""
    return DataLoader(kind(x[:size], y[:size]), 8, shuffle=True, **options)


def uneven(x, y, kind=TensorDataset, **options):
    """Loaders of seven, three and two batches."""
    return {name: part(x, y, size, kind, **options) for name, size in (("short", 16), ("long", 56), ("mid", 24))}


def own_generators(x, y):
    """Loaders that do not draw from the global generator, two of them from the same one."""
    shared, own = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    return {
        "long": part(x, y, 56, generator=shared),
        "short": part(x, y, 16, generator=shared),
        "mid": part(x, y, 24, generator=own),
    }


COLLECTIONS = {
    "dict": uneven,
    "min_size": lambda x, y: CombinedLoader(uneven(x, y), "min_size"),
    "max_size": lambda x, y: CombinedLoader(uneven(x, y), "max_size"),
    "max_size_cycle": lambda x, y: CombinedLoader(uneven(x, y), "max_size_cycle"),
    "augmented in this process": lambda x, y: uneven(x, y, Noisy),
    "augmented in this process, max_size": lambda x, y: CombinedLoader(uneven(x, y, Noisy), "max_size"),
    "augmented, workers": lambda x, y: {
        "short": part(x, y, 16, Noisy, num_workers=1), "long": part(x, y, 56), "mid": part(x, y, 24, Noisy)
    },
    "own generators": own_generators,
    "without a length": lambda x, y: {
        "stream": DataLoader(Stream(x, y), 8), "short": part(x, y, 16), "mid": part(x, y, 24)
    },
    "without a length, min_size": lambda x, y: CombinedLoader(
        {"a": DataLoader(Stream(x, y), 8), "b": DataLoader(Stream(x[:40], y[:40]), 8)}, "min_size"
    ),
    "their own positions": lambda x, y: {"counted": Counted(x, y), "short": Counted(x[:24], y[:24])},
    "their own positions, without a length": lambda x, y: {
        "secret": Resumable(x, y), "short": Resumable(x[:24], y[:24]), "mid": part(x, y, 24)
    },
}  # fmt: skip
ALONE = {"its own position": Counted, "its own position, without a length": Resumable}

CASES = {
    "plain": (Everything, TensorDataset, 0, {}, {}),
    "augmented, two workers": (Everything, Noisy, 2, {}, {}),
    "augmented in this process": (Everything, Noisy, 0, {}, {}),
    "accumulation over an odd rest": (Everything, TensorDataset, 0, {"accumulate_grad_batches": 3}, {}),
    "validation within epochs, plateau": (
        Everything, TensorDataset, 0, {"val_check_interval": 0.5}, {"scheduler": "plateau"},
    ),
    "without a length": (Everything, Stream, 0, {"accumulate_grad_batches": 2}, {}),
    "manual": (Manual, TensorDataset, 0, {}, {}),
    "bf16": (Everything, TensorDataset, 0, {"precision": "bf16-mixed"}, {}),
    "clipping": (Everything, TensorDataset, 0, {"gradient_clip_val": 0.1}, {}),
}  # fmt: skip


WAITING = ("accumulation over an odd rest", "manual")  # gradients are in the checkpoint


@pytest.mark.parametrize("case", WAITING)
def test_gradients_wait_in_checkpoints_between_two_updates(case, tmp_path):
    module_class, dataset_class, workers, options, arguments = CASES[case]
    run(tmp_path, module_class, dataset_class, workers, options, **arguments)

    held = [torch.load(path)["leyden"]["gradients"] for path in checkpoints(tmp_path, "batch")]

    assert any(any(gradient.any() for gradient in gradients.values()) for gradients in held)


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")  # resumed elsewhere on purpose
@pytest.mark.parametrize("case", CASES)
def test_resuming_from_any_checkpoint_equals_the_uninterrupted_run(case, tmp_path):
    module_class, dataset_class, workers, options, arguments = CASES[case]

    every = 2 if case in WAITING else 5 if workers == 0 else 13
    resume_from_every(every, tmp_path, module_class, dataset_class, workers, options, **arguments)


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
@pytest.mark.parametrize("name", COLLECTIONS)
def test_resuming_within_a_collection_of_loaders_equals_the_uninterrupted_run(name, tmp_path):
    options = {"accumulate_grad_batches": 2, "val_check_interval": 2} if name == "dict" else {}

    resume_from_every(
        13 if "workers" in name else 7, tmp_path, Several, TensorDataset, 0, options, collect=COLLECTIONS[name]
    )


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
@pytest.mark.parametrize("name", ALONE)
def test_resuming_a_loader_that_keeps_its_own_position_equals_the_uninterrupted_run(name, tmp_path):
    resume_from_every(5, tmp_path, Everything, TensorDataset, 0, {}, collect=ALONE[name])


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_another_number_of_loaders_is_refused_in_the_middle_of_an_epoch(tmp_path):
    run(tmp_path, Several, TensorDataset, 0, {}, collect=uneven)

    with pytest.raises(CheckpointError, match=r"positions of 3 training loaders .* but there are 1 now"):
        run(
            tmp_path / "other",
            Several,
            TensorDataset,
            0,
            {},
            resume_from=checkpoints(tmp_path)[1],
            collect=lambda x, y: {"one": part(x, y, 56)},
        )


def resume_from_every(count, tmp_path, module_class, dataset_class, workers, options, **arguments):
    whole = tmp_path / "whole"
    expected, trainer, rows = run(whole, module_class, dataset_class, workers, options, **arguments)
    saved = checkpoints(whole)
    chosen = saved[::count]

    assert len(checkpoints(whole, "batch")) == trainer._progress.batches
    for checkpoint in [*chosen, whole / "epochs" / "last.ckpt"]:
        again = tmp_path / "again"
        again.mkdir()
        shutil.copy(whole / "metrics.csv", again / "metrics.csv")  # as a killed process would have left it
        module, resumed, its_rows = run(
            again, module_class, dataset_class, workers, options, resume_from=checkpoint, **arguments
        )

        assert resumed.global_step == trainer.global_step, checkpoint.name
        for (name, weight), other in zip(expected.state_dict().items(), module.state_dict().values(), strict=True):
            assert torch.equal(weight, other), f"{name} differs after a resume from {checkpoint.name}"
        assert its_rows == rows, f"rows differ after a resume from {checkpoint.name}"
        shutil.rmtree(again)


def test_a_checkpoint_loads_without_executing_anything(tmp_path):
    run(tmp_path, Everything, TensorDataset, 0, {"accumulate_grad_batches": 3})

    for path in checkpoints(tmp_path):
        assert "state_dict" in torch.load(path, weights_only=True)


def test_a_run_stopped_by_early_stopping_is_not_trained_further_by_a_resume(tmp_path):
    def fit(resume_from=None):
        L.seed_everything(3, verbose=False)
        x, y = data()
        trainer = L.Trainer(
            max_epochs=20,
            default_root_dir=tmp_path,
            logger=False,
            callbacks=[
                EarlyStopping("val_loss", patience=0, min_delta=10.0),
                ModelCheckpoint(tmp_path, save_last=True),
            ],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = DataLoader(TensorDataset(x, y), 8)
        trainer.fit(Everything(), loader, loader, ckpt_path=resume_from)
        return trainer.current_epoch

    assert fit() == fit(resume_from=Path(tmp_path, "last.ckpt")) == 2


def within(folder, limit, resume_from=None):
    """Train for so long at most, and save; returns the trainer, with how often it validated."""
    L.seed_everything(3, verbose=False)
    x, y = data()
    loader = DataLoader(TensorDataset(x, y), 8)
    validated = []
    trainer = L.Trainer(
        max_epochs=3,
        max_time=limit,
        default_root_dir=folder,
        logger=False,
        callbacks=[LambdaCallback(on_validation_end=lambda trainer, _: validated.append(trainer.global_step))],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Everything(), loader, loader, ckpt_path=resume_from)
    trainer.save_checkpoint(folder / "saved.ckpt")
    return trainer, validated


def test_a_run_whose_time_was_up_goes_on_when_it_is_given_more(tmp_path):
    moment, hour = timedelta(microseconds=1), timedelta(hours=1)

    first, validated = within(tmp_path, moment)
    again, _ = within(tmp_path, moment, resume_from=tmp_path / "saved.ckpt")
    whole, _ = within(tmp_path, hour, resume_from=tmp_path / "saved.ckpt")

    assert (first.global_step, validated) == (1, [1])  # one batch, and the validation that every stop asks for
    assert again.global_step == 1
    assert (whole.global_step, whole.current_epoch, whole.should_stop) == (15, 3, False)


class Stopped(Everything):
    """Sends a signal to its own process once, from inside a step."""

    def __init__(self, where=None):
        super().__init__()
        self.where = where

    def training_step(self, batch, batch_idx):
        if self.where == ("training", self.global_step):
            signal.raise_signal(signal.SIGTERM)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        if self.where == ("validation", self.global_step) and batch_idx == 1:
            signal.raise_signal(signal.SIGTERM)
        return super().validation_step(batch, batch_idx)


@pytest.mark.parametrize("where", [("training", 3), ("training", 6), ("validation", 14)])
def test_a_signal_in_the_middle_of_a_step_is_obeyed_between_two_and_loses_nothing(where, tmp_path):
    expected, _, rows = run(tmp_path / "whole", Stopped, TensorDataset, 0, {}, save=False)
    folder = tmp_path / "stopped"

    with pytest.raises(Interrupted) as caught:
        run(folder, Stopped, TensorDataset, 0, {}, save=False, where=where)
    module, _, its_rows = run(folder, Stopped, TensorDataset, 0, {}, save=False, resume_from=caught.value.checkpoint)

    assert (caught.value.signum, caught.value.exit_code) == (signal.SIGTERM, 143)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    for (name, weight), other in zip(expected.state_dict().items(), module.state_dict().values(), strict=True):
        assert torch.equal(weight, other), name
    assert its_rows == rows


class Signalled(L.Callback):
    """Sends a real signal to its own process within a certain batch."""

    def __init__(self, batch, signum):
        self.batch, self.signum, self.seen = batch, signum, 0

    def on_train_batch_start(self, *_):
        if self.seen == self.batch:
            os.kill(os.getpid(), self.signum)
        self.seen += 1


def signalled(folder, case, signals=(), resume_from=None):
    """Train for two epochs of seven batches; returns the weights."""
    module_class, dataset_class, _, options, arguments = CASES[case]
    L.seed_everything(3, verbose=False)
    x, y = data()
    module = module_class(**arguments)
    trainer = L.Trainer(
        max_epochs=2,
        default_root_dir=folder,
        logger=False,
        callbacks=[ModelCheckpoint(folder, save_top_k=0), *signals],
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    loader = DataLoader(dataset_class(x, y), 8, shuffle=True)
    trainer.fit(module, loader, DataLoader(TensorDataset(x, y), 20, shuffle=True), ckpt_path=resume_from)
    return module.state_dict()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("case", WAITING)
def test_a_signal_within_any_batch_loses_nothing(case, signum, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")  # where SIGUSR1 announces the end of the time
    expected = signalled(tmp_path / "whole", case)

    for batch in range(14)[:: 1 if signum == signal.SIGTERM else 5]:
        with pytest.raises(Interrupted) as caught:
            signalled(tmp_path / "stopped", case, [Signalled(batch, signum)])
        found = signalled(tmp_path / "stopped", case, resume_from=caught.value.checkpoint)

        assert caught.value.signum == signum
        assert torch.load(caught.value.checkpoint)["leyden"]["progress"]["batches"] == batch + 1
        for name, weight in expected.items():
            assert torch.equal(weight, found[name]), f"{name} after a signal in batch {batch}"


@pytest.mark.filterwarnings("ignore:The folder of checkpoints has changed")
def test_a_save_that_waits_for_a_validation_waits_in_a_resumed_run_as_well(tmp_path):
    def fit(folder, resume_from=None):
        L.seed_everything(3, verbose=False)
        x, y = data()
        trainer = L.Trainer(
            max_epochs=1,
            default_root_dir=folder,
            logger=False,
            callbacks=[
                ModelCheckpoint(folder / "best", monitor="val_loss", every_n_train_steps=3, save_top_k=-1),
                Saver(folder / "every"),
            ],
            val_check_interval=3,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = DataLoader(TensorDataset(x, y), 8)
        trainer.fit(Everything(), loader, loader, ckpt_path=resume_from)
        return {path.name for path in (folder / "best").glob("*")}

    undisturbed = fit(tmp_path / "whole")
    resumed = fit(tmp_path / "again", checkpoints(tmp_path / "whole", "batch")[2])

    assert undisturbed == resumed == {"epoch=0-step=3.ckpt", "epoch=0-step=6.ckpt"}


class Alternating(L.LightningModule):
    """Two optimizers, of which the first takes two batches in a row."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 1), nn.Linear(6, 1)
        self.taken = []

    def training_step(self, batch, batch_idx, optimizer_idx):
        self.taken.append(optimizer_idx)
        return (self.first, self.second)[optimizer_idx](batch[0]).square().mean()

    def configure_optimizers(self):
        return [
            {"optimizer": torch.optim.SGD(layer.parameters(), 0.1), "frequency": frequency}
            for layer, frequency in ((self.first, 2), (self.second, 1))
        ]


def short(module, **options):
    trainer = L.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(TensorDataset(*data()), 8))
    return trainer


def test_optimizers_take_as_many_batches_in_a_row_as_their_frequency_says():
    module = Alternating()

    short(module)

    assert module.taken == [0, 0, 1, 0, 0, 1, 0]


class LogsAround(Manual):
    """Logs one value before its manual step and one after it, and listens to what comes in between."""

    def training_step(self, batch, batch_idx):
        loss = self.layers(batch[0]).square().mean()
        self.log("value", 1.0, on_step=False, on_epoch=True)
        self.manual_backward(loss)
        self.optimizers().step()
        self.log("value", 3.0, on_step=False, on_epoch=True)

    def on_before_optimizer_step(self, optimizer):
        self.log("between", 1.0)

    def on_train_epoch_end(self):
        """Nothing has been seen."""


def test_what_is_logged_after_a_manual_step_belongs_to_the_training_step_again():
    trainer = short(LogsAround())

    assert trainer.callback_metrics["value"] == 2.0


class LeavesEpoch(Everything):
    """Ends the epoch at its third batch, and notes how many batches had been fetched and trained."""

    def on_train_batch_start(self, batch, batch_idx):
        return -1 if batch_idx == 2 else None

    def on_train_epoch_end(self):
        progress = self.trainer._progress
        self.noted = progress.fetched, progress.batch, progress.last


def test_a_batch_that_is_refused_does_not_count_as_fetched():
    module = LeavesEpoch()

    short(module)

    assert module.noted == (2, 2, True)
