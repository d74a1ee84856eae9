"""Each place that writes leaves secrets out: printed lines, names of metrics, states, patches, batch scripts."""

import io
import sys
from pathlib import Path

import pytest

from leyden import plain
from leyden.cli.masked_output import MaskedStream
from leyden.errors import ConfigurationError
from leyden.launch.slurm.options import Options
from leyden.launch.slurm.script import text
from leyden.log_rules import checked_name
from leyden.loggers.hparams import plain_params
from leyden.loggers.row import prefixed
from leyden.loggers.wandb_run import _kept_quiet, _own_words
from leyden.runs.code import masked_patch

TOKEN = "hf_" + "aB3dE5fG7hI9" * 3
KEY = "-----BEGIN PRIVATE KEY-----", "MIIEone", "MIIEtwo", "-----END PRIVATE KEY-----"


class Session:
    """An object among hyper-parameters."""

    def __init__(self, **given):
        self.__dict__.update(given)


def printed(*pieces, flush=()):
    below = io.StringIO()
    stream = MaskedStream(below)
    for at, piece in enumerate(pieces):
        stream.write(piece)
        if at in flush:
            stream.flush()
    stream.flush()
    return below.getvalue()


def test_a_name_and_its_value_printed_one_after_the_other_are_masked():
    assert printed("password:", " ", "hunter2", "\n", "epoch 1\n") == "password: <secret>\nepoch 1\n"
    assert printed("api_", "key=", "abc", "\nlr=1") == "api_key=<secret>\nlr=1"


def test_what_is_not_a_whole_line_is_printed_when_the_stream_is_flushed():
    assert printed("epoch 1", " of 3", flush=(0,)) == "epoch 1 of 3"
    assert printed("50 %\r", "100 %\r") == "50 %\r100 %\r"


def test_a_private_key_printed_line_by_line_is_masked():
    said = printed("before\n", *(f"{line}\n" for line in KEY), "after\n")

    assert said.startswith("before\n")
    assert said.endswith("after\n")
    assert "MIIE" not in said
    assert said.count("\n") == 6


def test_names_of_metrics_hold_no_secret():
    assert prefixed({f"loss {TOKEN}": 1.0, "acc": 2.0}, "p") == {"p-loss <secret>": 1.0, "p-acc": 2.0}
    assert prefixed({"acc": 2.0}, TOKEN) == {"<secret>-acc": 2.0}
    with pytest.warns(UserWarning, match="kept as 'loss of <secret>'"):
        assert checked_name(f"loss of {TOKEN}") == "loss of <secret>"


def test_hyper_parameters_of_loggers_hold_none_in_lists_and_keys():
    given = {"urls": ["https://me:pw1@host", "x"], f"key {TOKEN}": 1, "passwords": ["a", "b"], "pad_token": "[PAD]"}

    assert plain_params(given) == {
        "urls": ["https://<secret>@host", "x"], "key <secret>": 1, "passwords": ["<secret>", "<secret>"],
        "pad_token": "[PAD]",
    }  # fmt: skip


def test_hyper_parameters_of_checkpoints_leave_out_lists_and_objects_that_hold_one():
    given = {"width": 3, "urls": ["https://me:pw1@host"], "session": Session(api_key="abc"), "plan": Session(size=3)}

    with pytest.warns(UserWarning, match=r"Net\.hparams") as warned:
        kept = plain.storable(given, "Net.hparams")

    assert sorted(kept) == ["plan", "width"]
    assert any("Net.hparams.session holds what looks like a secret" in str(each.message) for each in warned)


def test_states_that_hold_none_are_what_they_were():
    state = {"callbacks": {"a": {"best": "x.ckpt", "count": (1, 2)}}}

    assert plain.without_secrets(state, "checkpoint") is state


def test_states_leave_out_what_looks_like_a_secret():
    state = {"client": {"api_key": "abc", "seen": [TOKEN, "x"], "count": 3}, "token": TOKEN}

    with pytest.warns(UserWarning, match="looks like a secret"):
        assert plain.without_secrets(state, "checkpoint") == {"client": {"count": 3}}


def test_settings_in_a_patch_are_masked_by_their_names_and_programs_by_their_literals():
    settings = "diff --git a/a.yaml b/a.yaml\n--- a/a.yaml\n+++ b/a.yaml\n@@ -1 +1 @@\n-password: abc\n+password: def\n"
    program = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-password: str\n+password = get()\n"

    clean, lines = masked_patch((settings + program).encode())

    assert lines == 2
    assert clean.decode() == settings.replace("abc", "<secret>").replace("def", "<secret>") + program


@pytest.mark.parametrize(
    "given",
    [{"setup": ["export API_KEY=abc123"]}, {"comment": TOKEN}, {"additional_parameters": {"password": "x"}}],
)
def test_a_batch_script_with_a_secret_is_not_written(given):
    with pytest.raises(ConfigurationError, match="holds what looks like a secret") as caught:
        text(Options(**given), Path("folder"), "name", 1)

    assert "abc123" not in str(caught.value)


def test_weights_and_biases_is_not_given_what_it_would_copy(monkeypatch):
    for name in ("WANDB_CONSOLE", "WANDB_DISABLE_GIT"):
        monkeypatch.delenv(name, raising=False)

    kept = _kept_quiet({"name": f"run {TOKEN}", "tags": [TOKEN, "x"], "dir": "/x"})

    assert kept == {
        "name": "run <secret>", "tags": ["<secret>", "x"], "dir": "/x",
        "settings": {"console": "off", "disable_git": True},
    }  # fmt: skip
    assert _kept_quiet({"settings": "own"})["settings"] == "own"


def test_weights_and_biases_is_shown_the_command_line_without_secrets():
    before = sys.argv
    sys.argv = ["train.py", "--password", "hunter2", f"name={TOKEN}", "seed=1"]
    try:
        with _own_words():
            shown = sys.argv
        assert sys.argv[2] == "hunter2"
    finally:
        sys.argv = before

    assert shown == ["train.py", "--password", "<secret>", "name=<secret>", "seed=1"]
