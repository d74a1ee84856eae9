"""A secret among the hyper-parameters of a module reaches neither its checkpoints nor its loggers."""

import pytest
import torch

from leyden import Trainer
from leyden.loggers import CSVLogger
from leyden.testing import TinyData, TinyModule

KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


class Client(TinyModule):
    """A module that is given a key."""

    def __init__(self, api_key, width=3, nested=None):
        super().__init__()
        self.save_hyperparameters()


@pytest.fixture
def trained(tmp_path):
    """Folder and module of a short run, with the warnings it gave."""
    module = Client(KEY, nested={"token": KEY, "pad_token": "[PAD]"})
    trainer = Trainer(
        max_epochs=1, logger=CSVLogger(tmp_path, name="", version=""), default_root_dir=tmp_path,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    with pytest.warns(UserWarning, match="looks like a secret") as given:
        trainer.fit(module, datamodule=TinyData())
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    return tmp_path, module, [str(one.message) for one in given]


def test_no_file_holds_it(trained):
    folder, _, _ = trained

    assert [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


def test_everything_else_is_kept(trained):
    folder, module, _ = trained

    kept = torch.load(folder / "it.ckpt", weights_only=True)["hyper_parameters"]

    assert kept == {"width": 3, "nested": {"pad_token": "[PAD]"}}
    assert module.hparams.api_key == KEY
    assert "width: 3" in (folder / "hparams.yaml").read_text()


def test_the_warning_says_what_to_do(trained):
    _, _, said = trained

    (one,) = [message for message in said if "hparams.api_key" in message]
    assert "loggers and checkpoints do not get it" in one
    assert "load_from_checkpoint(path, api_key=...)" in one
    assert KEY not in one


def test_the_module_is_rebuilt_with_the_key_given_again(trained):
    folder, _, _ = trained

    module = Client.load_from_checkpoint(folder / "it.ckpt", api_key="another")

    assert (module.hparams.api_key, module.hparams.width) == ("another", 3)


def test_a_logger_called_by_hand_covers_it(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")

    logger.log_hyperparams({"client": {"password": "correct horse"}, "lr": 0.1})

    assert (tmp_path / "hparams.yaml").read_text() == "client:\n  password: <secret>\nlr: 0.1\n"
