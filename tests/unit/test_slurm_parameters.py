"""What a person asks a cluster for becomes what submitit takes; what cannot be meant is refused by its key."""

import pytest

from leyden.errors import ConfigurationError
from leyden.launch.slurm.options import Options
from leyden.launch.slurm.parameters import minutes, parameters, python, restarts, size


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (90, 90),
        ("90", 90),
        ("90:30", 91),
        ("12:30:00", 750),
        ("01:00:01", 61),
        ("2-06", 3240),
        ("1-00:30", 1470),
        ("1-02:30:15", 1591),
        ("UNLIMITED", "UNLIMITED"),
        ("infinite", "INFINITE"),
    ],
)
def test_every_form_of_a_time_limit_becomes_whole_minutes(given, expected):
    assert minutes(given) == expected


@pytest.mark.parametrize("given", ["", "soon", "1:2:3:4", "0", "-5", "1-", "12h"])
def test_what_is_no_time_limit_is_refused_with_the_forms_there_are(given):
    with pytest.raises(ConfigurationError) as caught:
        minutes(given)

    assert str(caught.value).startswith(f"hydra.launcher.time is {given!r}. Expected minutes, or one of sbatch's forms")


@pytest.mark.parametrize(
    ("given", "expected"), [("32G", "32G"), ("32GB", "32G"), ("500m", "500M"), (0, "0"), ("0", "0"), (None, None)]
)
def test_memory_is_given_with_its_unit(given, expected):
    assert size("mem", given) == expected


@pytest.mark.parametrize("given", [32, "32", "1.5G", "much"])
def test_memory_without_a_unit_is_refused(given):
    with pytest.raises(ConfigurationError) as caught:
        size("mem_per_gpu", given)

    assert f"hydra.launcher.mem_per_gpu is {given!r}. Expected a whole number and its unit" in str(caught.value)


def test_the_names_of_hydras_submitit_launcher_mean_the_same():
    theirs = Options(timeout_min=30, mem_gb=1.5, max_num_timeout=4)
    ours = Options(time=30, mem="1536M", restarts=4)

    assert parameters(theirs, "run", 1) == parameters(ours, "run", 1)
    assert restarts(theirs) == restarts(ours) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(time=30, timeout_min=40), "hydra.launcher has time=30 and timeout_min=40, which mean the same"),
        (Options(mem="1G", mem_gb=1), "hydra.launcher has mem=1G and mem_gb=1, which mean the same"),
        (Options(use_srun=False, tasks_per_node=2), "use_srun is false, but nodes=1 and tasks_per_node=2 make several"),
        (Options(use_srun=False, teardown=["date"]), "hydra.launcher.teardown is set, but use_srun is false"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, words):
    with pytest.raises(ConfigurationError) as caught:
        parameters(options, "run", 1)

    assert words in str(caught.value)


def test_any_option_of_sbatch_can_be_given_and_a_false_one_is_left_out():
    given = {"--licenses": "matlab", "hold": True, "contiguous": False, "requeue": False}

    found = parameters(Options(additional_parameters=given, reservation="monday"), "run", 1)["additional_parameters"]

    assert found == {"requeue": True, "reservation": "monday", "licenses": "matlab", "hold": True}


def test_a_job_that_is_not_to_be_requeued_says_so_and_is_never_restarted():
    options = Options(requeue=False)

    assert parameters(options, "run", 1)["additional_parameters"] == {"no-requeue": True}
    assert restarts(options) == 0


def test_without_srun_the_shell_of_the_script_becomes_python_and_gets_the_signal():
    options = Options(use_srun=False, python="apptainer exec image.sif python", signal_delay_s=60)

    assert python(options) == "exec apptainer exec image.sif python"
    assert parameters(options, "run", 1)["additional_parameters"]["signal"] == "B:USR2@60"


def test_no_limit_on_runs_at_a_time_is_as_many_as_there_are():
    assert parameters(Options(), "run", 200)["array_parallelism"] == 200
    assert parameters(Options(array_parallelism=4), "run", 200)["array_parallelism"] == 4
