"""A grid is looked at as a person would: its table, the list of its runs, a report, all on any terminal."""

import json
import os
import re
import statistics
import subprocess
import sys

import pytest

from tests.journeys.command import ENVIRONMENT, leyden
from tests.journeys.test_runs import on_a_terminal

pytestmark = pytest.mark.usefixtures("a_cache_of_its_own")
SIGNS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Folder, the grid's own folder, and what was printed."""
    folder = tmp_path_factory.mktemp("grid")
    words = ["train", "-m", "seed=1,2", "optimizer=adamw,sgd", "trainer.max_epochs=1", "callbacks.model_summary=null"]
    said = leyden(folder, *words)
    (place,) = (folder / "runs" / "multirun").iterdir()
    return folder, place, said


def losses(place):
    found = {}
    for run in place.glob("[0-9]*"):
        typed = (run / "overrides.yaml").read_text()
        found[run.name] = ("sgd" in typed, json.loads((run / "result.json").read_text())["metrics"]["val_loss"])
    return found


def conclusions_hold(said, place):
    found = losses(place)
    assert len(found) == 4
    for is_sgd, name in ((False, "adamw"), (True, "sgd")):
        values = [value for sgd, value in found.values() if sgd is is_sgd]
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        assert f"optimizer={name}   val_loss {mean:.4g} ± {deviation:.4g} over 2 seeds" in said
    smallest = min(found, key=lambda name: found[name][1])
    (line,) = (line for line in said.splitlines() if line.startswith("best "))
    assert f"val_loss {found[smallest][1]:.4g}" in line
    assert line.endswith((f"/{smallest}", f"   {smallest}"))


def test_the_table_at_the_end_says_what_was_swept_and_concludes(grid):
    _, place, said = grid

    conclusions_hold(said, place)
    table = [line for line in said.splitlines() if line.startswith("finished\t")]
    assert sorted(line.split("\t")[-1] for line in table) == sorted(
        f"seed={seed} optimizer={name}" for seed in (1, 2) for name in ("adamw", "sgd")
    )


@pytest.mark.parametrize("word", ["runs/multirun/{}", "runs/multirun/*", "runs/multirun", "multirun"])
def test_the_runs_of_a_grid_are_listed_by_its_folder(grid, word):
    folder, place, _ = grid

    said = leyden(folder, "runs", "ls", word.format(place.name))

    conclusions_hold(said, place)
    assert "--" not in leyden(folder, "runs", "ls", word.format(place.name), "optimizer=sgd")
    listed = json.loads(leyden(folder, "runs", "ls", word.format(place.name), "optimizer=sgd", "--json"))
    assert {run["metrics"]["val_loss"] for run in listed} == {value for sgd, value in losses(place).values() if sgd}


def test_everything_below_a_grid_can_be_given_and_its_queue_is_passed_over(grid):
    folder, place, _ = grid
    everything = [str(path) for path in sorted(place.iterdir())]
    assert any(path.endswith("/queue") for path in everything)

    assert leyden(folder, "report", *everything, "--out", "all.html") == "report  all.html\n"
    assert leyden(folder, "report", str(place), "--out", "folder.html") == "report  folder.html\n"
    assert leyden(folder, "report", "runs/multirun/*", "--out", "pattern.html") == "report  pattern.html\n"
    pages = [(folder / name).read_text() for name in ("all.html", "folder.html", "pattern.html")]
    assert all("4 runs of" in page for page in pages)
    assert len(leyden(folder, "runs", "ls", *everything).split("\n\n")[0].splitlines()) == 5
    assert len(json.loads(leyden(folder, "jobs", *everything, "--json"))) == 4


def test_last_is_the_last_run(grid):
    folder, place, _ = grid

    (last,) = json.loads(leyden(folder, "runs", "ls", "last", "--json"))
    leyden(folder, "report", "last", "--out", "last.html")

    assert last["path"] == json.loads(leyden(folder, "runs", "ls", "LAST", "--json"))[0]["path"]
    assert last["run"] == f"multirun/{place.name}/3"
    assert f"{place.name}/3" in (folder / "last.html").read_text()


def test_a_place_without_runs_is_told(grid):
    folder, place, _ = grid

    assert "there are no runs in" in leyden(folder, "report", str(place / "queue"), code=2)
    for command in ("report", "runs ls"):
        said = leyden(folder, *command.split(), "nowhere", code=2)
        assert "'nowhere'" in said


@pytest.mark.parametrize("words", [["runs", "ls", "multirun"], ["runs", "ls"], ["jobs"], ["queue", "runs/multirun/{}"]])
def test_on_a_terminal_of_80_columns_no_name_is_cut_and_the_best_is_marked(grid, words, monkeypatch):
    folder, place, _ = grid
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "80")

    shown = SIGNS.sub("", on_a_terminal(folder, *(word.format(place.name) for word in words), width=80))

    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= 80
    for number in range(4):
        assert any(re.match(rf" ?(multirun/{place.name}/)?{number}\b", line) for line in lines)
    if "multirun" in "".join(words):
        marked = [line for line in lines if line.endswith("best") or " best " in line]
        assert any(not line.startswith("best") for line in marked)
        assert any(line.startswith("best ") for line in lines)
        assert any("seed=1 optimizer=adamw" in line for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r"])
def test_every_table_can_be_printed_in_every_encoding(grid, encoding):
    folder, place, _ = grid
    run = f"runs/multirun/{place.name}/0"
    commands = [
        ["runs", "ls", "multirun"], ["runs", "show", run], ["runs", "best", "val_loss"], ["jobs"], ["jobs", "why", run],
        ["runs", "diff", run, f"runs/multirun/{place.name}/1"], ["queue", f"runs/multirun/{place.name}"],
        ["report", run], ["--help"], ["runs", "--help"], ["evaluate", run],
        ["train", "trainer.fast_dev_run=true"],
    ]  # fmt: skip
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-m", "leyden", *words],
            cwd=folder, check=False, capture_output=True, env={**ENVIRONMENT, "PYTHONIOENCODING": encoding},
            timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
        assert b"Traceback" not in done.stderr
        done.stdout.decode(encoding)


def test_a_script_prints_its_tables_in_every_encoding(tmp_path):
    (tmp_path / "script.py").write_text(
        "import leyden\nfrom leyden.testing import TinyData, TinyModule\n"
        "trainer = leyden.Trainer(max_steps=2, logger=False, enable_checkpointing=False)\n"
        "trainer.fit(TinyModule(), TinyData())\ntrainer.validate(TinyModule(), TinyData())\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, check=False, capture_output=True, env=environment, timeout=200
    )

    assert done.returncode == 0, done.stderr.decode()
    assert b"metric" in done.stdout
