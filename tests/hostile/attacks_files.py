"""Files of a run directory that are not what they should be: links, pipes, other processes' numbers, damage."""

from __future__ import annotations

import os
from pathlib import Path

from tests.hostile.arena import LISTING, READING, Attack, Kind, Sandbox


def config_is_a_pipe(run: Path, sandbox: Sandbox) -> None:
    (run / "config.yaml").unlink()
    os.mkfifo(run / "config.yaml")


ATTACKS = [
    Attack("the config is a pipe", Kind.DAMAGED, config_is_a_pipe, refused_by=("run", "evaluate", "reproduce"),
           harmless_to=(*LISTING, *READING), said=r"config\.yaml", wall="runs.directory.RunDirectory"),
]  # fmt: skip
