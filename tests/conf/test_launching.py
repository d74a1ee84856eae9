"""Each run is composed once, on the side that submits; a launcher is given what Hydra would have composed for it."""

from collections.abc import Sequence

import pytest
from counting import calls
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from leyden.cli.launching import make
from leyden.config.app import run_app
from leyden.config.compose import compose
from leyden.config.frozen import freeze
from leyden.config.jobs import Job

COMPOSING = ConfigLoaderImpl._load_configuration_impl.__code__


class Noting:
    """A starter that notes what it is given."""

    def __init__(self) -> None:
        self.plugins: list = []
        self.jobs: list[Job] = []

    def start(self, plugin, jobs: Sequence[Job]) -> int:
        self.plugins.append(plugin)
        self.jobs += jobs
        return 7

    def results(self, plugin, jobs):
        raise AssertionError("no sweeper asks for results here")


@pytest.fixture
def launch(capfd):
    """Run a command line whose launcher only notes what it is given; returns it, the code, what ran, and errors."""

    def call(*argv):
        starter, executed = Noting(), []
        code = run_app("train", argv, lambda config, context: executed.append((config, context)), starter)
        return starter, code, executed, capfd.readouterr().err

    return call


def compositions(call):
    """Return how often Hydra composes a config within *call*."""
    return calls(call).count(COMPOSING)


def test_points_that_differ_in_values_share_one_composition(at, launch):
    few = compositions(lambda: launch("-m", "optimizer.lr=0.1,0.2"))
    many = compositions(lambda: launch("-m", "optimizer.lr=range(1,21)", "seed=1,2"))

    assert few == many


def test_another_choice_of_a_group_is_another_composition_and_another_value_is_not(at, launch):
    one = compositions(lambda: launch("-m", "model=mlp", "seed=1,2,3"))
    three = compositions(lambda: launch("-m", "model=mlp,conv,transformer", "seed=1,2,3"))

    assert three - one == 2


def test_a_single_run_for_a_launcher_is_composed_once(at, launch):
    assert compositions(lambda: launch("seed=3", "hydra/launcher=local")) == 1


def test_a_multirun_is_given_to_the_local_queue_unless_another_launcher_is_chosen(at, launch):
    starter, code, executed, err = launch("-m", "seed=1,2")

    assert err == ""
    assert [type(each).__name__ for each in starter.plugins] == ["LocalLauncher"]
    assert [job.config.seed for job in starter.jobs] == [1, 2]
    assert (code, executed) == (7, [])


def test_a_single_run_is_executed_right_here_unless_a_launcher_is_typed(at, launch):
    plain, *_, executed, _ = launch("seed=3")
    typed, code, not_executed, _ = launch("seed=3", "hydra/launcher=local")

    assert (plain.jobs, len(executed)) == ([], 1)
    assert (code, not_executed) == (7, [])
    assert (typed.jobs[0].config.seed, typed.jobs[0].context.job_num) == (3, None)


def test_a_launcher_that_an_experiment_chooses_takes_its_single_runs(project, launch, write):
    write(project, {
        "conf/hydra/launcher/mine.yaml": "defaults:\n  - local\nslots: 3\n",
        "experiments/queued/experiment.yaml": "defaults:\n  - override /hydra/launcher: mine\nname: queued\n",
    })  # fmt: skip

    starter, *_, executed, err = launch("experiment=queued")

    assert err == ""
    assert starter.plugins[0].slots == 3
    assert executed == []


def test_hydras_basic_launcher_executes_each_job_as_before(at, launch):
    starter, code, executed, _ = launch("-m", "seed=1,2", "hydra/launcher=basic")

    assert (starter.jobs, code) == ([], 0)
    assert [context.job_num for _, context in executed] == [0, 1]


def test_every_point_is_what_hydra_composes_for_it(project, launch):
    words = ["experiment=mine", "trainer.max_epochs=3"]

    starter, *_ = launch("-m", *words, "model.width=2,3", "optimizer=adamw,sgd", "optimizer.lr=0.5,${model.width}")

    assert len(starter.jobs) == 8
    for job in starter.jobs:
        alone = compose(job.context.overrides)
        assert freeze(job.config, "/run") == freeze(alone.config, "/run")
        assert {k: v for k, v in job.context.choices.items() if "hydra" not in k} == {
            k: v for k, v in alone.choices.items() if "hydra" not in k
        }
    assert [job.config.optimizer.lr for job in starter.jobs[:2]] == [0.5, 2]


def test_what_hydra_knows_of_a_job_is_true_of_each_point(project, launch, write):
    named = "name: ${hydra:job.num}-${hydra:job.override_dirname}\ntags: ['${hydra:runtime.output_dir}']\n"
    write(project, {"experiments/named/experiment.yaml": named})

    starter, *_, err = launch("-m", "experiment=named", "seed=4,5")

    assert err == ""
    assert [job.config.name for job in starter.jobs] == ["0-experiment=named,seed=4", "1-experiment=named,seed=5"]
    (place,) = {str(job.config.tags[0]) for job in starter.jobs}
    assert place == str(project / starter.jobs[0].context.sweep_dir)


def test_all_runs_of_a_multirun_lie_in_one_directory_and_know_their_numbers(at, launch):
    starter, *_ = launch("-m", "seed=1,2,3")

    directories = make(starter.jobs)

    assert [each.path.name for each in directories] == ["0", "1", "2"]
    assert len({each.path.parent for each in directories}) == 1
    assert {each.status().state for each in directories} == {"queued"}
    assert [each.config()["seed"] for each in directories] == [1, 2, 3]
    assert all((each.path / "manifest.json").is_file() for each in directories)


def test_a_point_that_cannot_be_meant_is_told_with_its_number_and_nothing_is_started(at, launch, listing):
    starter, code, executed, err = launch("-m", "seed=1,x")

    assert code == 2
    assert "job 1 of 2: seed=x" in err
    assert (starter.jobs, executed, listing(at)) == ([], [], [])


def test_making_directories_builds_nothing_and_reads_no_data(project, launch, write):
    write(project, {"conf/model/bomb.yaml": "_target_: things.Bomb\n"})
    write(project, {"things.py": """
        from leyden.models import MLP

        class Bomb(MLP):
            def __init__(self):
                raise RuntimeError("built")
    """})  # fmt: skip

    starter, *_, err = launch("-m", "model=bomb", "seed=1,2")

    assert err == ""
    assert len(make(starter.jobs)) == 2


def test_a_program_without_run_directories_executes_a_multirun_itself(at, train):
    outcome = train("-m", "seed=1,2")

    assert [config.seed for config, _ in outcome.jobs] == [1, 2]
