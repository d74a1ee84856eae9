"""Programs written for Lightning run on Leyden unchanged, with the same numbers, and their children do, too."""

import json
import os
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

import pytest

from leyden.lightning import names
from leyden.lightning.aliases import DOORWAY
from tests.journeys.command import ENVIRONMENT, leyden

SCRIPTS = Path(__file__).parent / "lightning_scripts"
ALONE = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
roots = {"lightning", "pytorch_lightning", "lightning_fabric"}
assert not roots & set(sys.modules), "the ported script has imported Lightning"
"""


def python(folder: Path, *words: str, **environment: str) -> str:
    """Run Python with *words* in *folder* and return what it printed."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **environment},
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def result(folder: Path) -> dict:
    """Return what a script has written down."""
    return json.loads((folder / "result.json").read_text("utf-8"))


def write(folder: Path, text: str, name: str = "script.py") -> str:
    """Write a script into *folder*."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")
    return name


@pytest.mark.parametrize("script", ["classifier.py", "gan.py", "finetuning.py"])
def test_a_tutorials_script_gives_the_same_numbers_on_lightning_through_leyden_and_ported(script, tmp_path):
    for folder in ("lightning", "through", "ported"):
        (tmp_path / folder).mkdir()

    python(tmp_path / "lightning", "-W", "ignore", str(SCRIPTS / script))
    leyden(tmp_path / "through", "lightning", str(SCRIPTS / script))
    write(tmp_path / "ported", leyden(tmp_path, "lightning", "--port", str(SCRIPTS / script)))
    python(tmp_path / "ported", "-c", ALONE, "script.py")

    assert result(tmp_path / "through") == result(tmp_path / "lightning")
    assert result(tmp_path / "ported") == result(tmp_path / "lightning")


@pytest.mark.parametrize("script", ["classifier.py", "gan.py", "finetuning.py"])
def test_the_page_shows_what_porting_the_script_changes(script, tmp_path):
    page = (Path(names.__file__).parent / "README.md").read_text("utf-8")
    before = (SCRIPTS / script).read_text("utf-8").splitlines()
    after = leyden(tmp_path, "lightning", "--port", str(SCRIPTS / script)).splitlines()

    changed = [line for line in unified_diff(before, after, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")]

    assert "```diff\n" + "\n".join(changed) + "\n```" in page


def test_a_script_gets_its_own_arguments(tmp_path):
    leyden(tmp_path, "lightning", str(SCRIPTS / "classifier.py"), "--epochs", "1")

    assert result(tmp_path)["steps"] == 7  # 210 samples in batches of 32


def test_options_in_the_environment_are_obeyed_and_yield_to_those_that_are_passed(tmp_path):
    script = write(
        tmp_path,
        """\
import lightning as L

options = {"logger": False, "enable_progress_bar": False}
print(L.Trainer(**options).max_epochs, L.Trainer(**options).precision, L.Trainer(max_epochs=5).max_epochs)
""",
    )
    given = {"PL_TRAINER_MAX_EPOCHS": "3", "PL_TRAINER_PRECISION": "bf16-mixed", "PL_TRAINER_MAX_STEPS": ""}

    through = python(tmp_path, "-m", "leyden.lightning", script, **given)
    theirs = python(tmp_path, "-W", "ignore", script, **given)

    assert through == theirs == "3 bf16-mixed 5\n"


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_loader_workers_see_the_aliases_however_they_are_started(start, tmp_path):
    leyden(tmp_path, "lightning", str(SCRIPTS / "workers.py"), start)

    assert result(tmp_path) == {"seen": 1.0}


def test_lightning_itself_is_never_imported_although_it_is_installed(tmp_path):
    script = write(
        tmp_path,
        """\
import sys
import lightning as L
import lightning.pytorch as pl
import pytorch_lightning, lightning_fabric, lightning.fabric
import lightning.pytorch.loops.fit_loop, pytorch_lightning.callbacks.progress.tqdm_progress
import lightning.fabric.utilities.seed, lightning_fabric.plugins.io.torch_io

L.Trainer(max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False).fit(
    pl.demos.boring_classes.BoringModel()
)
roots = ("lightning", "pytorch_lightning", "lightning_fabric")
for name, module in sorted(sys.modules.items()):
    if name.partition(".")[0] in roots:
        print(name, module.__spec__.origin, module.__file__)
""",
    )

    printed = leyden(tmp_path, "lightning", script)

    lines = [line.split() for line in printed.splitlines() if line.startswith(("lightning", "pytorch_lightning"))]
    assert {name for name, *_ in lines} >= {"lightning", "pytorch_lightning", "lightning_fabric", "lightning.pytorch"}
    assert {place for _, *places in lines for place in places} == {names.__file__}


def test_whoever_asks_for_the_version_is_told_the_one_the_table_was_written_for(tmp_path):
    script = write(
        tmp_path,
        """\
import subprocess, sys
from importlib.metadata import distribution, version

import lightning, lightning.pytorch, lightning.fabric, pytorch_lightning, lightning_fabric

modules = (lightning, lightning.pytorch, lightning.fabric, pytorch_lightning, lightning_fabric)
print("modules", *{module.__version__ for module in modules})
print("metadata", *{version(name) for name in ("lightning", "pytorch-lightning", "pytorch_lightning")})
print("found", distribution("lightning").locate_file(""))
child = "import importlib.metadata as m, lightning as L; print('child', m.version('lightning'), L.__file__)"
subprocess.run([sys.executable, "-c", child], check=True)
""",
    )

    printed = leyden(tmp_path, "lightning", script)

    assert sorted(printed.splitlines()) == [
        f"child {names.VERSION} {names.__file__}",
        f"found {DOORWAY}",
        f"metadata {names.VERSION}",
        f"modules {names.VERSION}",
    ]


def test_a_name_that_leyden_lacks_can_be_imported_and_fails_when_it_is_called(tmp_path):
    script = write(
        tmp_path,
        """\
import pytorch_lightning as pl
from pytorch_lightning.strategies import SingleDeviceStrategy, XLAStrategy

print(isinstance(pl.Trainer(logger=False).strategy, XLAStrategy))
XLAStrategy(debug=True)
""",
    )

    printed = leyden(tmp_path, "lightning", script, code=1)

    assert "False\n" in printed
    assert "pytorch_lightning.strategies.XLAStrategy was called, and Leyden has no counterpart of it." in printed


def test_a_name_that_nobody_knows_fails_alone_and_names_the_table(tmp_path):
    script = write(
        tmp_path,
        """\
from lightning.pytorch.callbacks import EarlyStopping
try:
    from lightning.pytorch.callbacks import EarlyStoping
except ImportError as error:
    print(error)
import lightning.pytorch as pl
print(hasattr(pl, "LightningLoggerBase"))
pl.callbacks.EarlyStoping
""",
    )

    printed = leyden(tmp_path, "lightning", script, code=1)

    assert f"cannot import name 'EarlyStoping' from 'lightning.pytorch.callbacks' ({names.__file__})" in printed
    assert "False\n" in printed
    assert "AttributeError: module 'lightning.pytorch.callbacks' has no attribute 'EarlyStoping'" in printed


def test_a_module_is_run_as_python_does_it(tmp_path):
    write(tmp_path, "", "package/__init__.py")
    write(
        tmp_path,
        "import sys, lightning as L; from package import __name__ as n; print(n, __name__, L.Trainer, sys.argv[1:])",
        "package/train.py",
    )

    by_command = leyden(tmp_path, "lightning", "-m", "package.train", "--x", "1")
    by_module = python(tmp_path, "-m", "leyden.lightning", "-m", "package.train", "--x", "1")

    assert by_command == by_module == "package __main__ <class 'leyden.trainer.Trainer'> ['--x', '1']\n"


def test_the_command_of_an_installed_package_is_run_by_its_name(tmp_path):
    write(tmp_path, "def main():\n    import pytorch_lightning as pl\n    print(pl.Trainer)\n    return 3\n", "tool.py")
    write(tmp_path, "Metadata-Version: 2.1\nName: tool\nVersion: 1\n", "tool-1.dist-info/METADATA")
    write(tmp_path, "[console_scripts]\ntrain-it = tool:main\n", "tool-1.dist-info/entry_points.txt")
    installed = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    done = subprocess.run(
        [sys.executable, "-m", "leyden", "lightning", "train-it"],
        env={**ENVIRONMENT, "PYTHONPATH": installed},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (3, "<class 'leyden.trainer.Trainer'>\n"), done.stderr


def test_what_cannot_be_run_is_said_to_be_neither_a_file_nor_a_command(tmp_path):
    printed = leyden(tmp_path, "lightning", "trian.py", code=2)

    assert "there is neither a file 'trian.py'" in printed
    assert "nor an installed command of that name" in printed


def test_pickles_name_leydens_classes_and_those_that_name_lightnings_are_read(tmp_path):
    script = write(
        tmp_path,
        """\
import pickle
from lightning.pytorch.utilities.parsing import AttributeDict

print(AttributeDict.__module__)
print(pickle.loads(pickle.dumps(AttributeDict(lr=1))))
print(pickle.loads(open("theirs.pkl", "rb").read()).lr)
""",
    )
    dump = (
        "import pickle; from lightning.pytorch.utilities.parsing import AttributeDict as A; "
        "open('theirs.pkl', 'wb').write(pickle.dumps(A(lr=2)))"
    )
    python(tmp_path, "-W", "ignore", "-c", dump)

    printed = leyden(tmp_path, "lightning", script)

    assert printed.splitlines() == ["leyden.hyperparameters", '"lr": 1', "2"]


def test_installing_after_lightning_is_refused(tmp_path):
    program = """\
import lightning_fabric, leyden.lightning
try:
    leyden.lightning.install()
except ValueError as error:
    print(error)
"""

    printed = python(tmp_path, "-W", "ignore", "-c", program)

    assert "'lightning_fabric' has already been imported from" in printed
    assert "start the program with `leyden lightning`" in printed
