"""A metric that a run waits for and nobody logs is told at the end of the first epoch, wherever it would come from."""

from __future__ import annotations

import pytest
import torch

from leyden import Trainer
from leyden.awaited_metrics import AwaitedMetrics
from leyden.errors import ConfigurationError
from leyden.testing import TinyData, TinyModule


class Logging(TinyModule):
    """Logs one name in each hook that may log."""

    def training_step(self, batch, batch_idx):
        self.log("in_step", 1.0)
        self.log("by_epoch", 1.0, on_epoch=True, on_step=False)
        return super().training_step(batch, batch_idx)

    def on_train_epoch_end(self):
        self.log("at_end", 1.0)

    def on_validation_epoch_end(self):
        self.log("validated", 1.0)

    def test_step(self, batch, batch_idx):
        self.log("tested", torch.rand(()))


def fit(name, tested=True, **options):
    module = Logging()
    callbacks = [AwaitedMetrics({name: "optimized_metric"}, tested)]
    off = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    trainer = Trainer(**{"max_epochs": 2, "accelerator": "cpu", "callbacks": callbacks, **off, **options})
    trainer.fit(module, datamodule=TinyData())
    return trainer, module


@pytest.mark.parametrize("name", ["in_step", "by_epoch", "at_end", "validated", "tested"])
def test_a_name_that_any_hook_logs_is_taken(name):
    assert fit(name)[0].current_epoch == 2


def test_one_that_nobody_logs_ends_the_fit_in_its_first_epoch():
    with pytest.raises(ConfigurationError, match=r"optimized_metric='nope' was not logged. Logged: .*tested"):
        fit("nope")


def test_so_does_one_of_a_test_that_does_not_follow():
    with pytest.raises(ConfigurationError, match="optimized_metric='tested'"):
        fit("tested", tested=False)


def test_it_waits_for_the_first_validation():
    with pytest.raises(ConfigurationError, match="validated") as caught:
        fit("nope", check_val_every_n_epoch=2)
    assert "validated" in str(caught.value)
    assert fit("validated", check_val_every_n_epoch=2)[0].current_epoch == 2


def test_trying_the_test_changes_nothing_of_the_fit():
    torch.manual_seed(1)
    _, tried = fit("tested")
    torch.manual_seed(1)
    _, plain = fit("in_step")

    assert all(torch.equal(one, other) for one, other in zip(tried.parameters(), plain.parameters(), strict=True))
    assert tried.trainer is not None


def test_a_resumed_fit_is_left_alone(tmp_path):
    trainer, _ = fit("in_step")
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    module = Logging()
    off = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    again = Trainer(max_epochs=3, accelerator="cpu", callbacks=[AwaitedMetrics({"nope": "x"}, False)], **off)

    again.fit(module, datamodule=TinyData(), ckpt_path=tmp_path / "a.ckpt")

    assert again.current_epoch == 3
