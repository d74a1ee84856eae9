"""After an evaluation, however it ended, every part of the module is in the mode it was in before."""

from __future__ import annotations

import pytest
import torch

from leyden import Trainer
from leyden.testing import TinyData, TinyModule


class Mixed(TinyModule):
    """One part is kept in evaluation mode, as a frozen backbone is; *broken* steps raise."""

    def __init__(self, broken=""):
        super().__init__()
        self.frozen = torch.nn.Dropout().eval()
        self.broken = broken
        self.seen = []

    def validation_step(self, batch, batch_idx):
        self._look("validation")

    def test_step(self, batch, batch_idx):
        self._look("test")

    def predict_step(self, batch, batch_idx):
        self._look("predict")

    def _look(self, stage):
        self.seen.append([child.training for child in self.modules()])
        if stage == self.broken:
            raise ArithmeticError("on purpose")

    def modes(self):
        return {name: child.training for name, child in self.named_modules()}


def quiet_trainer():
    return Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_modes_are_restored(stage):
    module = Mixed()
    before = module.modes()

    getattr(quiet_trainer(), stage)(module, datamodule=TinyData())

    assert module.modes() == before
    assert all(not any(modes) for modes in module.seen)


@pytest.mark.parametrize(
    ("stage", "broken"), [("fit", "validation"), ("validate", "validation"), ("test", "test"), ("predict", "predict")]
)
def test_modes_are_restored_after_an_exception(stage, broken):
    module = Mixed(broken)
    before = module.modes()

    with pytest.raises(ArithmeticError, match="on purpose"):
        getattr(quiet_trainer(), stage)(module, datamodule=TinyData())

    assert module.modes() == before


def test_a_module_that_sets_its_modes_itself_has_the_last_word():
    class Own(Mixed):
        def on_validation_model_train(self):
            self.frozen.train()

    module = Own()

    quiet_trainer().validate(module, datamodule=TinyData(), verbose=False)

    assert module.modes() == {"": False, "layer": False, "frozen": True}


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_gradients_are_on_again_after_an_exception(stage):
    module = Mixed({"fit": "validation", "validate": "validation"}.get(stage, stage))

    with pytest.raises(ArithmeticError, match="on purpose"):
        getattr(quiet_trainer(), stage)(module, datamodule=TinyData())

    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
