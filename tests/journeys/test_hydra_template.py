"""The page for those who come from lightning-hydra-template is true: its files train, search, and are evaluated."""

import re
from pathlib import Path

import pytest
import yaml

import leyden
from tests.journeys.command import leyden as command
from tests.journeys.command import only_run

PAGE = Path(leyden.__file__).parent / "lightning" / "hydra_template.md"
pytestmark = pytest.mark.usefixtures("a_cache_of_its_own")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The files that the page shows, where it says that they lie."""
    folder = tmp_path_factory.mktemp("project")
    blocks = re.findall(
        r"```(?:python|yaml)\n# (\S+\.(?:py|yaml))\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert [name for name, _ in blocks] == [
        "src/models/digits_module.py",
        "conf/model/digits.yaml",
        "conf/experiment/example.yaml",
        "conf/hparams_search/rates.yaml",
    ]
    for name, text in blocks:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def trained(project):
    said = command(project, "train", "experiment=example", "print_config=true")
    return only_run(project, "example"), said


def test_the_port_trains_and_is_evaluated(project, trained):
    run, _ = trained
    config = yaml.safe_load((run / "config.yaml").read_text())

    assert (config["name"], config["seed"], config["trainer"]["max_epochs"]) == ("example", 12345, 3)
    assert "test/acc" in command(project, "evaluate", str(run))
    assert "test/acc" in command(project, "evaluate", str(run / "checkpoints" / "last.ckpt"))
    assert any("epoch" in path.name for path in (run / "checkpoints").iterdir())


def test_the_config_is_printed_as_a_tree(project, trained):
    run, said = trained

    shown = command(project, "runs", "show", str(run), "--tree").splitlines()

    assert shown[0] == "config"
    assert shown[1] == "├── model"
    assert "│   ├── optimizer" in shown
    assert "│   │   ├── lr: 0.002" in shown or "│   │   └── lr: 0.002" in shown
    assert '├── tags: ["digits", "simple_dense_net"]' in shown
    assert all(line in said.splitlines() for line in shown)
    assert "├── " not in command(project, "train", "experiment=example", "trainer.fast_dev_run=true", "name=quiet")


def test_a_search_of_the_page_runs_all_its_points(project):
    said = command(project, "train", "+hparams_search=rates", "experiment=example", "trainer.max_epochs=1",
                   "trainer.min_epochs=1")  # fmt: skip

    assert said.rstrip().endswith("4 finished")
    assert said.count("± ") == 2
    assert "best   model.optimizer.lr=" in said


@pytest.mark.parametrize("words", [["train"], ["train", "-m", "seed=1,2"], ["train", "hydra/launcher=local"]])
@pytest.mark.parametrize("tags", ["[]", "['']"])
def test_tags_can_be_required(project, words, tags):
    before = {path for path in project.rglob("*") if "runs" in path.parts}

    said = command(project, *words, "experiment=example", "name=none", f"tags={tags}", code=2)

    assert "tags_required=true" in said
    assert "'tags=[mnist,first]'" in said
    assert {path for path in project.rglob("*") if "runs" in path.parts} == before
