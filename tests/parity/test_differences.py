"""Leyden differs from Lightning where the table of differences says so, and as it says."""

from __future__ import annotations

import math
import os
import threading
import warnings

import lightning.pytorch.tuner
import observed_callbacks
import observed_continuing
import observed_counters
import observed_ranks
import pytest
import torch
from differences import COMMAND, DIFFERENCES, PAGE, filled, tables
from lightning.pytorch.plugins.io import AsyncCheckpointIO, TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from observing import OBSERVED, fitted, observed
from torch.utils.data import DataLoader
from twins import LEYDEN, LIGHTNING, loader, quiet, recorder, regression, rows_of, silence

import leyden.combined_loader
import leyden.plugins
import leyden.tuner

assert observed_callbacks  # importing it adds to the list
assert observed_continuing
assert observed_counters
assert observed_ranks


@observed("short_window", theirs=[0.5, 0.5, 0.5], ours=[0.5, 0.5, 1.0])
def _(library, tmp_path):
    losses = []

    class Module(regression(library)):
        def training_step(self, batch, batch_idx):
            return self.net[3].bias.sum() * 0 + 1.0

        def on_train_batch_end(self, outputs, batch, batch_idx):
            losses.append(float(outputs["loss"]))

    fitted(library, tmp_path, Module, accumulate_grad_batches=2, limit_train_batches=3)
    return losses


@observed("axis_of_evaluation_steps", theirs=[0, 1, 2, 3], ours=[2, 2, 5, 5])
def _(library, tmp_path):
    class Module(regression(library)):
        def validation_step(self, batch, batch_idx):
            self.log("value", 1.0, on_step=True, on_epoch=False)

    logger = rows_of(library)
    fitted(library, tmp_path, Module, logger=logger, val_check_interval=3, limit_val_batches=2)
    return [step for step, row in logger.rows if "value" in row]


@observed("axis_within_a_window", theirs=[0, 1, 1], ours=[0, 0, 1])
def _(library, tmp_path):
    logger = rows_of(library)
    options = {"accumulate_grad_batches": 3, "val_check_interval": 2}
    fitted(library, tmp_path, regression(library), logger=logger, **options)
    return [step for step, row in logger.rows if "val_loss" in row]


@observed("secret_hyperparameters", theirs=["api_key", "width"], ours=["width"])
def _(library, tmp_path):
    class Module(regression(library)):
        def __init__(self, api_key, width):
            super().__init__()
            self.save_hyperparameters()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer, _ = fitted(library, tmp_path, lambda: Module("correct horse", 3))
        trainer.save_checkpoint(tmp_path / "it.ckpt")
    return sorted(torch.load(tmp_path / "it.ckpt", weights_only=True)["hyper_parameters"])


@observed("version_that_is_a_name", theirs="oard", ours=None)
def _(library, tmp_path):
    shown = []

    class Module(regression(library)):
        def on_train_end(self):
            shown.append(self.trainer.progress_bar_callback.get_metrics(self.trainer, self).get("v_num"))

    logger = library.loggers.CSVLogger(tmp_path, version="tensorboard")
    bar = library.callbacks.TQDMProgressBar(refresh_rate=0)
    fitted(library, tmp_path, Module, logger=logger, callbacks=[bar], enable_progress_bar=True)
    return shown[0]


@observed("exact_resume", theirs=False, ours=True)
def _(library, tmp_path):
    path = tmp_path / "middle.ckpt"

    class Module(regression(library)):
        def train_dataloader(self):
            return loader(shuffle=True)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            if batch_idx == 2 and not path.exists():
                self.trainer.save_checkpoint(path)

    _, whole = fitted(library, tmp_path, Module, accumulate_grad_batches=2)
    _, again = fitted(library, tmp_path, Module, {"ckpt_path": str(path)}, accumulate_grad_batches=2)
    return all(torch.equal(first, second) for first, second in zip(whole.parameters(), again.parameters(), strict=True))


@observed("several_automatic_optimizers", theirs="RuntimeError", ours=12)
def _(library, tmp_path):
    class Module(regression(library)):
        def training_step(self, batch, batch_idx, optimizer_idx):
            return self.loss(batch)

        def configure_optimizers(self):
            parts = self.net[0], self.net[3]
            return [torch.optim.SGD(part.parameters(), lr=0.1) for part in parts]

    try:
        return fitted(library, tmp_path, Module)[0].global_step
    except RuntimeError as error:
        return type(error).__name__


@observed("teardown_after_an_exception", theirs=[], ours=["cb.teardown", "LM.teardown"])
def _(library, tmp_path):
    class Module(regression(library)):
        def training_step(self, batch, batch_idx):
            raise ArithmeticError("on purpose")

    heard = []
    callback = recorder(library, "cb", library.Callback, heard)()
    with pytest.raises(ArithmeticError, match="on purpose"):
        fitted(library, tmp_path, recorder(library, "LM", Module, heard), callbacks=[callback])
    return [str(call) for call in heard if call.hook == "teardown"]


@observed("keyboard_interrupt", theirs="SystemExit", ours="KeyboardInterrupt")
def _(library, tmp_path):
    class Module(regression(library)):
        def training_step(self, batch, batch_idx):
            raise KeyboardInterrupt

    with pytest.raises((SystemExit, KeyboardInterrupt)) as caught:
        fitted(library, tmp_path, Module)
    return caught.type.__name__


@observed("sanity_check_on_resume", theirs=True, ours=False)
def _(library, tmp_path):
    heard, path = [], str(tmp_path / "end.ckpt")
    trainer, _ = fitted(library, tmp_path, regression(library))
    trainer.save_checkpoint(path)
    callback = recorder(library, "cb", library.Callback, heard)()
    options = {"callbacks": [callback], "max_epochs": 2, "num_sanity_val_steps": 1}
    fitted(library, tmp_path, regression(library), {"ckpt_path": path}, **options)
    return "cb.on_sanity_check_start" in map(str, heard)


@observed("plateau_scheduler_on_resume", theirs=1, ours=2)
def _(library, tmp_path):
    path = tmp_path / "end.ckpt"

    class Saves(library.callbacks.Checkpoint):
        def on_train_epoch_end(self, trainer, pl_module):
            if not path.exists():
                trainer.save_checkpoint(path)

    class Module(regression(library)):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": schedule, "monitor": "val_loss"}

    options = {"enable_checkpointing": True, "max_epochs": 2}
    fitted(library, tmp_path, Module, callbacks=[Saves()], **options)
    trainer, _ = fitted(library, tmp_path, Module, {"ckpt_path": str(path)}, callbacks=[Saves()], **options)
    return trainer.lr_scheduler_configs[0].scheduler.last_epoch


@observed("steps_of_a_loader_without_length", theirs=-1, ours=math.inf)
def _(library, tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(loader(2).dataset)

    trainer, _ = fitted(
        library, tmp_path, regression(library), {"train_dataloaders": torch.utils.data.DataLoader(Stream())}
    )
    return trainer.estimated_stepping_batches


class Announcing:
    """A loader that announces three batches and yields another number; notes which of them was asked for."""

    def __init__(self, real, noted=None):
        self.real, self.noted = real, [] if noted is None else noted

    def __len__(self):
        return 3

    def __iter__(self):
        for index, batch in zip(range(self.real), loader(8), strict=False):
            self.noted.append(f"fetch {index}")
            yield batch


@observed("epoch_of_a_wrong_length", theirs=[2, 1, 0, 0, 3, 2, 1, 1], ours=[2, 1, 1, 1, 5, 3, 1, 1])
def _(library, tmp_path):
    found = []
    for real in (2, 5):

        class Module(regression(library)):
            batches = validations = 0

            def training_step(self, batch, batch_idx):
                self.batches += 1
                return self.loss(batch)

            def on_validation_epoch_end(self):
                self.validations += 1

            def configure_optimizers(self):
                optimizer = super().configure_optimizers()
                return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

        loaders = {"train_dataloaders": Announcing(real), "val_dataloaders": loader(1)}
        options = {"accumulate_grad_batches": 2, "num_sanity_val_steps": 0, "max_epochs": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer, module = fitted(library, tmp_path, Module, loaders, **options)
        steps = trainer.lr_scheduler_configs[0].scheduler.last_epoch
        found += [module.batches, trainer.global_step, steps, module.validations]
    return found


@observed("batches_of_an_uncertain_length", theirs="fetch 0, step 0, fetch 1", ours="fetch 0, fetch 1, step 0")
def _(library, tmp_path):
    noted = []

    class Module(regression(library)):
        def training_step(self, batch, batch_idx):
            noted.append(f"step {batch_idx}")
            return self.loss(batch)

    fitted(library, tmp_path, Module, {"train_dataloaders": Announcing(3, noted)}, max_epochs=1)
    return ", ".join(noted[:3])


def combined(library, *arguments):
    if library is LEYDEN:
        return leyden.combined_loader.CombinedLoader(*arguments)
    return library.utilities.combined_loader.CombinedLoader(*arguments)


@observed("length_of_a_combined_loader", theirs="RuntimeError", ours=2)
def _(library, tmp_path):
    try:
        return len(combined(library, [range(2), range(3)]))
    except RuntimeError as error:
        return type(error).__name__


@observed("batches_of_loaders_side_by_side", theirs=[1, 3], ours=[3])
def _(library, tmp_path):
    class Module(regression(library)):
        def validation_step(self, batch, batch_idx):
            pass

    loaders = combined(library, [loader(1), loader(3)], "max_size")
    return fitted(library, tmp_path, Module, {"val_dataloaders": loaders})[0].num_val_batches


@observed("random_numbers_before_the_first_batch", theirs=False, ours=True)
def _(library, tmp_path):
    class Module(regression(library)):
        def on_fit_start(self):
            with torch.random.fork_rng():
                self.expected = torch.rand(1)

        def on_train_start(self):
            self.drawn = torch.rand(1)

    module = fitted(library, tmp_path, Module)[1]
    return torch.equal(module.drawn, module.expected)


@observed("batches_of_no_training", theirs=math.inf, ours=0)
def _(library, tmp_path):
    return fitted(library, tmp_path, regression(library), limit_train_batches=0)[0].num_training_batches


@observed("on_predict_model_train", theirs=0, ours=1)
def _(library, tmp_path):
    class Module(regression(library)):
        calls = 0

        def on_predict_model_train(self):
            type(self).calls += 1

    quiet(library, tmp_path).predict(Module())
    return Module.calls


@observed("predictions_of_no_batches", theirs=None, ours=[])
def _(library, tmp_path):
    return quiet(library, tmp_path, limit_predict_batches=0).predict(regression(library)())


@observed("misspelt_hooks", theirs=None, ours="ConfigurationError")
def _(library, tmp_path):
    class Module(regression(library)):
        def on_train_bach_end(self, outputs, batch, batch_idx):
            pass

    try:
        fitted(library, tmp_path, Module)
    except ValueError as error:
        return type(error).__name__


@observed("old_spellings", theirs="TypeError", ours="cpu")
def _(library, tmp_path):
    try:
        return quiet(library, tmp_path, accelerator="auto", gpus=0).strategy.root_device.type
    except TypeError as error:
        return type(error).__name__


@observed("weights_of_a_test_after_averaging", theirs=False, ours=True)
def _(library, tmp_path):
    tested = []

    class Module(regression(library)):
        def test_step(self, batch, batch_idx):
            tested.append(self.net[0].weight.detach().clone())

    average = library.callbacks.EMAWeightAveraging(decay=0.5)
    trainer, module = fitted(library, tmp_path, Module, callbacks=[average], enable_checkpointing=True)
    path = trainer.checkpoint_callback.best_model_path
    trainer.test(module, ckpt_path=path, verbose=False)
    return torch.equal(tested[0], torch.load(path, weights_only=True)["state_dict"]["net.0.weight"])


@observed("precision_of_an_average", theirs=True, ours=False)
def _(library, tmp_path):
    rounded = []

    class Module(regression(library)):
        def on_validation_end(self):
            weight = self.net[0].weight
            rounded.append(torch.equal(weight, weight.float().double()))

    average = library.callbacks.EMAWeightAveraging(decay=0.5)
    fitted(library, tmp_path, Module, callbacks=[average], precision="64-true")
    return rounded[0]


@observed("epoch_of_batch_norm_statistics", theirs=(False, 13), ours=(True, 12))
def _(library, tmp_path):
    class Module(regression(library)):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
            self.starts = []

        def on_train_epoch_start(self):
            self.starts.append(self.net[0].weight.detach().clone())

    average = library.callbacks.StochasticWeightAveraging(swa_lrs=0.1, swa_epoch_start=1)
    trainer, module = fitted(library, tmp_path, Module, callbacks=[average], max_epochs=2, limit_val_batches=0)
    mean = (module.starts[0] + module.starts[1]) / 2
    return torch.allclose(module.net[0].weight, mean, atol=1e-6), trainer.global_step


@observed("parameters_of_equal_value", theirs=1, ours=2)
def _(library, tmp_path):
    first, second = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    second.load_state_dict(first.state_dict())
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    library.callbacks.BaseFinetuning.unfreeze_and_add_param_group(second, optimizer)
    return len(optimizer.param_groups)


@observed("frozen_parameters_on_resume", theirs=[True, False], ours=[True, True])
def _(library, tmp_path):
    trained = []

    class Module(regression(library)):
        def __init__(self):
            super().__init__()
            self.backbone = self.net[0]

        def configure_optimizers(self):
            return torch.optim.SGD([each for each in self.parameters() if each.requires_grad], lr=0.1)

        def on_train_end(self):
            trained.append(self.backbone.weight.requires_grad)

    def callbacks():
        return [library.callbacks.BackboneFinetuning(unfreeze_backbone_at_epoch=0)]

    trainer, _ = fitted(library, tmp_path, Module, callbacks=callbacks(), enable_checkpointing=True)
    path = trainer.checkpoint_callback.best_model_path
    fitted(library, tmp_path, Module, {"ckpt_path": path}, callbacks=callbacks(), max_epochs=2)
    return trained


@observed("validation_in_a_search", theirs=6, ours=0)
def _(library, tmp_path):
    class Module(regression(library)):
        validated = 0

        def validation_step(self, batch, batch_idx):
            self.validated += 1

    finder = library.callbacks.LearningRateFinder(num_training_steps=12, early_stop_threshold=None, update_attr=False)
    module = Module()
    trainer = quiet(library, tmp_path, max_epochs=2, num_sanity_val_steps=0, callbacks=[finder])

    class Ended(library.Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.searched = pl_module.validated

    trainer.callbacks.append(Ended())
    trainer.fit(module)
    return module.searched


def size_found(library, tmp_path, capacity=100, batch_size=2, loaders=1, **arguments):
    """Search for a batch size in 100 samples of which *capacity* fit; return what is found, and the sizes tried."""
    tried = {}

    class Module(regression(library)):
        def __init__(self):
            super().__init__()
            self.batch_size = batch_size

        def loss(self, batch):
            tried[len(batch[0])] = True
            if len(batch[0]) > capacity:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().loss(batch)

        def validation_step(self, batch, batch_idx):
            return

        def train_dataloader(self):
            return DataLoader(loader(100, size=1).dataset, batch_size=self.batch_size)

        def test_dataloader(self):
            return [self.train_dataloader() for _ in range(loaders)]

    tuners = {LIGHTNING: lightning.pytorch.tuner.Tuner, LEYDEN: leyden.tuner.Tuner}
    module, trainer = Module(), quiet(library, tmp_path, max_epochs=1)
    torch.manual_seed(0)
    try:
        return tuners[library](trainer).scale_batch_size(module, **arguments), list(tried)
    except (MisconfigurationException, leyden.ConfigurationError):
        return "refused"


@observed("first_size_of_a_search", theirs=(16, [64, 8, 16, 32]), ours=(16, [16, 32]))
def _(library, tmp_path):
    return size_found(library, tmp_path, 20, batch_size=64, init_val=16)


@observed("size_that_a_search_returns", theirs=(128, [64, 36, 100]), ours=(64, [64, 36, 100]))
def _(library, tmp_path):
    return size_found(library, tmp_path, 80, batch_size=64, init_val=64)


@observed("limit_of_a_search", theirs=(64, [32]), ours=(40, [32, 40, 20]))
def _(library, tmp_path):
    return size_found(library, tmp_path, batch_size=32, init_val=32, max_val=40)


@observed("random_numbers_after_a_search", theirs=False, ours=True)
def _(library, tmp_path):
    size_found(library, tmp_path, init_val=64, batch_size=64)
    after = torch.get_rng_state()
    return torch.equal(after, torch.manual_seed(0).get_state())


@observed("loader_given_to_a_search", theirs=(128, [2]), ours="refused")
def _(library, tmp_path):
    return size_found(library, tmp_path, init_val=64, method="test", dataloaders=loader(50))


@observed("several_loaders_in_a_search", theirs="refused", ours=(16, [16, 32]))
def _(library, tmp_path):
    return size_found(library, tmp_path, 20, loaders=2, init_val=16, method="test")


@observed("files_in_flight", theirs=[False], ours=[True])
def _(library, tmp_path):
    heard, held = [], threading.Event()

    class Hears(type(rows_of(library))):
        def after_save_checkpoint(self, checkpoint_callback):
            heard.append(os.path.exists(checkpoint_callback.best_model_path))
            held.set()

    class Held(TorchCheckpointIO):
        def save_checkpoint(self, *args, **kwargs):
            held.wait(60)
            super().save_checkpoint(*args, **kwargs)

    plugin = leyden.plugins.AsyncCheckpointIO() if library is LEYDEN else AsyncCheckpointIO(Held())
    fitted(library, tmp_path, regression(library), logger=Hears(), enable_checkpointing=True, plugins=[plugin])
    return heard


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_listed_difference_is_one(tmp_path, name):
    observe, theirs, ours = OBSERVED[name]
    for side in ("theirs", "ours"):
        (tmp_path / side).mkdir()

    with silence():
        seen = observe(LIGHTNING, tmp_path / "theirs"), observe(LEYDEN, tmp_path / "ours")

    assert seen == (theirs, ours)
    assert theirs != ours


def test_the_page_shows_the_tables_as_they_are():
    page = PAGE.read_text("utf-8")

    assert page == filled(page), f"the tables in {PAGE} are stale: run {COMMAND}"
    assert all(text in page for text in tables().values())


def test_every_difference_that_is_tested_is_listed():
    assert set(OBSERVED) == set(DIFFERENCES)
