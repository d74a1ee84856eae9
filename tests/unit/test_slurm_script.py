"""The batch script says what was asked for, and nothing that a cluster might refuse."""

import sys
from pathlib import Path

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
module load cuda

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
