"""Steps can be compiled, with `self.log` in them, in one graph: same weights, same rows, same hooks."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import leyden as L
from leyden.errors import ConfigurationError
from leyden.testing import RecordingLogger

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, as it compiles
WHOLE = {"backend": "aot_eager", "fullgraph": True}  # an error if the graph breaks anywhere in the step


class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        self.python_steps = 0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = (self.net(x) - y).square().mean()
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True)
        self.log_dict({"double": loss * 2, "number": 1.5})
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", (self.net(x) - y).abs().mean())

    def predict_step(self, batch, batch_idx):
        return self.net(batch[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def loader():
    torch.manual_seed(2)
    return DataLoader(TensorDataset(torch.randn(12, 3), torch.randn(12, 1)), 4)


def train(wrap=lambda module: module, **options):
    torch._dynamo.reset()
    module, logger = Net(), RecordingLogger()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(wrap(module), loader(), loader())
    return module, trainer, logger


@pytest.mark.parametrize("way", ["the trainer's option", "a compiled module"])
def test_weights_and_rows_are_those_of_the_plain_steps(way):
    plain, expected, rows = train()

    if way == "a compiled module":
        module, trainer, found = train(lambda module: torch.compile(module, **WHOLE))
    else:
        module, trainer, found = train(compile_steps=WHOLE)

    for one, other in zip(plain.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    assert [(step, row.keys()) for step, row in found.rows] == [(step, row.keys()) for step, row in rows.rows]
    assert set(trainer.callback_metrics) == set(expected.callback_metrics)
    for name, value in expected.callback_metrics.items():
        torch.testing.assert_close(trainer.callback_metrics[name], value, rtol=1e-5, atol=1e-6)


def test_the_step_really_is_compiled_once_for_each_kind():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()

    train(compile_steps=WHOLE)

    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # training and validation
    assert not torch._dynamo.utils.counters["graph_break"]


def test_the_trainer_belongs_to_the_module_inside():
    module, trainer, _ = train(lambda module: torch.compile(module, backend="aot_eager"))

    assert trainer.lightning_module is module
    assert all("_orig_mod" not in name for name in trainer.lightning_module.state_dict())


def test_predictions_of_a_compiled_module_are_those_of_the_module():
    module = Net()
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, compile_steps=WHOLE)

    torch._dynamo.reset()
    found = trainer.predict(module, loader())

    torch.testing.assert_close(torch.cat(found), module.net(loader().dataset.tensors[0]).detach())


def test_after_the_fit_the_module_logs_as_before():
    module, _, _ = train(compile_steps=WHOLE)

    assert "log" not in vars(module)


@pytest.mark.parametrize("value", ["yes", 3, {1: 2}])
def test_what_is_no_option_of_the_compiler_is_refused(value):
    with pytest.raises(
        ConfigurationError, match=r"Trainer\(compile_steps=.*expected True, False, or a dict of arguments"
    ):
        L.Trainer(compile_steps=value)
