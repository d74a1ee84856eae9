"""Objects among the hyper-parameters are in a checkpoint for those who trust it, and harmless to those who do not."""

import os

import pytest
import torch

import leyden as L
from leyden.errors import CheckpointError
from leyden.loading import read
from leyden.plain import Sealed
from leyden.testing import TinyData, TinyModule

pytestmark = pytest.mark.filterwarnings("ignore:.*which is no plain type")


class Scale:
    """What a constructor might take that is no plain value."""

    def __init__(self, factor):
        self.factor = factor


class Bomb(Scale):
    """Runs a shell command when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {self.factor}",)

    def __deepcopy__(self, memo):
        return self  # or it would go off when the module keeps its arguments


class Net(TinyModule):
    def __init__(self, scale=None, options=None):
        super().__init__()
        self.save_hyperparameters()
        self.scale, self.options = scale, options


class Looking(Net):
    """Reads its hyper-parameters in the hook of a save, and changes one."""

    def on_save_checkpoint(self, checkpoint):
        self.seen = checkpoint["hyper_parameters"]["scale"]
        checkpoint["hyper_parameters"]["options"] = Scale(5)


def save(module):
    """Train *module* for a step and write its checkpoint."""
    trainer = L.Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(module, datamodule=TinyData())
    trainer.save_checkpoint("it.ckpt")
    return "it.ckpt"


def test_who_trusts_a_file_gets_the_objects_back():
    path = save(Net(Scale(3), {"kind": Scale, "losses": [torch.nn.MSELoss(), 2], 7: "seven"}))

    loaded = Net.load_from_checkpoint(path, weights_only=False)

    assert loaded.scale.factor == 3
    assert loaded.options["kind"] is Scale
    assert isinstance(loaded.options["losses"][0], torch.nn.MSELoss)
    assert (loaded.options["losses"][1], loaded.options[7]) == (2, "seven")


def test_who_does_not_trust_it_gets_the_rest():
    path = save(Net(Scale(3), {"kind": Scale, "losses": [torch.nn.MSELoss(), 2], 7: "seven"}))

    loaded = Net.load_from_checkpoint(path)

    assert loaded.scale is None
    assert loaded.options == {"losses": [2], 7: "seven"}


def test_programs_that_read_the_file_themselves_find_the_objects_in_their_place():
    path = save(Net(Scale(3)))

    assert torch.load(path, weights_only=False)["hyper_parameters"]["scale"].factor == 3
    assert repr(torch.load(path, weights_only=True)["hyper_parameters"]["scale"]).startswith("<not read")


def test_every_stage_goes_on_from_such_a_file_without_trust():
    path = save(Net(Scale(3)))
    trainer = L.Trainer(max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False)

    trainer.fit(Net(), datamodule=TinyData(), ckpt_path=path)
    trainer.test(Net(), datamodule=TinyData(), ckpt_path=path, verbose=False)

    assert trainer.global_step == 2


def test_a_bomb_does_not_go_off_without_trust(tmp_path):
    marker = tmp_path / "went-off"
    path = save(Net(Bomb(marker)))

    Net.load_from_checkpoint(path)
    read(path)

    assert not marker.exists()


def test_this_bomb_goes_off_with_trust(tmp_path):
    marker = tmp_path / "went-off"
    path = save(Net(Bomb(marker)))
    assert not marker.exists()

    read(path, weights_only=False)

    assert marker.exists()


def test_a_bomb_beside_a_sealed_object_is_still_refused(tmp_path):
    marker = tmp_path / "went-off"
    torch.save({"state_dict": {}, "hyper_parameters": {"a": Sealed(Scale(1)), "b": Bomb(marker)}}, "it.ckpt")

    with pytest.raises(CheckpointError, match="not safe to load"):
        read("it.ckpt")

    assert not marker.exists()


def test_hooks_of_a_save_see_the_objects_themselves_and_may_replace_them():
    module = Looking(Scale(3))

    path = save(module)

    assert module.seen.factor == 3
    assert Looking.load_from_checkpoint(path, weights_only=False).options.factor == 5


@pytest.mark.filterwarnings("default:.*cannot be pickled")
def test_what_cannot_be_pickled_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match=r"Net\.hparams\.options is a function, which cannot be pickled"):
        path = save(Net(Scale(3), lambda: 0))

    assert set(torch.load(path, weights_only=False)["hyper_parameters"]) == {"scale"}


@pytest.mark.filterwarnings("default:.*which is no plain type")
def test_the_warning_names_the_object_and_both_remedies():
    with pytest.warns(UserWarning, match=r"Net\.hparams\.scale is a Scale.*weights_only=False.*ignore=\["):
        save(Net(Scale(3)))
