"""The index is only a cache: with it, without it, or with a broken one, the same runs are found."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leyden.errors import RunError
from leyden.runs import index as module
from leyden.runs.index import Index
from leyden.runs.keeping import pin
from leyden.runs.listing import find, list_runs
from tests.run_directories import make


@pytest.fixture
def root(tmp_path):
    """Twenty settled runs: half of them directly in an experiment's folder, half in a multirun's."""
    root = tmp_path / "runs"
    for number in range(20):
        folder = root / ("digits" if number % 2 else "multirun/2026-11-22")
        make(
            folder / f"run-{number:02d}",
            {"seed": number},
            {"test_acc": number / 20},
            created=f"2026-11-22T10:{number:02d}",
        )
    settle(root)
    return root


def settle(root):
    """Make everything look as if it had been written an hour ago."""
    hour_ago = time.time() - 3600
    for path in root.rglob("*"):
        os.utime(path, (hour_ago, hour_ago))


def names(runs):
    return [run.name for run in runs]


def seeds(runs):
    return sorted(run.get("seed") for run in runs)


def test_runs_are_found_in_folders_of_any_depth_the_newest_first(root, tmp_path):
    found = list_runs(root, tmp_path / "cache")

    assert names(found)[:2] == ["digits/run-19", "multirun/2026-11-22/run-18"]
    assert seeds(found) == list(range(20))
    assert found[0].get("test_acc") == 19 / 20


def test_what_is_in_the_index_is_not_read_again(root, tmp_path):
    list_runs(root, tmp_path / "cache")
    for path in root.rglob("config.yaml"):
        before = path.stat()
        path.write_text(path.read_text().replace("seed: 1", "seed: 7"))
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))

    assert seeds(list_runs(root, tmp_path / "cache")) == list(range(20))
    assert seeds(list_runs(root, tmp_path / "elsewhere")) != list(range(20))


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"version": 1}', '{"version": 0, "root": "x"}', "null", "\x00" * 100]
)
def test_a_broken_index_is_made_anew(broken, root, tmp_path):
    whole = names(list_runs(root, tmp_path / "cache"))
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(broken)

    assert names(list_runs(root, tmp_path / "cache")) == whole
    assert json.loads(file.read_text())["version"] == module.VERSION


def test_deleting_the_index_loses_nothing(root, tmp_path):
    before = [(run.name, run.facts) for run in list_runs(root, tmp_path / "cache")]
    shutil.rmtree(tmp_path / "cache")

    after = [(run.name, run.facts) for run in list_runs(root, tmp_path / "cache")]

    assert [(name, {**facts, "config": None, "typed": None}) for name, facts in before] == [
        (name, {**facts, "config": None, "typed": None}) for name, facts in after
    ]


def test_what_was_kept_and_what_is_read_again_is_the_same(root, tmp_path):
    fresh = [(run.name, run.config(), run.typed, run.choices) for run in list_runs(root, tmp_path / "cache")]

    kept = [(run.name, run.config(), run.typed, run.choices) for run in list_runs(root, tmp_path / "cache")]

    assert kept == fresh


def test_a_change_of_a_run_is_seen(root, tmp_path):
    list_runs(root, tmp_path / "cache")
    run = make(root / "digits" / "new", {"seed": 100})
    settle(root)
    list_runs(root, tmp_path / "cache")

    run.write_result({"test_acc": 0.99}, None)
    run.update(status="finished")
    pin(root / "digits" / "run-01")
    shutil.rmtree(root / "digits" / "run-03")
    found = {each.name: each for each in list_runs(root, tmp_path / "cache")}

    assert (found["digits/new"].state, found["digits/new"].get("test_acc")) == ("finished", 0.99)
    assert found["digits/run-01"].get("pinned") is True
    assert "digits/run-03" not in found


def test_two_changes_within_a_tick_of_the_clock_are_both_seen(root, tmp_path):
    run = make(root / "digits" / "new", step=100)
    assert find_step(root, tmp_path) == 100
    status = run.path / "status.json"
    moment, folder = status.stat().st_mtime_ns, run.path.stat().st_mtime_ns

    status.write_text(status.read_text().replace("100", "200"))
    os.utime(status, ns=(moment, moment))
    os.utime(run.path, ns=(folder, folder))

    assert find_step(root, tmp_path) == 200


def find_step(root, tmp_path):
    return next(run.get("step") for run in list_runs(root, tmp_path / "cache") if run.name == "digits/new")


def _list(root, cache, gate, heard):
    gate.wait()
    for _ in range(5):
        heard.put(len(Index(root, cache).refresh().runs))


def test_several_processes_may_use_it_at_once(root, tmp_path):
    context = multiprocessing.get_context("fork")
    gate, heard = context.Event(), context.Queue()
    processes = [context.Process(target=_list, args=(root, tmp_path / "cache", gate, heard)) for _ in range(4)]

    for process in processes:
        process.start()
    gate.set()
    counts = [heard.get(timeout=60) for _ in range(20)]
    for process in processes:
        process.join()

    assert counts == [20] * 20
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_no_obstacle(root, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")

    assert len(list_runs(root, tmp_path / "cache")) == 20


def test_folders_that_are_no_runs_are_passed_over(root, tmp_path):
    (root / "wandb").mkdir()
    (root / "wandb" / "config.yaml").write_text("a: 1")
    (root / ".trash").mkdir()
    shutil.copytree(root / "digits" / "run-01", root / ".trash" / "run-01")
    (root / "latest").symlink_to(root / "digits" / "run-01")
    (root / "loop").symlink_to(root)

    assert len(list_runs(root, tmp_path / "cache")) == 20


def test_a_link_to_runs_on_another_disk_is_followed_where_the_project_trusts_that(root, tmp_path, caplog):
    make(tmp_path / "scratch" / "far", {"seed": 55})
    (root / "scratch").symlink_to(tmp_path / "scratch")

    assert "scratch/far" not in names(list_runs(root, tmp_path / "cache"))
    assert "where no runs are looked for" in caplog.text

    (tmp_path / "pyproject.toml").write_text('[tool.leyden]\ntrust = ["./scratch"]\n')

    assert "scratch/far" in names(list_runs(root, tmp_path / "cache"))


def test_a_run_whose_files_are_broken_is_listed_with_what_is_wrong(root, tmp_path):
    broken = root / "digits" / "run-01"
    (broken / "config.yaml").write_text("a: &x 1\nb: *x\n")
    (broken / "status.json").write_text('{"status": "fin')
    (broken / "result.json").write_text("[" * 100_000)

    run = next(each for each in list_runs(root, tmp_path / "cache") if each.name == "digits/run-01")

    assert "alias" in run.facts["problem"]
    assert (run.state, run.facts["metrics"], run.facts["signature"]) == ("unknown", {}, "")


def test_a_pipe_in_place_of_a_file_is_not_waited_for(root, tmp_path):
    run = make(root / "digits" / "pipes", {"seed": 77})
    for name in ("status.json", "result.json", "manifest.json", "metrics.csv"):
        (run.path / name).unlink(missing_ok=True)
        os.mkfifo(run.path / name)

    found = next(each for each in list_runs(root, tmp_path / "cache") if each.name == "digits/pipes")

    assert (found.get("seed"), found.state, found.facts["metrics"]) == (77, "unknown", {})


def test_listing_starts_without_torch_and_without_composing(root, tmp_path):
    program = (
        "import sys; from leyden.cli.main import main; code = main(['runs', 'ls']); "
        "sys.exit(code or ','.join({'torch', 'hydra', 'omegaconf', 'rich'}.intersection(sys.modules)) or 0)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 21


def test_an_unfinished_run_has_the_last_values_of_its_metrics(root, tmp_path):
    run = make(root / "digits" / "going", status="interrupted")
    (run.path / "metrics.csv").write_text("step,train_loss,val_loss\n0,2.0,\n1,1.5,1.7\n2,1.25,\n3,0.")

    found = next(each for each in list_runs(root, tmp_path / "cache") if each.name == "digits/going")

    assert found.facts["metrics"] == {"train_loss": 1.25, "val_loss": 1.7}


def test_a_run_is_found_by_its_path_by_a_part_of_its_name_and_as_the_last(root, tmp_path):
    cache = tmp_path / "cache"

    assert find(str(root / "digits" / "run-01"), root, cache) == root / "digits" / "run-01"
    assert find("run-07", root, cache) == root / "digits" / "run-07"
    assert find("n-08", root, cache) == root / "multirun" / "2026-11-22" / "run-08"
    assert find("runs/digits/run-07", root, cache) == root / "digits" / "run-07"
    with pytest.raises(RunError, match="part of the names of 5 runs"):
        find("runs/digits/run-0", Path("runs"), cache)
    assert find("last", root, cache) == root / "digits" / "run-19"


def test_a_name_that_means_several_runs_or_none_is_refused(root, tmp_path):
    with pytest.raises(RunError, match=r"part of the names of 10 runs[\s\S]*digits/run-19"):
        find("digits", root, tmp_path / "cache")
    with pytest.raises(RunError, match=r"Did you mean 'run-0[0-9]'\?"):
        find("rum-05", root, tmp_path / "cache")
    with pytest.raises(RunError, match="there is no folder nowhere"):
        find("run-01", tmp_path / "nowhere", tmp_path / "cache")
