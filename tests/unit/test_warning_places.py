"""A warning is about a line of the user's own, never about one of ours."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import leyden
from leyden.warnings import warn_once
from tests.journeys.command import ENVIRONMENT

MODULE = """
from leyden.models import MLP
class Own(MLP):
    def training_step(self, batch, index):
        self.log("password=abcdef0123456789xyz", 1.0)
        return super().training_step(batch, index)
    def configure_optimizers(self):
        return {"optimizer": __import__("torch").optim.SGD(self.parameters(), 0.1), "unheard_of": 1}
"""
SCRIPT = """
import leyden
from leyden.testing import TinyData, TinyModule
class Own(TinyModule):
    def configure_optimizers(self):
        return None
trainer = leyden.Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_model_summary=False)
trainer.fit(Own(), TinyData())
"""


def ran(folder, *words):
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_in_a_script_it_is_the_line_of_the_script(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)

    said = ran(tmp_path, "script.py")

    assert "script.py:8: UserWarning: configure_optimizers returned None" in said
    assert "trainer.fit(Own(), TinyData())" in said
    assert str(Path(leyden.__file__).parent) not in said


def test_on_the_command_line_it_is_a_line_of_the_module_or_none(tmp_path):
    (tmp_path / "own.py").write_text(MODULE)

    said = ran(tmp_path, "-m", "leyden", "train", "trainer.fast_dev_run=true", "model._target_=own.Own")

    assert "own.py:5: UserWarning: self.log() was given a name with what looks like a secret" in said
    assert "\nUserWarning: configure_optimizers returned unknown keys, which are ignored: unheard_of." in f"\n{said}"
    assert str(Path(leyden.__file__).parent) not in said


def test_it_can_be_silenced_by_the_module_that_it_is_about():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warn_once("a message that nobody else gives")
        warnings.filterwarnings("ignore", module=__name__.replace(".", r"\."))
        warn_once("another one")

    assert [(Path(each.filename).name, str(each.message)) for each in heard] == [
        (Path(__file__).name, "a message that nobody else gives")
    ]


def test_it_is_an_error_where_that_is_asked_for():
    with pytest.warns(UserWarning, match="and once more"):
        warn_once("and once more")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="as an error"):
            warn_once("as an error")
