"""Whether W&B would be online, and for whom: read from where W&B itself reads it, without starting its service.

Sources, as its documentation names them: https://docs.wandb.ai/models/track/environment-variables
"""

from __future__ import annotations

import configparser
import netrc
import os
from pathlib import Path

_ONLINE = ("online", "shared", "run")
_KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


def is_online(mode: str | None) -> bool:
    """Tell whether a run would be sent to a server.

    Args:
        mode: Given to `wandb.init`; None leaves it to WANDB_MODE, and that to what ``wandb offline`` wrote down.
    """
    return (mode or os.environ.get("WANDB_MODE") or _written_mode() or _ONLINE[0]) in _ONLINE


def is_known() -> bool:
    """Tell whether an account is named: by a variable, or by an entry of a ``.netrc`` file."""
    if any(os.environ.get(name) for name in _KEYS):
        return True
    given = os.environ.get("NETRC")
    return any(
        _has_entries(Path(each)) for each in ([given] if given else [Path.home() / ".netrc", Path.home() / "_netrc"])
    )


def _has_entries(file: Path) -> bool:
    try:
        return bool(netrc.netrc(file).hosts)
    except (OSError, netrc.NetrcParseError):
        return False


def _written_mode() -> str | None:
    settings = configparser.ConfigParser()
    try:
        settings.read(Path("wandb") / "settings", encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError):
        return None
    return settings.get("default", "mode", fallback=None)
