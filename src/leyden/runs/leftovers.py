"""What a killed process leaves of files it was writing: removed when the next one has the directory to itself.

.NAME.PID.tmp    written beside its place, or about to be deleted    `leyden.atomic`
.NAME.ckpt.part  a folder that several ranks fill                    `leyden.sharded`
NAME.ckpt.new    a link that was to take the place of another        `leyden.callbacks.checkpoint_files`
NAME.old.ckpt    a folder whose successor has its name by now        `leyden.atomic`
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from leyden import atomic
from leyden.runs.record.liveness import alive

_SCRATCH = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")
_PART = re.compile(r"\..+\.ckpt\.part")
_LINK = re.compile(r".+\.ckpt\.new")
_REPLACED = re.compile(r"(?P<name>.+)\.old\.ckpt")


def sweep(path: Path) -> None:
    """Remove leftovers below *path*, whose lock this process holds; what a living process writes is left alone."""
    for folder, folders, names in os.walk(path):
        doomed = [name for name in (*folders, *names) if _is_leftover(folder, name)]
        folders[:] = [name for name in folders if name not in doomed]
        for name in doomed:
            atomic.remove(os.path.join(folder, name))


def _is_leftover(folder: str, name: str) -> bool:
    scratch = _SCRATCH.fullmatch(name)
    if scratch is not None:
        writer = int(scratch["pid"])
        return writer == os.getpid() or not alive(writer, None)  # this process writes nothing yet
    replaced = _REPLACED.fullmatch(name)
    if replaced is not None:
        return os.path.isdir(os.path.join(folder, name)) and os.path.exists(
            os.path.join(folder, f"{replaced['name']}.ckpt")
        )
    return bool(_PART.fullmatch(name) or _LINK.fullmatch(name))
