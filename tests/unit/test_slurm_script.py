"""The batch script says what was asked for, and nothing that a cluster might refuse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leyden.config.compose import compose
from leyden.config.launchers import plugin_of
from leyden.launch.slurm.launcher import SlurmLauncher
from leyden.launch.slurm.options import Options

GOLDEN = """\
#!/bin/bash

# Parameters
#SBATCH --account=physics
#SBATCH --array=0-2%2
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=a100:2
#SBATCH --job-name=wide
#SBATCH --licenses=matlab
#SBATCH --mem=32G
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --open-mode=append
#SBATCH --output=/runs/wide/slurm/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --requeue
#SBATCH --reservation=monday
#SBATCH --signal=USR2@90
#SBATCH --time=1440

# setup
set -e
trap 'echo "leyden: a line of setup failed with exit code $?, and the run was not started: $BASH_COMMAND" >&2' ERR
module load cuda
trap - ERR
set +e

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /runs/wide/slurm/%A_%a_%t_log.out --container-image=torch.sqsh \
/opt/python -u -m submitit.core._submit /runs/wide/slurm
"""


def test_a_script_says_what_was_asked_for():
    options = Options(
        account="physics", partition="gpu", time="1-00", nodes=2, tasks_per_node=2, cpus_per_task=8,
        gpus_per_node="a100:2", mem="32G", reservation="monday", signal_delay_s=90, setup=["module load cuda"],
        srun_args=["--container-image=torch.sqsh"], python="/opt/python", array_parallelism=2,
        additional_parameters={"licenses": "matlab"},
    )  # fmt: skip

    (script,) = SlurmLauncher(options).scripts([Path(f"/runs/wide/{number}") for number in range(3)])

    assert script == GOLDEN


def test_a_script_without_any_options_leaves_everything_to_the_cluster():
    (script,) = SlurmLauncher(Options()).scripts([Path("/runs/wide/0")])

    asked = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert asked == [
        "#SBATCH --job-name=wide",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --open-mode=append",
        "#SBATCH --output=/runs/wide/0/slurm/%j_0_log.out",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@120",
    ]
    assert f"{sys.executable} -u -m submitit.core._submit /runs/wide/0/slurm" in script


def test_a_cluster_that_accounts_by_labels_gets_one():
    (script,) = SlurmLauncher(Options(wckey="thesis")).scripts([Path("/runs/wide/0")])

    assert "#SBATCH --wckey=thesis" in script


def test_the_preset_for_preemptible_partitions_builds_on_the_other_one():
    plain = plugin_of(compose(["hydra/launcher=slurm"]).hydra)
    found = plugin_of(compose(["hydra/launcher=slurm_preemptible", "hydra.launcher.partition=low"]).hydra)

    assert plain.options == Options()
    assert found.options == Options(
        partition="low", signal_delay_s=180, restarts=None, stalled_restarts=5, freeze_code=True
    )


def test_an_option_that_stands_in_no_file_can_be_given_by_its_name():
    found = plugin_of(compose(["hydra/launcher=slurm", "hydra.launcher.timeout_min=30"]).hydra)

    assert found.options == Options(timeout_min=30)


def executed(folder, options):
    """Execute the script of a job with a srun that leaves a mark; return what came out, and whether srun was called."""
    (folder / "srun").write_text("#!/bin/sh\ntouch called\nprintenv FOUND\nexit 3\n")
    (folder / "srun").chmod(0o755)
    (script,) = SlurmLauncher(options).scripts([folder / "run"])
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-s"], input=script, cwd=folder, check=False, capture_output=True, text=True, env=environment
    )
    return done, (folder / "called").exists()


@pytest.mark.parametrize("line", ["false", "module load cuda", "cd /nowhere", 'export A=$(false); test -n "$A"'])
def test_a_line_of_setup_that_fails_ends_the_job_before_the_run(line, tmp_path):
    done, called = executed(tmp_path, Options(setup=["export FOUND=1", line, "touch later"], teardown=["touch end"]))

    assert done.returncode != 0
    assert not called
    assert not (tmp_path / "later").exists()
    assert "leyden: a line of setup failed with exit code" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        Options(setup=["false", "export FOUND=it"], setup_may_fail=True),
        Options(setup=["false || export FOUND=it", "if false; then exit 1; fi"]),
    ],
)
def test_a_line_of_setup_that_may_fail_does_not(options, tmp_path):
    done, called = executed(tmp_path, options)

    assert called
    assert done.stdout == "it\n"
    assert "leyden" not in done.stderr


def test_after_setup_the_shell_is_as_it_was_so_that_a_run_that_fails_is_followed_by_teardown(tmp_path):
    done, called = executed(tmp_path, Options(setup=["true"], teardown=["touch end"]))

    assert called
    assert (tmp_path / "end").exists()
    assert "a line of setup failed" not in done.stderr
