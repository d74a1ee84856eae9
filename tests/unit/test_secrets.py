"""What looks like a secret is told from what does not, and leaves no trace in what is written."""

import pytest

from leyden import secrets

KEY = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "aB3dE5fG7hI9" * 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "hunter22"),
        ("wandb_api_key", KEY),
        ("apiKey", "x"),
        ("password", "correct horse"),
        ("password", 12345678),
        ("client_secret", "s"),
        ("access-token", "abc"),
        ("token", KEY),
        ("hub_token", TOKEN),
        ("note", TOKEN),
        ("note", "AKIAIOSFODNN7EXAMPLE"),
        ("tracking_uri", "https://me:hunter2@mlflow.example.org/api"),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
    ],
)
def test_a_secret_is_recognised(name, value):
    assert secrets.is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 512),
        ("pad_token", "[PAD]"),
        ("eos_token", "<|endoftext|>"),
        ("token", "word"),
        ("tokenizer", "bert-base-uncased-2"),
        ("secret_size", 5000),
        ("password", ""),
        ("api_key", None),
        ("api_key", "/run/secrets/wandb"),
        ("api_key_file", "keys/wandb.txt"),
        ("use_auth_token", True),
        ("monitor", "val_loss"),
        ("key", "val_loss_epoch_2_of_9"),
        ("commit", KEY),
        ("url", "https://example.org:8080/path@2"),
        ("secret", 3),
    ],
)
def test_an_ordinary_value_is_no_secret(name, value):
    assert not secrets.is_secret(name, value)


def test_the_value_of_a_secret_variable_is_one_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "q7w8e9r0t1y2")

    assert secrets.is_secret("note", "see q7w8e9r0t1y2")
    assert secrets.variable_of("q7w8e9r0t1y2") == "MY_SERVICE_TOKEN"
    assert not secrets.is_secret("note", "see elsewhere")


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "DB_PASSWORD", "OPENAI_KEY"])
def test_variables_are_recognised_by_their_names(name):
    assert secrets.names_variable(name)


@pytest.mark.parametrize("name", ["PATH", "KEYBOARD", "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "MONKEY"])
def test_ordinary_variables_are_not(name):
    assert not secrets.names_variable(name)


def test_messages_are_masked(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "q7w8e9r0t1y2")
    said = f"GET https://me:pw@host/ with q7w8e9r0t1y2, {TOKEN}, api_key='abc' and password: xyz, api_key=None"

    masked = secrets.masked(said)

    assert masked == (
        "GET https://<secret>@host/ with <secret>, <secret>, api_key='<secret>' and password: <secret>, api_key=None"
    )


def test_a_command_line_keeps_references_and_loses_values():
    assert secrets.masked("logger.wandb.api_key=abc123") == "logger.wandb.api_key=<secret>"
    assert secrets.masked("logger.wandb.api_key=${oc.env:KEY}") == "logger.wandb.api_key=${oc.env:KEY}"
    assert secrets.masked("model.max_tokens=3") == "model.max_tokens=3"


def test_in_a_program_only_literals_are_masked():
    program = "api_key = settings.api_key\nclient = Client(password='correct-horse', secret=secret)\nİ = 1\n"

    masked = secrets.masked_code(program)

    assert masked == "api_key = settings.api_key\nclient = Client(password='<secret>', secret=secret)\nİ = 1\n"


def test_every_line_of_a_long_text_is_looked_at():
    lines = [f"line {number}" for number in range(500)]
    lines[3] = lines[499] = f"x = '{TOKEN}'"

    masked = secrets.masked_code("\n".join(lines)).split("\n")

    assert masked[3] == masked[499] == "x = '<secret>'"
    assert masked[4:499] == lines[4:499]


def test_trees_are_masked_and_otherwise_unchanged():
    tree = {"api_key": "abc", "deep": [{"password": "x"}, "seed=3"], "lr": 0.1, "ref": {"token": "${oc.env:T}"}}

    assert secrets.masked_values(tree) == {
        "api_key": "<secret>",
        "deep": [{"password": "<secret>"}, "seed=3"],
        "lr": 0.1,
        "ref": {"token": "${oc.env:T}"},
    }


def test_what_was_looked_up_as_a_secret_is_masked_from_then_on():
    secrets.remember("plum-tart-recipe")

    assert secrets.masked("it says plum-tart-recipe") == "it says <secret>"
