"""A multirun on one machine: a few runs at a time, each for itself, to be stopped and to be gone on with."""

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
import yaml

from tests.journeys.command import ENVIRONMENT, leyden, start, wait_until

MODEL = '''
import os
import signal
import time

from leyden.models import MLP


class Fated(MLP):
    """Says what it was lent; then lives, fails, is killed, or takes its time until there is a file ``go``."""

    def __init__(self, fate="live", pause=0.0, in_features=64, hidden=(4,), classes=10):
        super().__init__(in_features=in_features, hidden=hidden, classes=classes)
        self.fate, self.pause = fate, pause

    def on_train_start(self):
        print("threads", os.environ.get("OMP_NUM_THREADS"), "gpus", os.environ.get("CUDA_VISIBLE_DEVICES"))

    def training_step(self, batch, batch_idx):
        if not os.path.exists("go"):
            time.sleep(self.pause)
        if self.global_step == 2 and self.fate == "fail":
            raise ZeroDivisionError("as it was meant to be")
        if self.global_step == 2 and self.fate == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, batch_idx)
'''
SWEEPER = '''
from hydra.plugins.sweeper import Sweeper


class Halving(Sweeper):
    """Asks for one run after the other, each by what the one before it has given."""

    def __init__(self, rounds):
        self.rounds = rounds

    def setup(self, *, hydra_context, task_function, config):
        from hydra.core.plugins import Plugins

        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        rate, found = 0.1, []
        for number in range(self.rounds):
            (job,) = self.launcher.launch([[*arguments, f"optimizer.lr={rate}"]], initial_job_idx=number)
            found.append(job.return_value)
            rate /= 2
        print("found", *(type(value).__name__ for value in found))
'''
SHORT = ("model=fated", "trainer.max_epochs=1", "logger=csv", "test=false", "trainer.limit_train_batches=5")
LONG = ("model=fated", "model.pause=0.2", "trainer.max_epochs=40", "logger=csv", "test=false", "hydra.launcher.slots=2")


def project(folder):
    """Write a project with a model of its own."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "mine.py").write_text(MODEL)
    (folder / "conf" / "model" / "fated.yaml").write_text("_target_: mine.Fated\nfate: live\npause: 0.0\n")
    return folder


@pytest.fixture
def at(tmp_path):
    """Return an empty project."""
    return project(tmp_path)


def runs_of(folder):
    """Return the runs of the one multirun in *folder*, by number; one that is being made has no number yet."""
    found = [path.parent for path in folder.glob("runs/multirun/*/[0-9]*/config.yaml")]
    return sorted(found, key=lambda path: int(path.name))


def status_of(run):
    return json.loads((run / "status.json").read_text())


def states(folder):
    return [status_of(run)["status"] for run in runs_of(folder)]


def steps(folder):
    return [status_of(run).get("step", -1) for run in runs_of(folder)]


def training(folder):
    """Return the runs that have begun to train."""
    return [run for run in runs_of(folder) if "training starts" in log(run)]


def log(run):
    path = run / "logs" / "rank0.log"
    return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def fates(tmp_path_factory):
    """Six runs at two slots, of which two fail and two are killed: the folder, and what the command said."""
    folder = project(tmp_path_factory.mktemp("fates"))
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-m", "leyden", "train", "-m", *SHORT, "model.fate=live,fail,die", "seed=1,2",
         "hydra.launcher.slots=2", "optimized_metric=val_loss"],
        cwd=folder, check=False, capture_output=True, text=True, env=environment, timeout=280,
    )  # fmt: skip
    return folder, done


def test_one_runs_death_leaves_the_others_alone(fates):
    folder, done = fates
    runs = runs_of(folder)

    assert [yaml.safe_load((run / "config.yaml").read_text())["model"]["fate"] for run in runs] == [
        *["live"] * 2, *["fail"] * 2, *["die"] * 2
    ]  # fmt: skip
    assert states(folder) == [*["finished"] * 2, *["failed"] * 2, *["running"] * 2]  # kill -9 leaves no word
    assert done.returncode == 1


def test_no_more_runs_than_slots_are_under_way_at_any_moment(fates):
    folder, _ = fates
    found = [status_of(run) for run in runs_of(folder)]
    spans = [(each["started"], each.get("ended") or each["updated"]) for each in found]
    moments = [(datetime.fromisoformat(first), datetime.fromisoformat(last)) for first, last in spans]

    # times are whole seconds: a run that ends in the second in which another starts is not counted
    counts = [sum(first <= moment < last for first, last in moments) for moment, _ in moments]
    assert max(counts, default=0) <= 2
    assert min(first for first, _ in moments) + timedelta(seconds=1) < max(first for first, _ in moments)


def test_the_table_at_the_end_has_each_runs_outcome_metric_and_directory(fates):
    folder, done = fates
    table = done.stdout.partition("\n\n")[2]

    assert table.splitlines()[0].startswith("finished\tval_loss ")
    assert table.count("\tZeroDivisionError: as it was meant to be\t") == 2
    assert table.count("dead\tkilled by SIGKILL\t") == 2
    assert all(f"runs/multirun/{run.parent.name}/{run.name}" in table for run in runs_of(folder))
    assert table.splitlines()[-1] == "2 finished, 2 failed, 2 dead"


def test_what_a_run_prints_lies_in_its_directory_and_the_processors_are_divided(fates):
    folder, _ = fates
    share = max(1, len(os.sched_getaffinity(0)) // 2)

    said = [(run / "logs" / "job.log").read_text() for run in runs_of(folder)]

    assert all(f"threads {share} gpus " in each for each in said)
    assert "ZeroDivisionError: as it was meant to be" in said[2]


def test_the_queue_and_the_job_of_each_run_are_on_disk(fates):
    folder, _ = fates
    runs = runs_of(folder)
    queue = json.loads((runs[0].parent / "queue" / "queue.json").read_text())
    jobs = [json.loads((run / "job.json").read_text()) for run in runs]

    assert queue["directories"] == [f"../{run.name}" for run in runs]
    assert (queue["options"]["slots"], queue["devices"]) == (2, {})
    assert [each["id"] for each in jobs] == [f"{queue['pid']}_{number}" for number in range(6)]
    assert {each["launcher"] for each in jobs} == {"local"}
    assert jobs[0]["log"] == str(runs[0] / "logs" / "job.log")


def test_going_on_runs_what_was_killed_and_leaves_what_has_failed(fates):
    folder, _ = fates
    sweep = runs_of(folder)[0].parent

    said = leyden(folder, "queue", str(sweep), code=1)

    attempts = [status_of(run)["attempts"] for run in runs_of(folder)]
    assert attempts == [1, 1, 1, 1, 2, 2]
    assert said.splitlines()[-1] == "2 finished, 2 failed, 2 dead"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_all_at_a_step_and_the_queue_goes_on_where_it_was(signum, code, at):
    process = start(at, "train", "-m", *LONG, "seed=1,2,3")

    wait_until(lambda: len(training(at)) == 2, process)
    process.send_signal(signum)
    process.wait(timeout=60)
    stopped, said = states(at), (at / "out.txt").read_text()
    sweep = runs_of(at)[0].parent
    saved = [(run / "checkpoints" / "interrupted.ckpt").exists() for run in runs_of(at)]
    (at / "go").touch()
    leyden(at, "queue", str(sweep))

    assert process.returncode == code
    assert stopped == ["interrupted", "interrupted", "queued"]
    assert saved == [True, True, False]
    assert f"go on with:  leyden queue runs/multirun/{sweep.name}/queue" in said
    assert states(at) == ["finished"] * 3
    assert [status_of(run)["attempts"] for run in runs_of(at)] == [2, 2, 1]


def test_a_second_ctrl_c_stops_at_once(at):
    process = start(at, "train", "-m", *LONG, "model.pause=20", "seed=1,2")

    wait_until(lambda: len(training(at)) == 2, process)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "every run saves at the next step" in (at / "out.txt").read_text(), process)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=15)  # a step alone takes longer

    assert process.returncode == 130
    assert states(at) == ["interrupted", "interrupted"]
    assert {status_of(run)["error"] for run in runs_of(at)} == {"interrupted in the middle of a step"}


def test_a_queue_that_is_killed_leaves_its_runs_and_the_next_one_finds_them(at):
    process = start(at, "train", "-m", *LONG, "seed=1,2,3")
    wait_until(lambda: len(training(at)) == 2, process)
    process.kill()
    process.wait()
    sweep = runs_of(at)[0].parent
    process = start(at, "queue", str(sweep))
    wait_until(lambda: (at / "out.txt").read_text().count("under way") == 2, process)
    (at / "go").touch()
    process.wait(timeout=120)

    assert process.returncode == 0
    assert states(at) == ["finished"] * 3
    assert [status_of(run)["attempts"] for run in runs_of(at)] == [1, 1, 1]  # nothing was run twice


def test_a_detached_queue_returns_at_once_and_can_be_followed_to_its_end(at):
    said = leyden(at, "train", "-m", *LONG, "seed=1,2,3", "hydra.launcher.detach=true")
    at_once = states(at)
    sweep = runs_of(at)[0].parent
    (at / "go").touch()
    followed = leyden(at, "queue", str(sweep))

    assert "3 runs in a queue in the background, process " in said
    assert f"leyden queue runs/multirun/{sweep.name}/queue" in said
    assert "finished" not in at_once
    assert followed.splitlines()[-1] == "3 finished"
    assert states(at) == ["finished"] * 3


def test_who_follows_may_leave_without_stopping_anything(at):
    leyden(at, "train", "-m", *LONG, "seed=1,2", "hydra.launcher.detach=true")
    sweep = runs_of(at)[0].parent
    follower = start(at, "queue", str(sweep))

    wait_until(lambda: "follows" in (at / "out.txt").read_text(), follower)
    follower.send_signal(signal.SIGINT)
    follower.wait(timeout=30)
    (at / "go").touch()
    leyden(at, "queue", str(sweep))

    assert follower.returncode == 130
    assert states(at) == ["finished"] * 2
    assert [status_of(run)["attempts"] for run in runs_of(at)] == [1, 1]


def test_a_launcher_that_is_typed_takes_a_single_run_too_and_otherwise_it_is_executed_right_here(at):
    said = leyden(at, "train", *SHORT, "name=queued", "hydra/launcher=local")
    leyden(at, "train", *SHORT, "name=here")

    (queued,), (here,) = (at / "runs" / "queued").iterdir(), (at / "runs" / "here").iterdir()
    assert said.rstrip().endswith("1 finished")
    assert (queued / "job.json").exists()
    assert (queued / "queue" / "queue.json").exists()
    assert not (here / "job.json").exists()
    assert "epoch 0" in log(here)


def test_hydras_own_launcher_executes_the_runs_in_one_process(at):
    leyden(at, "train", "-m", *SHORT, "seed=1,2", "hydra/launcher=basic")

    pids = {status_of(run)["pid"] for run in runs_of(at)}
    assert states(at) == ["finished"] * 2
    assert len(pids) == 1
    assert not list(at.glob("runs/multirun/*/*/job.json"))


def test_a_sweeper_that_decides_as_it_goes_gets_the_optimized_metric_of_each_run(at):
    plugin = at / "hydra_plugins" / "halving_sweeper"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text("")
    (plugin / "halving.py").write_text(SWEEPER)
    (at / "conf" / "hydra" / "sweeper").mkdir(parents=True)
    (at / "conf" / "hydra" / "sweeper" / "halving.yaml").write_text(
        "_target_: hydra_plugins.halving_sweeper.halving.Halving\nrounds: 2\n"
    )
    words = [*SHORT, "hydra/sweeper=halving", "optimized_metric=val_loss", "hydra.launcher.slots=1"]

    done = subprocess.run(
        [sys.executable, "-m", "leyden", "train", "-m", *words],
        cwd=at, check=False, capture_output=True, text=True, timeout=200, env={**ENVIRONMENT, "PYTHONPATH": str(at)},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "found float float" in done.stdout
    rates = [yaml.safe_load((run / "config.yaml").read_text())["optimizer"]["lr"] for run in runs_of(at)]
    assert rates == [0.1, 0.05]
    assert [run.name for run in runs_of(at)] == ["0", "1"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("hydra.launcher.slots=0", "hydra.launcher.slots   is 0 (int), but should be greater than or equal to 1"),
        ("hydra.launcher.slots=many", "hydra.launcher.slots   expects int | null"),
        ("hydra.launcher.slotz=2", "Did you mean"),
        ("hydra.sweeper.max_batch_size=2", "this launcher limits itself how many run at a time"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_before_anything_is_made(word, said, at):
    told = leyden(at, "train", "-m", *SHORT, "seed=1,2", word, code=2)

    assert said in told
    assert not (at / "runs").exists()
