"""An exception in one's own code fits a terminal: one's own frames, the message, the run directory, what to do next."""

import re
import subprocess
import sys

import pytest

from tests.journeys.command import ENVIRONMENT

QUIET = ("trainer.fast_dev_run=true", "callbacks=none", "trainer.enable_model_summary=false")
OWN = """
import torch
import leyden
from leyden.models import MLP
from torch.utils.data import DataLoader, Dataset

class Built(MLP):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        raise RuntimeError("MINE")

class Optimizers(MLP):
    def configure_optimizers(self):
        raise RuntimeError("MINE")

class Step(MLP):
    def training_step(self, batch, index):
        raise RuntimeError("MINE")

class Tested(MLP):
    def test_step(self, batch, index):
        raise RuntimeError("MINE")

class From(MLP):
    def training_step(self, batch, index):
        try:
            return {}["MISSING"]
        except KeyError as error:
            raise RuntimeError("MINE") from error

class Library(MLP):
    def training_step(self, batch, index):
        return torch.nn.functional.linear(torch.zeros(2, 3), torch.zeros(4, 5))  # MINE

class Endless(MLP):
    def training_step(self, batch, index):
        return self.training_step(batch, index)  # MINE

class Long(MLP):
    def training_step(self, batch, index):
        raise RuntimeError("MINE\\n" + "\\n".join(f"line {at} " + "x" * 500 for at in range(300)))

class Several(MLP):
    def training_step(self, batch, index):
        raise ExceptionGroup("MINE", [ValueError(str(at)) for at in range(50)])

class Called(leyden.Callback):
    def on_train_batch_end(self, *args):
        raise RuntimeError("MINE")

class Items(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        raise RuntimeError("MINE")

def collate(batch):
    raise RuntimeError("MINE")

class Data(leyden.LightningDataModule):
    def __init__(self, workers, collated):
        super().__init__()
        self.workers, self.collated = workers, collated
    def train_dataloader(self):
        if self.collated:
            return DataLoader(torch.zeros(8, 64), num_workers=self.workers, collate_fn=collate)
        return DataLoader(Items(), num_workers=self.workers)
"""
PLACES = {
    "module constructor": (["model._target_=own.Built"], "__init__"),
    "configure_optimizers": (["model._target_=own.Optimizers"], "configure_optimizers"),
    "training_step": (["model._target_=own.Step"], "training_step"),
    "test_step": (["model._target_=own.Tested"], "test_step"),
    "raise from": (["model._target_=own.From"], "training_step"),
    "inside of torch": (["model._target_=own.Library"], "training_step"),
    "endless recursion": (["model._target_=own.Endless"], "training_step"),
    "a long message": (["model._target_=own.Long"], "training_step"),
    "a group of exceptions": (["model._target_=own.Several"], "training_step"),
    "callback": (["+callbacks.own._target_=own.Called"], "on_train_batch_end"),
    "data set": (["data=own"], "__getitem__"),
    "data set in a worker": (["data=own", "data.workers=1"], "__getitem__"),
    "collate function": (["data=own", "data.collated=true"], "collate"),
    "collate function in a worker": (["data=own", "data.collated=true", "data.workers=1"], "collate"),
}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "own.yaml").write_text("_target_: own.Data\nworkers: 0\ncollated: false\n")
    return tmp_path


def failed(folder, *words, code=1):
    """Give a command that fails, and return the rows that its error stream fills on a terminal of 80 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "leyden", *words],
        cwd=folder, check=False, capture_output=True, text=True, env=ENVIRONMENT | {"COLUMNS": "80"}, timeout=280,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line for line in done.stderr.rstrip().split("\n") if not line.startswith("Error executing job")]
    return [line[at : at + 80] for line in lines for at in range(0, max(1, len(line)), 80)]


def files(rows):
    return {match[1] for row in rows if (match := re.match(r'[ |]*File "(.+?)", line', row))}


def run_of(folder):
    (found,) = (folder / "runs" / "digits_mlp").iterdir()
    return found


@pytest.mark.parametrize("where", PLACES)
def test_ones_own_frames_the_message_and_what_to_do_fit_a_screen(project, where):
    overrides, function = PLACES[where]

    rows = failed(project, "train", *QUIET, *overrides)

    said = "\n".join(rows)
    assert len(rows) <= 23, said
    assert files(rows) == {"own.py"}
    assert f"in {function}" in said
    assert "MINE" in "".join(rows)
    if where == "module constructor":
        assert "nothing was made" in rows[-1]
        assert not (project / "runs").exists()
        return
    run = run_of(project)
    assert any(row.startswith("run directory") and run.name in row for row in rows[-4:])
    assert f"leyden run runs/digits_mlp/{run.name}" in "\n".join(rows[-2:])
    log = (run / "logs" / "rank0.log").read_text()
    assert "Traceback (most recent call last):" in log
    assert "leyden/engine" in log
    assert "MINE" in log


def test_the_cause_of_an_exception_is_told_before_it(project):
    said = "\n".join(failed(project, "train", *QUIET, "model._target_=own.From"))

    assert said.index("KeyError: 'MISSING'") < said.index("direct cause") < said.index("RuntimeError: MINE")


def test_everything_is_shown_where_it_is_asked_for(project):
    rows = failed(project, "train", "--traceback", "full", *QUIET, "model._target_=own.Step")

    assert any("leyden/engine/fit.py" in name for name in files(rows))
    assert "run directory" in "\n".join(rows[-4:])
    assert "expected full or short" in failed(project, "train", "--traceback=all", code=2)[0]


def test_evaluate_run_and_a_grid_show_it_likewise(project):
    failed(project, "train", *QUIET, "trainer.fast_dev_run=false", "trainer.max_steps=2", "model._target_=own.Tested")
    run = run_of(project)

    for command in ("run", "evaluate"):
        rows = failed(project, command, str(run))
        assert files(rows) == {"own.py"}
        assert len(rows) <= 23
    assert "goes on from its last checkpoint" in "\n".join(failed(project, "run", str(run))[-1:])

    done = subprocess.run(
        [sys.executable, "-m", "leyden", "train", "-m", *QUIET, "seed=1,2", "model._target_=own.Step"],
        cwd=project, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=280,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count("RuntimeError: MINE") == 4  # as it happens, and in the table
    asked = re.search(r"leyden (jobs why) (\S+)", done.stdout)
    why = subprocess.run(
        [sys.executable, "-m", "leyden", *asked[1].split(), asked[2]],
        cwd=project, check=True, capture_output=True, text=True, env=ENVIRONMENT, timeout=280,
    ).stdout  # fmt: skip
    assert "own.py:18" in why


def test_the_rank_that_has_failed_shows_its_own_frames(project):
    (project / "second.py").write_text(
        "import leyden\nclass Second(leyden.Callback):\n    def on_train_start(self, trainer, module):\n"
        "        if trainer.global_rank == 1:\n            raise RuntimeError('MINE')\n"
    )
    rows = failed(
        project, "train", *QUIET[1:], "trainer.max_steps=2", "trainer.devices=2", "trainer.accelerator=cpu",
        "+callbacks.second._target_=second.Second",
    )  # fmt: skip

    shown = rows[next(at for at, row in enumerate(rows) if row.startswith("rank 1 of 2 has failed")) :]
    assert len(shown) <= 23
    assert files(shown) == {"second.py"}
    assert "run directory" in shown[-1]
    assert "RuntimeError: MINE" in (run_of(project) / "logs" / "rank1.log").read_text()


@pytest.mark.parametrize("content", ["def broken(:\n", "\n1 / 0\n", "import leyden\nleyden.nothing\n"])
def test_a_module_that_cannot_be_imported_is_told_with_its_line(project, content):
    (project / "bad.py").write_text(content)

    rows = failed(project, "train", "model._target_=bad.Model", code=2)

    line = len(content.rstrip("\n").split("\n"))
    assert f"bad.py:{line}" in "".join(rows)


def test_an_error_of_leyden_names_the_line_of_ones_own_that_led_to_it(project):
    (project / "logs_text.py").write_text(
        "from leyden.models import MLP\nclass Logs(MLP):\n    def training_step(self, batch, index):\n"
        "        self.log('loss', 'a word')\n"
    )
    said = "\n".join(failed(project, "train", *QUIET, "model._target_=logs_text.Logs", code=2))

    assert "logs_text.py:4, in training_step" in said
