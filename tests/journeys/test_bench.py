"""The benchmark measures what it is asked to, and its contenders train the same thing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.bench.report import table

ROOT = Path(__file__).resolve().parents[2]


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """Run the benchmark as ``make bench`` does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "experiments.bench", "--out", str(folder), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=280)


@pytest.fixture(scope="module")
def smallest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    words = ["--contenders", "leyden everything", "lightning everything", "--tasks", "mlp", "--parts", "steps"]
    done = bench(folder, *words, "--rounds", "1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, json.loads((folder / "result.json").read_text())


def test_the_result_holds_every_figure_of_every_contender(smallest):
    _, result = smallest

    measured = result["steps"]["mlp"]

    assert set(measured) == {"raw", "leyden everything", "lightning everything"}
    for figures in measured.values():
        low, middle, high = figures["ratio"]
        assert 0 < low <= middle <= high
        assert figures["ms"] > 0
        assert figures["peak_mib"] > 50
    assert result["about"]["versions"]["torch"]


def test_all_contenders_end_with_the_weights_and_the_loss_of_the_hand_written_loop(smallest):
    _, result = smallest

    others = [figures for name, figures in result["steps"]["mlp"].items() if name != "raw"]

    assert [figures["equal"] for figures in others] == [True, True]
    assert {figures["weights_apart"] for figures in others} == {0.0}
    assert all(figures["compared_after"] > 0 for figures in others)


def test_what_is_printed_is_the_table_of_the_result(smallest):
    printed, result = smallest

    text = table(result)

    assert "leyden everything" in text
    assert text in printed


def test_a_contender_nobody_knows_is_refused_with_the_names_there_are(tmp_path):
    done = bench(tmp_path, "--contenders", "leydn bare")

    assert done.returncode == 1
    assert "nobody is called leydn bare" in done.stderr
    assert "leyden bare" in done.stderr
    assert list(tmp_path.iterdir()) == []
