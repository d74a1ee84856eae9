"""LambdaCallback calls each function as the hook it is named after, and accepts no other name."""

from __future__ import annotations

import pytest

from leyden import Trainer
from leyden.callbacks import LambdaCallback
from leyden.errors import ConfigurationError
from leyden.testing import TinyData, TinyModule


def test_every_function_is_called_as_the_hook_it_is_named_after(tmp_path):
    heard = []
    callback = LambdaCallback(
        setup=lambda trainer, module, stage: heard.append(("setup", stage)),
        on_train_batch_end=lambda trainer, module, outputs, batch, batch_idx: heard.append(("batch", batch_idx)),
        on_save_checkpoint=lambda trainer, module, checkpoint: heard.append(("save", checkpoint["epoch"])),
        teardown=lambda trainer, module, stage: heard.append(("teardown", stage)),
    )
    trainer = Trainer(max_epochs=1, callbacks=[callback], logger=False, enable_progress_bar=False)

    trainer.fit(TinyModule(), TinyData())

    assert heard == [("setup", "fit"), ("batch", 0), ("batch", 1), ("save", 0), ("teardown", "fit")]


def test_an_exception_is_heard():
    heard = []
    callback = LambdaCallback(
        on_exception=lambda trainer, module, exception: heard.append(exception),
        on_train_start=lambda trainer, module: {}["missing"],
    )
    trainer = Trainer(max_epochs=1, callbacks=[callback], logger=False, enable_progress_bar=False)

    with pytest.raises(KeyError):
        trainer.fit(TinyModule(), TinyData())

    assert [type(each) for each in heard] == [KeyError]


def test_none_leaves_a_hook_out():
    callback = LambdaCallback(on_train_start=None)

    assert "on_train_start" not in vars(callback)


def test_a_misspelt_hook_is_refused_with_the_right_spelling():
    with pytest.raises(ConfigurationError, match=r"on_train_bach_end=.*not a hook.*Did you mean 'on_train_batch_end'"):
        LambdaCallback(on_train_bach_end=print)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ConfigurationError, match=r"on_train_start='print'.*given a str.*Expected a function"):
        LambdaCallback(on_train_start="print")
