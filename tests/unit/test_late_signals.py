"""A signal that comes after the last batch of a stage stops the next stage of the trainer; Ctrl-C does not."""

import signal

import pytest

from leyden.callback import Callback
from leyden.errors import Interrupted
from leyden.testing import TinyData, TinyModule
from leyden.trainer import Trainer


class Late(Callback):
    """Sends a signal to this process when there is no batch left to train."""

    def __init__(self, signum):
        self.signum = signum

    def on_train_end(self, trainer, pl_module):
        signal.raise_signal(self.signum)


def fitted(signum, tmp_path):
    trainer = Trainer(
        max_epochs=1, limit_train_batches=1, limit_val_batches=0, limit_test_batches=2, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, accelerator="cpu",
        default_root_dir=tmp_path, callbacks=[Late(signum)],
    )  # fmt: skip
    module = TinyModule()
    trainer.fit(module, datamodule=TinyData())
    return trainer, module


def test_a_late_signal_stops_the_next_stage(tmp_path):
    trainer, module = fitted(signal.SIGTERM, tmp_path)

    with pytest.raises(Interrupted, match="SIGTERM"):
        trainer.test(module, datamodule=TinyData(), verbose=False)


def test_the_stage_that_was_stopped_has_acted_on_it(tmp_path):
    trainer, module = fitted(signal.SIGTERM, tmp_path)
    with pytest.raises(Interrupted):
        trainer.test(module, datamodule=TinyData(), verbose=False)

    assert trainer.test(module, datamodule=TinyData(), verbose=False)


def test_a_late_ctrl_c_was_meant_for_what_ran_then(tmp_path):
    trainer, module = fitted(signal.SIGINT, tmp_path)

    assert trainer.test(module, datamodule=TinyData(), verbose=False)
