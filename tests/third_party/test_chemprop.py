"""The command of chemprop trains and predicts under Leyden as under Lightning, to the last digit it writes."""

import csv
import sys
from pathlib import Path

import pytest

from leyden.lightning import names
from tests.third_party.running import LEYDEN, Folders, run, sources

pytestmark = pytest.mark.timeout(2500)  # the first test of a file waits for its programs
COMMAND = str(Path(sys.executable).with_name("chemprop"))
GROUPS = {"O": 1.0, "N": 0.5, "Cl": -1.0, "F": 0.25, "C(=O)O": 2.0, "c1ccccc1": -0.5, "C#N": 0.75, "S": 0.0}
TRAIN = (
    "train --data-path ../molecules.csv --task-type regression --output-dir out --epochs 4 --patience 3 "
    "--message-hidden-dim 32 --ffn-hidden-dim 32 --batch-size 16 --ensemble-size 2 --grad-clip 0.5 "
    "--metrics rmse mae --pytorch-seed 3 --data-seed 1 --num-workers 0 --accelerator cpu"
).split()
PREDICT = (
    "predict --test-path ../molecules.csv --model-paths out/model_0/best.pt out/model_1/best.pt "
    "--output predicted.csv --num-workers 0 --accelerator cpu"
).split()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("chemprop")
    with open(root / "molecules.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["smiles", "value"])
        rows.writerows(("C" * n + group, 0.1 * n + value) for n in range(1, 13) for group, value in GROUPS.items())
    folders = Folders(root / "lightning", root / "leyden")
    for words in (TRAIN, PREDICT):
        run(folders.lightning, COMMAND, *words)
        run(folders.leyden, *LEYDEN, "chemprop", *words)
    return folders


@pytest.mark.parametrize(
    "name", ["out/model_0/test_predictions.csv", "out/model_1/test_predictions.csv", "predicted_individual.csv"]
)
def test_predictions_are_those_of_lightning(name, folders):
    assert (folders.leyden / name).read_text() == (folders.lightning / name).read_text()


def test_the_best_checkpoint_is_that_of_the_same_epoch(folders):
    ours, theirs = (sorted(each.name for each in folder.glob("out/*/checkpoints/best*.ckpt")) for folder in folders)

    assert ours == theirs
    assert len(ours) == 2


def test_lightning_was_not_imported(folders):
    assert sources(folders.leyden) == {names.__file__}
    assert names.__file__ not in sources(folders.lightning)
