"""Find the finished run that a new one would repeat: the same signature, and the same code.

What cannot be told is not the same: a run without a manifest, one that was resumed with
other code, or a folder whose code cannot be read stands in for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leyden.config.frozen import dump
from leyden.config.project import shown
from leyden.runs import code
from leyden.runs.listing import Run, list_runs
from leyden.runs.manifest import project_of
from leyden.runs.record.state import RunState
from leyden.runs.sections import Sections
from leyden.runs.signature import signature


@dataclass(frozen=True)
class Identical:
    """What was found.

    Args:
        run: The newest identical run; None if there is none.
        reason: Why there is none.
    """

    run: Run | None
    reason: str = ""


def identical(config: Mapping[str, Any], output_dir: Path, cache: Path | None = None) -> Identical:
    """Return the newest finished run below *output_dir* that is what *config* would become.

    Args:
        config: Complete and resolved, with a ``paths.run_dir`` that need not exist.
        output_dir: May not exist yet.
        cache: Folder for the index; None for the user's cache.
    """
    runs = list_runs(output_dir, cache) if output_dir.is_dir() else []
    wanted = signature_of(dump(config))
    alike = [run for run in runs if run.facts["signature"] == wanted]
    finished = [run for run in alike if run.state is RunState.FINISHED]
    if not finished:
        return Identical(None, _unfinished(alike, output_dir))
    here = code.state(project_of(str(config.get("paths", {}).get("work_dir") or Path.cwd())))["hash"]
    same = [run for run in finished if here and run.facts["code"].get("hash") == here]
    return Identical(same[0]) if same else Identical(None, _other_code(finished))


def signature_of(text: str) -> str:
    """Return the signature of a config, as it is written to ``config.yaml``."""
    sections = Sections()
    return signature({sections.rows[number][1]: sections.rows[number][3] for number in sections.read(text).values()})


def _unfinished(alike: Sequence[Run], output_dir: Path) -> str:
    if not alike:
        return f"no run in {shown(output_dir)} has this config"
    return f"{shown(alike[0].path)} has this config, but is not finished: it is {alike[0].state}"


def _other_code(finished: Sequence[Run]) -> str:
    newest = finished[0]
    if newest.facts["code"].get("hash"):
        return f"{shown(newest.path)} has this config, but was made by other code"
    return f"{shown(newest.path)} has this config, but which code made it is not known"
