"""A run on two nodes whose job is ended from outside goes on, and ends with the bits of one that nobody disturbed."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.slurm.daemons import wait_for
from tests.slurm.submitting import leyden, told

PROJECT = {
    "conf/callbacks/paced.yaml": """\
defaults:
  - default
pace:
  _target_: experiments.paced.pace.Pace
  seconds: 0.0
  fail_at: -1
""",
    "experiments/paced/pace.py": """\
import time

import leyden


class Pace(leyden.Callback):
    def __init__(self, seconds, fail_at):
        self.seconds, self.fail_at = seconds, fail_at

    def on_train_batch_end(self, trainer, *args):
        time.sleep(self.seconds)
        if trainer.global_step == self.fail_at:
            raise ValueError("the module of the user has a mistake")
""",
}
RUN = (
    "callbacks=paced", "trainer=cpu", "trainer.strategy=ddp", "trainer.max_epochs=8", "trainer.log_every_n_steps=1",
    "~callbacks.progress_bar", "logger=csv", "model.hidden=[16]", "data.batch_size=64", "deterministic=true",
)  # fmt: skip
TWO_NODES = ("hydra.launcher.nodes=2", "hydra.launcher.tasks_per_node=1", "trainer.num_nodes=2")
PACE = "callbacks.pace.seconds=0.12"  # the run takes about 15 s, and an epoch two


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What two ranks come to that nobody disturbs: the hashes, and the rows of the logger."""
    folder = tmp_path_factory.mktemp("expected")
    return outcome(made(folder, "run", "trainer.devices=2"))


def made(folder: Path, command: str, *words: str) -> Path:
    """Make a project in *folder*, and a run that is executed here (``run``) or on the cluster (``submit``)."""
    for name, text in PROJECT.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "pyproject.toml").write_text("[project]\nname = 'mine'\nversion = '1'\n")
    leyden(folder, "train" if command == "run" else command, *RUN, *words)
    (run,) = (folder / "runs" / "digits_mlp").iterdir()
    return run


def outcome(run: Path) -> dict[str, object]:
    """Return what a finished run came to."""
    assert told(run, "status.json")["status"] == "finished", told(run, "status.json")
    found = told(run, "fingerprint.json")
    rows = (run / "metrics.csv").read_text()
    return {
        **{name: found[name]["sha256"] for name in ("initial_weights", "losses", "final_weights", "final_metrics")},
        "rows": rows,
        "doubled": len(rows.splitlines()) - len(set(rows.splitlines())),
    }


def submitted(folder: Path, *words: str) -> Path:
    """Submit the run to two nodes."""
    return made(folder, "submit", *TWO_NODES, "hydra.launcher.time=10", PACE, *words)


def trained(run: Path, steps: int = 30, attempt: int = 1) -> None:
    """Wait until the run has done so many steps in this attempt."""
    trace = run / "losses.f64"

    def far() -> bool:
        status = told(run, "status.json")
        assert status["status"] in ("queued", "running"), status
        rows = (run / "metrics.csv").read_text().count("\n") if (run / "metrics.csv").is_file() else 0
        return (
            status.get("attempts", 0) >= attempt
            and max(rows, trace.stat().st_size // 8 if trace.is_file() else 0) >= steps
        )

    assert wait_for(far, 120.0), (told(run, "status.json"), log(run))


def ended(run: Path, *how: str, seconds: float = 240.0) -> dict[str, object]:
    """Wait until the run has ended in one of the ways *how*; return its status."""
    assert wait_for(lambda: told(run, "status.json")["status"] in how, seconds), (told(run, "status.json"), log(run))
    return told(run, "status.json")


def log(run: Path) -> str:
    """Return what the job has printed."""
    return "\n".join(file.read_text()[-3000:] for file in sorted((run / "slurm").glob("*.*")) if file.suffix != ".pkl")


def attempts(run: Path) -> list[dict[str, object]]:
    """Return how the attempts ended."""
    file = run / "attempts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


@pytest.fixture(params=["cluster", "bare_cluster"])
def any_cluster(request):
    """With accounts and announced pre-emption; without accounts and with SIGTERM alone."""
    return request.getfixturevalue(request.param)


def requeued(cluster, run):
    cluster.ask("scontrol", "requeue", told(run)["id"])


def told_to_make_room(cluster, run):
    cluster.ask("scancel", "--signal=USR2", told(run)["id"])


def pre_empted(cluster, run):
    cluster.ask(
        "sbatch",
        "--partition=high",
        "--nodes=2",
        "--exclusive",
        "--time=1",
        "--output=/dev/null",
        "--wrap",
        "srun sleep 2",
    )


def struck(cluster, run):
    cluster.lose_power("node2")


@pytest.mark.parametrize(
    ("strike", "words"),
    [
        (requeued, ()),
        (told_to_make_room, ()),
        (
            pre_empted,
            (
                "hydra.launcher.partition=low",
                "hydra.launcher.additional_parameters={exclusive:true}",
                "callbacks.pace.seconds=0.5",
            ),
        ),
        (struck, ()),
    ],
    ids=["scontrol requeue", "USR2", "pre-emption", "killed node"],
)
def test_a_job_that_is_ended_in_mid_epoch_goes_on(any_cluster, expected, tmp_path, strike, words):
    run = submitted(tmp_path, *words)
    trained(run)

    strike(any_cluster, run)

    assert ended(run, "finished")["attempts"] == 2  # the rank whose node was lost may say "failed" in between
    assert outcome(run) == expected


def test_a_time_limit_is_gone_beyond(any_cluster, expected, tmp_path):
    """A minute is too short for the run; it is told so by the cluster, or by the clock: whatever comes first."""
    run = submitted(tmp_path, "hydra.launcher.time=1", "hydra.launcher.signal_delay_s=1", "callbacks.pace.seconds=0.7")

    ended(run, "finished")
    assert [each["outcome"] for each in attempts(run)][-2:] == ["requeued", "finished"]
    assert "time limit: stopped by SIG" in str(attempts(run)[0]["reason"])
    assert outcome(run) == expected


def test_a_job_that_is_cancelled_saves_and_stays_where_it_is(any_cluster, tmp_path):
    run = submitted(tmp_path)
    trained(run)

    any_cluster.ask("scancel", told(run)["id"])

    ended(run, "interrupted")
    assert [each["outcome"] for each in attempts(run)] == ["interrupted"]
    assert "it was cancelled" in str(attempts(run)[0]["decision"])
    assert (run / "checkpoints" / "interrupted.ckpt").exists()


def test_a_mistake_of_the_users_is_not_requeued(any_cluster, tmp_path):
    run = submitted(tmp_path, "callbacks.pace.fail_at=20")

    status = ended(run, "failed")

    assert "the module of the user has a mistake" in str(status["error"])
    time.sleep(10)  # longer than the cluster takes to begin a requeued job again
    assert told(run, "status.json")["attempts"] == 1
    assert [each["outcome"] for each in attempts(run)] == ["failed"]


def test_there_is_a_limit_to_how_often_a_job_is_requeued(cluster, tmp_path):
    run = submitted(tmp_path, "hydra.launcher.restarts=1", "callbacks.pace.seconds=0.3")
    trained(run)
    told_to_make_room(cluster, run)
    trained(run, 40, attempt=2)
    told_to_make_room(cluster, run)

    ended(run, "interrupted")
    assert [each["outcome"] for each in attempts(run)] == ["requeued", "interrupted"]
    assert "requeued once (restarts=1)" in str(attempts(run)[1]["decision"])


def test_a_job_outlives_its_controller(cluster, expected, tmp_path):
    run = submitted(tmp_path)
    trained(run)

    subprocess.run(["pkill", "-f", f"slurmctld.*{cluster.folder}"], check=False)
    told_at = time.monotonic()
    cluster.command("up")

    assert time.monotonic() - told_at < 60
    ended(run, "finished")
    assert outcome(run) == expected
