"""A secret is refused in a config; a reference to one is kept as it is and looked up when the run is executed."""

import pytest

from leyden.config.build import build
from leyden.config.check import check
from leyden.config.compose import compose
from leyden.config.frozen import dump, freeze, load
from leyden.config.problems import ConfigProblems
from leyden.config.references import resolved
from leyden.secrets import MASK, masked

KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
REFERENCE = "${oc.env:MY_SERVICE_KEY}"
TYPED = "+logger.csv.api_key"


def problems(*overrides):
    composed = compose(list(overrides))
    return [one for one in check(composed.config, composed.origins) if "secret" in one.message]


def frozen(tmp_path, *overrides):
    return freeze(compose(list(overrides)).config, tmp_path / "run")


def test_a_secret_on_the_command_line_is_refused_without_repeating_it():
    (problem,) = problems(f"{TYPED}={KEY}")

    assert problem.path == "logger.csv.api_key"
    assert "looks like a secret" in problem.message
    assert "logger.csv.api_key='${oc.env:CSV_API_KEY}'" in problem.message
    assert problem.origin == "command line"
    assert KEY not in str(problem)


def test_a_secret_that_the_shell_took_from_a_variable_is_told_which(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)

    (problem,) = problems(f"+logger.csv.note=x{KEY}")

    said = str(problem)
    assert (
        "the value of the environment variable MY_SERVICE_KEY, and write logger.csv.note='${oc.env:MY_SERVICE_KEY}'"
        in said
    )


def test_a_secret_as_the_default_of_a_reference_is_refused():
    (problem,) = problems(f"{TYPED}='${{oc.env:MY_SERVICE_KEY,{KEY}}}'")

    assert KEY not in str(problem)


def test_a_reference_is_no_problem(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)

    assert problems(f"{TYPED}='{REFERENCE}'") == []


@pytest.mark.parametrize(
    "word",
    ["experiment=char_lm", "experiment=lit_mnist", "logger=many", "logger=mlflow", "model=transformer data=text"],
)
def test_nothing_that_is_shipped_looks_like_a_secret(word):
    assert problems(*word.split()) == []


def test_a_reference_stays_one_in_the_frozen_config(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)

    config = frozen(tmp_path, f"{TYPED}='{REFERENCE}'", "++logger.csv.note='key ${oc.env:MY_SERVICE_KEY}'")

    assert config["logger"]["csv"]["api_key"] == REFERENCE
    assert config["logger"]["csv"]["note"] == "key ${oc.env:MY_SERVICE_KEY}"
    assert config["logger"]["csv"]["save_dir"] == str(tmp_path / "run")
    assert KEY not in dump(config)


def test_what_refers_to_a_reference_stays_one_too(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)

    config = frozen(
        tmp_path, f"{TYPED}='{REFERENCE}'", "++logger.csv.other='${logger.csv.api_key}'", "++logger.d='${.csv}'"
    )

    assert config["logger"]["csv"]["other"] == "${logger.csv.api_key}"
    assert config["logger"]["d"] == "${.csv}"
    assert resolved(config)["logger"]["d"]["other"] == KEY
    assert masked(f"leyden.loggers.CSVLogger {KEY}") == f"leyden.loggers.CSVLogger {MASK}"


def test_a_variable_that_is_not_set_yet_is_looked_up_later(tmp_path, monkeypatch):
    config = frozen(tmp_path, f"{TYPED}='${{oc.env:MY_SERVICE_KEY,null}}'")
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)

    assert config["logger"]["csv"]["api_key"] == "${oc.env:MY_SERVICE_KEY,null}"
    assert resolved(config)["logger"]["csv"]["api_key"] == KEY


def test_an_ordinary_variable_is_resolved_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_FOLDER", "here")

    config = frozen(tmp_path, "name='${oc.env:MY_FOLDER}'")

    assert config["name"] == "here"


def test_execution_gets_the_value_and_the_file_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)
    config = frozen(tmp_path, "++logger.csv.prefix='${oc.env:MY_SERVICE_KEY}'")
    (tmp_path / "config.yaml").write_text(dump(config))

    experiment = build(load(tmp_path / "config.yaml"))

    assert experiment.trainer.loggers[0]._prefix == KEY
    assert KEY not in (tmp_path / "config.yaml").read_text()


def test_a_variable_missing_at_execution_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)
    config = frozen(tmp_path, "++logger.csv.prefix='${oc.env:MY_SERVICE_KEY}'")
    monkeypatch.delenv("MY_SERVICE_KEY")

    with pytest.raises(ConfigProblems) as caught:
        build(config)

    assert "logger.csv.prefix" in str(caught.value)
    assert "refers to the environment variable MY_SERVICE_KEY, which is not set here" in str(caught.value)
    assert "export MY_SERVICE_KEY=..." in str(caught.value)


@pytest.mark.parametrize(
    "word",
    [
        "name='x-${oc.env:MY_SERVICE_KEY}'",
        f"name=run-{KEY}",
        "name=hf_aB3dE5fG7hI9kL1mN2oP4qR6sT8uV0wX",
        "+callbacks.checkpoint.filename='a-${oc.env:MY_SERVICE_KEY}'",
        "logger.csv.name='${oc.env:MY_SERVICE_KEY}'",
        "paths.output_dir='runs/${oc.env:MY_SERVICE_KEY}'",
        f"paths.output_dir=runs/{KEY}",
    ],
)
def test_a_secret_is_refused_as_the_name_of_a_file_even_if_it_is_referred_to(word, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)

    found = problems(word)  # of the key itself, and of those that refer to it

    assert found
    assert all("becomes the name of a file" in problem.message for problem in found)
    assert not any(KEY in str(problem) for problem in found)


def test_a_run_directory_is_not_made_below_a_folder_named_after_a_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_KEY", KEY)

    with pytest.raises(ConfigProblems, match="becomes the name of a file"):
        freeze(compose([]).config, tmp_path / KEY / "run")


@pytest.mark.parametrize("uri", ["https://me:hunter2@mlflow.example.org", "https://0a1b2c3d4e5f@mlflow.example.org"])
def test_a_tracking_uri_with_a_password_stays_a_reference_to_its_variable_alone(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    config = frozen(tmp_path, "logger=mlflow")

    assert config["logger"]["mlflow"]["tracking_uri"] == "${oc.env:MLFLOW_TRACKING_URI}"
    assert resolved(config)["logger"]["mlflow"]["tracking_uri"] == uri
