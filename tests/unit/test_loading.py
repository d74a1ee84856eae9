"""A checkpoint is rebuilt into what wrote it, and one that cannot be trusted or read executes nothing and says why."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import leyden as L
from leyden.errors import CheckpointError, ConfigurationError
from leyden.loading import read
from leyden.testing import TinyData, TinyModule


class Bomb:
    """Runs a shell command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


class Net(L.LightningModule):
    def __init__(self, width=3, depth=1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, depth)


class OfOneDict(L.LightningModule):
    def __init__(self, settings, seed=0):
        super().__init__()
        self.save_hyperparameters(settings)
        self.seed = seed
        self.layer = torch.nn.Linear(settings["width"], 1)


class OfAConfig(L.LightningModule):
    def __init__(self, config):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(config.model.width, 1)


class Late(L.LightningModule):
    def configure_model(self):
        self.layer = torch.nn.Linear(2, 1)


def save(module, **entries):
    """Write the checkpoint a trainer would write of *module*, with *entries* added."""
    trainer = L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer._module = module
    vars(module)["_trainer"] = trainer
    trainer.save_checkpoint("it.ckpt")
    if entries:
        torch.save({**torch.load("it.ckpt"), **entries}, "it.ckpt")
    return "it.ckpt"


# --- files that cannot be trusted or read ---------------------------------------------------------


def bombs(marker):
    bomb = Bomb(marker)
    good = {"state_dict": {"w": torch.zeros(1)}, "epoch": 0, "global_step": 0}
    yield "at the top", bomb
    yield "among the entries", {**good, "extra": bomb}
    yield "in the hyper-parameters", {**good, "hyper_parameters": {"width": bomb}}
    yield "in a callback's state", {**good, "callbacks": {"Timer": [bomb]}}
    yield "as a weight", {**good, "state_dict": {"w": bomb}}


@pytest.mark.parametrize("place", [name for name, _ in bombs("")])
@pytest.mark.parametrize("old_format", [False, True], ids=["zip", "plain pickle"])
def test_a_bomb_is_refused_wherever_it_lies_and_does_not_go_off(place, old_format, tmp_path):
    marker, path = tmp_path / "went-off", tmp_path / "bomb.ckpt"
    torch.save(dict(bombs(marker))[place], path, _use_new_zipfile_serialization=not old_format)

    with pytest.raises(CheckpointError, match=r"bomb\.ckpt is not safe to load: .*system.*weights_only=False"):
        Net.load_from_checkpoint(path)

    assert not marker.exists()


@pytest.mark.parametrize("method", ["fit", "validate", "test", "predict"])
def test_no_stage_sets_off_a_bomb(method, tmp_path):
    marker, path = tmp_path / "went-off", tmp_path / "bomb.ckpt"
    torch.save(dict(bombs(marker))["in the hyper-parameters"], path)
    trainer = L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)

    with pytest.raises(CheckpointError, match="not safe to load"):
        getattr(trainer, method)(TinyModule(), datamodule=TinyData(), ckpt_path=str(path))

    assert not marker.exists()


def test_the_environment_cannot_switch_the_protection_off(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker, path = tmp_path / "went-off", tmp_path / "bomb.ckpt"
    torch.save(Bomb(marker), path)

    with pytest.raises(CheckpointError, match="not safe to load"):
        read(path)

    assert not marker.exists()


def test_the_marker_of_these_tests_is_made_where_a_bomb_does_go_off(tmp_path):
    marker = tmp_path / "went-off"

    pickle.loads(pickle.dumps(Bomb(marker)))

    assert marker.exists()


@pytest.mark.parametrize(
    "value",
    [Namespace(width=3), OmegaConf.create({"width": 3}), {"width": np.float64(3)}, {"width": Path("a")}],
    ids=lambda value: type(value).__name__,
)
def test_objects_among_the_hyper_parameters_need_trust(value):
    path = save(Net(), hyper_parameters=value)

    with pytest.raises(CheckpointError, match=r"it\.ckpt is not safe to load: Unsupported .*weights_only=False"):
        Net.load_from_checkpoint(path)


@pytest.mark.parametrize("value", [Namespace(width=4), OmegaConf.create({"width": 4})], ids=["namespace", "omegaconf"])
def test_objects_among_the_hyper_parameters_load_with_trust(value):
    module = Net(width=4)
    path = save(module, hyper_parameters=value)

    loaded = Net.load_from_checkpoint(path, weights_only=False)

    assert loaded.hparams.width == 4
    assert torch.equal(loaded.layer.weight, module.layer.weight)


def damaged(path):
    whole = Path(save(Net())).read_bytes()
    yield "half", whole[: len(whole) // 2]
    yield "without its end", whole[:-20]
    yield "empty", b""
    yield "text", b"this is not a checkpoint\n" * 40
    yield "html", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "noise", np.random.default_rng(0).bytes(4096)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"garbage" * 20)
        archive.writestr("archive/version", b"3\n")
    yield "zip of garbage", buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("holiday.jpg", b"\xff\xd8\xff")
    yield "zip of something else", buffer.getvalue()


@pytest.mark.parametrize("trust", [None, False], ids=["safe", "trusted"])
def test_a_file_that_is_no_whole_checkpoint_is_named_with_a_remedy(trust):
    for name, content in damaged("it.ckpt"):
        Path("bad.ckpt").write_bytes(content)

        with pytest.raises(CheckpointError) as caught:
            read("bad.ckpt", weights_only=trust)

        assert str(caught.value).startswith("bad.ckpt "), name
        assert "earlier one" in str(caught.value) or "weights_only=False" in str(caught.value), name


def test_bytes_changed_anywhere_never_end_in_another_error():
    whole = bytearray(Path(save(Net())).read_bytes())
    random = np.random.default_rng(1)
    for _ in range(200):
        changed = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            changed[place] = random.integers(0, 256)
        Path("bad.ckpt").write_bytes(changed)

        try:
            read("bad.ckpt")
        except CheckpointError as error:
            assert "bad.ckpt" in str(error)  # noqa: PT017  (some changes leave a readable file)


def test_a_missing_file_and_a_file_without_weights_say_so():
    torch.save({"weights": 1}, "other.pt")
    torch.save([1], "list.pt")

    with pytest.raises(CheckpointError, match=r"no checkpoint at gone\.ckpt"):
        read("gone.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.pt holds no weights.*weights"):
        Net.load_from_checkpoint("other.pt")
    with pytest.raises(CheckpointError, match=r"list\.pt holds a list"):
        read("list.pt")


# --- rebuilding ---------------------------------------------------------------------------------


def test_a_module_comes_back_with_its_arguments_and_weights_and_overrides_win():
    module = Net(width=4)
    path = save(module)

    loaded = Net.load_from_checkpoint(path)
    smaller = Net.load_from_checkpoint(path, strict=False, depth=1)
    with pytest.raises(CheckpointError, match="size mismatch"):
        Net.load_from_checkpoint(path, depth=2)

    assert loaded.hparams == smaller.hparams == {"width": 4, "depth": 1}
    assert torch.equal(loaded.layer.weight, module.layer.weight)


def test_an_open_file_is_as_good_as_a_path():
    path = save(Net(width=4))

    with open(path, "rb") as file:
        assert Net.load_from_checkpoint(file).hparams.width == 4


def test_weights_go_where_map_location_says():
    path = save(Net())

    assert Net.load_from_checkpoint(path, map_location=lambda storage, location: storage).device.type == "cpu"
    assert read(path, map_location="meta")["state_dict"]["layer.weight"].device.type == "meta"


def test_missing_and_surplus_weights_are_refused_unless_strict_is_off():
    path = save(Net(), state_dict={"layer.weight": torch.ones(1, 3), "other": torch.ones(1)})

    with pytest.raises(CheckpointError, match=r"(?s)Missing key.*layer\.bias.*strict=False"):
        Net.load_from_checkpoint(path)

    assert torch.equal(Net.load_from_checkpoint(path, strict=False).layer.weight, torch.ones(1, 3))


@pytest.mark.parametrize(
    ("name", "content"),
    [("hparams.yaml", "width: 5\ndepth: 2\n"), ("hparams.csv", "key,value\nwidth,5\ndepth,2\n")],
)
def test_a_file_of_hyper_parameters_stands_in_for_those_of_the_checkpoint(name, content):
    path = save(Net(width=5, depth=2), hyper_parameters={})
    Path(name).write_text(content)

    assert Net.load_from_checkpoint(path, hparams_file=name).hparams == {"width": 5, "depth": 2}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("h.txt", "width: 5", "no known kind"),
        ("h.yaml", "- 5", "holds a list"),
        ("h.yaml", "width: !!python/object/apply:os.getcwd []", "cannot be read"),
    ],
)
def test_a_file_of_hyper_parameters_that_is_none_is_refused(name, content, words):
    path = save(Net())
    Path(name).write_text(content)

    with pytest.raises(ConfigurationError, match=words):
        Net.load_from_checkpoint(path, hparams_file=name)


def test_hyper_parameters_kept_as_one_dict_come_back_as_that_argument():
    path = save(OfOneDict({"width": 4}))

    loaded = OfOneDict.load_from_checkpoint(path, seed=3)

    assert (loaded.hparams.width, loaded.seed) == (4, 3)
    assert torch.load(path)["hparams_name"] == "settings"


def test_a_config_container_is_saved_plain_and_comes_back_with_its_attributes():
    path = save(OfAConfig(OmegaConf.create({"model": {"width": 4}, "tags": ["a"]})))

    loaded = OfAConfig.load_from_checkpoint(path)

    assert torch.load(path, weights_only=True)["hyper_parameters"] == {"config": {"model": {"width": 4}, "tags": ["a"]}}
    assert loaded.hparams.config.model.width == 4


def test_layers_made_in_configure_model_are_there_before_the_weights():
    module = Late()
    module.configure_model()
    path = save(module)

    assert torch.equal(Late.load_from_checkpoint(path).layer.weight, module.layer.weight)


@pytest.mark.parametrize("owner", [Net(), L.LightningDataModule()], ids=["module", "data module"])
def test_loading_through_an_instance_is_refused(owner):
    with pytest.raises(TypeError, match=r"load_from_checkpoint was called on an instance"):
        owner.load_from_checkpoint("it.ckpt")


def test_a_run_cannot_go_on_from_an_epoch_beyond_its_end():
    trainer = L.Trainer(max_epochs=3, logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(TinyModule(), datamodule=TinyData())
    trainer.save_checkpoint("late.ckpt")
    shorter = L.Trainer(max_epochs=2, logger=False, enable_progress_bar=False, enable_checkpointing=False)

    with pytest.raises(ConfigurationError, match=r"late\.ckpt was saved in epoch 3, beyond Trainer\(max_epochs=2\)"):
        shorter.fit(TinyModule(), datamodule=TinyData(), ckpt_path="late.ckpt")
