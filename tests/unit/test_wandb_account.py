"""Who is logged in to W&B is read from where W&B reads it, and a run without an account is refused early."""

from __future__ import annotations

import pytest

from leyden.errors import ConfigurationError
from leyden.loggers import WandbLogger
from leyden.loggers.wandb_account import is_known, is_online


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


def test_a_run_that_would_go_to_a_server_without_an_account_is_refused():
    with pytest.raises(ConfigurationError, match="nobody is logged in"):
        WandbLogger().check()


@pytest.mark.parametrize(
    ("name", "value"),
    [("WANDB_API_KEY", "0" * 40), ("WANDB_MODE", "offline"), ("WANDB_MODE", "disabled"), ("WANDB_MODE", "dryrun")],
)
def test_a_variable_is_enough(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    WandbLogger().check()


def test_so_is_what_wandb_login_and_wandb_offline_write(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password 0123\n")
    assert is_known()
    (tmp_path / ".netrc").write_text("no such thing\n")
    assert not is_known()
    (tmp_path / "elsewhere").write_text("machine own.example.org login user password 0123\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "elsewhere"))
    assert is_known()

    assert is_online(None)
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb/settings").write_text("[default]\nmode = offline\n")
    assert not is_online(None)
    assert is_online("online")


@pytest.mark.parametrize("options", [{"offline": True}, {"mode": "offline"}, {"mode": "disabled"}])
def test_so_is_an_argument(options):
    WandbLogger(**options).check()
