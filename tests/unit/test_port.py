"""`leyden lightning --port` changes the import lines of a program and nothing else, or says what it cannot change."""

from __future__ import annotations

import pytest

from leyden.errors import ConfigurationError
from leyden.lightning.launch import main
from leyden.lightning.port import ported

CHANGES = [
    ("import lightning as L\nL.Trainer()\n", "import leyden as L\nL.Trainer()\n"),
    ("import lightning.pytorch as pl\npl.callbacks.Timer()\n", "import leyden as pl\npl.callbacks.Timer()\n"),
    ("import os, pytorch_lightning as pl\n", "import os\nimport leyden as pl\n"),
    ("from lightning import pytorch as pl\n", "import leyden as pl\n"),
    ("from lightning.pytorch import callbacks\n", "import leyden.callbacks as callbacks\n"),
    (
        "from lightning.pytorch import Trainer, LightningModule as M\n",
        "from leyden import Trainer, LightningModule as M\n",
    ),
    (
        "from lightning.pytorch.callbacks.early_stopping import EarlyStopping\n",
        "from leyden.callbacks import EarlyStopping\n",
    ),
    (
        "from pytorch_lightning.utilities import (\n    rank_zero_only,  # one\n    CombinedLoader,\n)\nx = 1\n",
        (
            "from leyden.lightning.rank_zero import rank_zero_only\n"
            "from leyden.combined_loader import CombinedLoader\nx = 1\n"
        ),
    ),
    (
        "from lightning.pytorch.utilities.exceptions import MisconfigurationException\n",
        "from leyden import ConfigurationError as MisconfigurationException\n",
    ),
    ("def f():\n    from lightning import Trainer\n", "def f():\n    from leyden import Trainer\n"),
    ("import torch  # lightning\nlightning = 1", "import torch  # lightning\nlightning = 1"),
    ("from .lightning import x\nimport lightning_bolts\n", "from .lightning import x\nimport lightning_bolts\n"),
]
PROBLEMS = [
    ("import lightning\n", "line 1: import lightning: write import lightning as L, and use L"),
    ("import lightning as L\n\nL.Fabric()\n", "line 3: L.Fabric: import it by name"),
    ("from lightning.fabric import Fabric\n", "line 1: lightning.fabric.Fabric: Leyden lacks it. Put the loop's body"),
    ("from lightning.pytorch import Trianer\n", "line 1: lightning.pytorch.Trianer: Lightning has no public name"),
    ("from lightning.pytorch import *\n", "line 1: lightning.pytorch.*: Lightning has no public name like that"),
    ("from lightning.pytorch import cli\ncli.LightningCLI()\n", "line 2: cli.LightningCLI: import it by name"),
]


@pytest.mark.parametrize(("source", "expected"), CHANGES)
def test_import_lines_are_changed_and_nothing_else(source, expected):
    assert ported(source) == expected


@pytest.mark.parametrize(("source", "problem"), PROBLEMS)
def test_what_has_to_be_changed_by_hand_is_said(source, problem):
    with pytest.raises(ConfigurationError) as caught:
        ported(source)

    assert problem in str(caught.value)


def test_all_problems_are_said_at_once():
    with pytest.raises(ConfigurationError, match="2 to be changed by hand first"):
        ported("import lightning\nimport lightning.pytorch\n")


def test_the_command_prints_the_program_or_what_is_wrong(tmp_path, capsys):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("import lightning as L\n", "utf-8")
    bad.write_text("import lightning\n", "utf-8")

    codes = [main(["--port", str(path)]) for path in (good, bad, tmp_path / "none.py")]

    printed = capsys.readouterr()
    assert codes == [0, 2, 2]
    assert printed.out == "import leyden as L\n"
    assert "write import lightning as L" in printed.err
    assert "No such file" in printed.err
