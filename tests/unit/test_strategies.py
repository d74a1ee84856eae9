"""A strategy is asked for what the engine leaves to it."""

from pathlib import Path

import pytest

import leyden as L
from leyden.strategies import SingleDevice
from leyden.testing import TinyData, TinyModule


class Counting(SingleDevice):
    """Notes which files it is asked to read, and with how much trust."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def load_checkpoint(self, checkpoint_path, weights_only=None):
        self.asked.append((Path(checkpoint_path).name, weights_only))
        return super().load_checkpoint(checkpoint_path, weights_only=False)


def trainer(**options):
    return L.Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, **options)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("trust", [None, True, False])
def test_every_stage_reads_its_checkpoint_through_the_strategy(stage, trust):
    first = trainer()
    first.fit(TinyModule(), datamodule=TinyData())
    first.save_checkpoint("it.ckpt")
    counting = Counting()

    getattr(trainer(strategy=counting), stage)(
        TinyModule(), datamodule=TinyData(), ckpt_path="it.ckpt", weights_only=trust
    )

    assert counting.asked == [("it.ckpt", trust)]


def test_a_method_put_in_its_place_on_the_object_counts_too():
    first = trainer()
    first.fit(TinyModule(), datamodule=TinyData())
    first.save_checkpoint("it.ckpt")
    second, asked = trainer(), []
    original = second.strategy.load_checkpoint

    def noting(*args, **kwargs):
        asked.append(args[0])
        return original(*args, **{**kwargs, "weights_only": False})

    second.strategy.load_checkpoint = noting
    second.fit(TinyModule(), datamodule=TinyData(), ckpt_path="it.ckpt")

    assert asked == ["it.ckpt"]
