"""The trainer's switches leave out what the default config has; what was added by name is refused with what to type."""

from functools import partial

import pytest

import leyden
from leyden.callbacks import ModelCheckpoint, ModelSummary, TQDMProgressBar, default_progress_bar
from leyden.errors import ConfigurationError
from leyden.experiment import Experiment
from leyden.selection import switches
from leyden.testing import TinyData, TinyModule

DEFAULT = {
    "model_checkpoint": ModelCheckpoint, "model_summary": ModelSummary, "progress_bar": default_progress_bar
}  # fmt: skip


def experiment(callbacks, **options):
    trainer = partial(leyden.Trainer, max_steps=2, default_root_dir=".", **options)
    return Experiment(TinyModule(), TinyData(), trainer, callbacks=callbacks, logger={})


@pytest.mark.parametrize("off", [[each.option] for each in switches()] + [[each.option for each in switches()]])
def test_a_switch_leaves_out_the_default_callback(off):
    made = experiment({name: make() for name, make in DEFAULT.items()}, **dict.fromkeys(off, False))

    for switch in switches():
        there = [each for each in made.trainer.callbacks if isinstance(each, switch.kind)]
        assert len(there) == (switch.option not in off)
    made.run()
    assert made.trainer.global_step == 2


def test_a_switch_that_is_on_or_not_given_leaves_everything():
    for value in (True, None):
        made = experiment({name: make() for name, make in DEFAULT.items()}, enable_progress_bar=value)
        assert len(made.trainer.callbacks) == 3


@pytest.mark.parametrize(
    ("option", "callback"),
    [
        ("enable_progress_bar", TQDMProgressBar),
        ("enable_model_summary", ModelSummary),
        ("enable_checkpointing", ModelCheckpoint),
    ],
)
def test_a_callback_that_was_added_is_refused_with_what_to_type(option, callback):
    with pytest.raises(ConfigurationError, match=rf"trainer\.{option}=false.*~callbacks\.mine"):
        experiment({**{name: make() for name, make in DEFAULT.items()}, "mine": callback()}, **{option: False})
