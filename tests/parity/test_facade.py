"""What user code reaches into a trainer and its modules for is there, and says what it says under Lightning."""

from __future__ import annotations

import pytest
import torch
from twins import LEYDEN, LIGHTNING, loader, quiet, regression, silence

from leyden import ConfigurationError
from leyden.testing import describe

FACTS = {
    "batches": lambda loop: (loop.batch_idx, loop.total_batch_idx, loop.max_batches),
    "limits": lambda loop: (loop.max_epochs, loop.min_epochs, loop.max_steps, loop.min_steps),
    "epochs": lambda loop: loop.epoch_progress.current.completed,
    "steps": lambda loop: (loop.epoch_loop.global_step, loop.epoch_loop.max_steps, loop.epoch_loop.min_steps),
    "of_the_epoch": lambda loop: two(loop.epoch_loop.batch_progress.current),
    "of_all_epochs": lambda loop: two(loop.epoch_loop.batch_progress.total),
    "last": lambda loop: loop.epoch_loop.batch_progress.is_last_batch,
}
HOOKS = ("on_train_start", "on_train_batch_start", "on_before_backward", "on_train_batch_end")
LATER = ("on_validation_start", "on_validation_batch_end", "on_validation_end", "on_train_epoch_end")


def two(count):
    """The two numbers of a counter."""
    return count.ready, count.completed


def seen(library, tmp_path, look, hooks, **options):
    """What *look* sees of the fit loop in *hooks*, and after the fit."""
    notes = []

    class Looking(library.Callback):
        pass

    def note(name):
        def noted(self, trainer, *args):
            if not trainer.sanity_checking:
                notes.append((name, look(trainer.fit_loop)))

        return noted

    for name in hooks:
        setattr(Looking, name, note(name))
    with silence():
        trainer = quiet(library, tmp_path, callbacks=[Looking()], **{"max_epochs": 2, **options})
        trainer.fit(regression(library)())
    return [*notes, ("after", look(trainer.fit_loop))]


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize(
    "options",
    [{}, {"max_steps": 8}, {"accumulate_grad_batches": 4}, {"val_check_interval": 2}, {"limit_train_batches": 1}],
    ids=["plain", "max_steps", "accumulation", "validation within an epoch", "one batch"],
)
def test_the_fit_loop_tells_what_it_tells_under_lightning(fact, options, tmp_path):
    ours = seen(LEYDEN, tmp_path, FACTS[fact], HOOKS + LATER, **options)

    assert ours == seen(LIGHTNING, tmp_path, FACTS[fact], HOOKS + LATER, **options)


def test_the_validation_loop_counts_its_loaders(tmp_path):
    def look(loop):
        return loop.epoch_loop.val_loop.num_dataloaders, list(loop.epoch_loop.val_loop.max_batches)

    ours = seen(LEYDEN, tmp_path, look, ("on_validation_start",))

    assert ours == seen(LIGHTNING, tmp_path, look, ("on_validation_start",))


def extended(library, tmp_path):
    """How far a fit goes whose limit is moved while it runs."""

    class Extend(library.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 0:
                trainer.fit_loop.max_epochs += 1

    with silence():
        trainer = quiet(library, tmp_path, max_epochs=1, callbacks=[Extend()])
        trainer.fit(regression(library)())
        trainer.fit_loop.max_epochs = 4
        trainer.fit(trainer.lightning_module)
    return trainer.current_epoch, trainer.global_step, trainer.max_epochs


def test_the_limit_of_epochs_can_be_moved_within_and_between_fits(tmp_path):
    assert extended(LEYDEN, tmp_path / "ours") == extended(LIGHTNING, tmp_path / "theirs") == (4, 24, 4)


# --- init_module -----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true"])
def test_a_module_is_built_in_the_type_of_the_precision(precision, tmp_path):
    kinds = []
    for library in (LEYDEN, LIGHTNING):
        with silence(), quiet(library, tmp_path, precision=precision).init_module():
            kinds.append(torch.nn.Linear(2, 2).weight.dtype)

    assert kinds[0] == kinds[1]


def test_a_module_can_be_built_without_drawing_its_weights(tmp_path):
    torch.manual_seed(0)
    with quiet(LEYDEN, tmp_path).init_module(empty_init=True):
        torch.nn.Linear(2, 2)
    after = torch.rand(1)

    torch.manual_seed(0)

    assert after == torch.rand(1)


# --- from_datasets ---------------------------------------------------------------------------------


def batches(library, dataset, **options):
    """What the loaders of a data module around data sets give."""
    torch.manual_seed(0)
    datamodule = library.LightningDataModule.from_datasets(
        train_dataset=dataset, val_dataset=[dataset, dataset], predict_dataset={"a": dataset}, **options
    )
    train = describe(list(datamodule.train_dataloader()))
    val = [describe(list(each)) for each in datamodule.val_dataloader()]
    predict = {name: describe(list(each)) for name, each in datamodule.predict_dataloader().items()}
    return train, val, predict


def test_a_data_module_around_data_sets_gives_the_same_batches(tmp_path):
    dataset = loader().dataset
    with silence():
        ours, theirs = (batches(library, dataset, batch_size=3) for library in (LEYDEN, LIGHTNING))

    assert ours == theirs


@pytest.mark.parametrize("library", [LEYDEN, LIGHTNING], ids=["leyden", "lightning"])
def test_a_constructor_gets_the_batch_size_where_it_takes_it(library):
    class Data(library.LightningDataModule):
        def __init__(self, batch_size, other):
            super().__init__()
            self.seen = batch_size, other

    made = Data.from_datasets(loader().dataset, batch_size=5, other=1)

    assert made.seen == (5, 1)


def test_a_fit_takes_a_data_module_around_data_sets(tmp_path):
    module = regression(LEYDEN)()
    trainer = quiet(LEYDEN, tmp_path, max_epochs=1)

    trainer.fit(module, LEYDEN.LightningDataModule.from_datasets(loader().dataset, loader().dataset, batch_size=4))

    assert trainer.global_step == 3


# --- export ------------------------------------------------------------------------------------------


# TorchScript is deprecated in torch itself.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("method", ["script", "trace"])
def test_a_module_becomes_torchscript_after_a_fit_and_within_it(method, tmp_path):
    class WithHyperparameters(regression(LEYDEN)):
        def __init__(self, a=1):
            super().__init__()
            self.save_hyperparameters()

    inputs, module = torch.randn(3, 4), WithHyperparameters()

    class Export(LEYDEN.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            pl_module.to_torchscript(tmp_path / "within.pt", method, inputs)

    quiet(LEYDEN, tmp_path, max_epochs=1, callbacks=[Export()]).fit(module)
    module.train()
    compiled = module.to_torchscript(method=method, example_inputs=inputs)

    within = torch.jit.load(tmp_path / "within.pt")
    assert torch.equal(compiled(inputs), within(inputs))
    assert module.training
    assert torch.equal(compiled(inputs), module.eval()(inputs))


def test_what_cannot_be_compiled_is_refused():
    module = regression(LEYDEN)()

    with pytest.raises(ConfigurationError, match=r"method='trace'\) of Regression needs an input"):
        module.to_torchscript(method="trace")
    with pytest.raises(ConfigurationError, match=r"method='compile'.*expected 'script'"):
        module.to_torchscript(method="compile")


def test_onnx_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)  # how Python marks a module that cannot be imported

    with pytest.raises(ConfigurationError, match="pip install onnx onnxscript"):
        regression(LEYDEN)().to_onnx("model.onnx")
