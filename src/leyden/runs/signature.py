"""When two runs are the same: a signature over everything in the config that can change what comes out.

The signature is a SHA-256 over the values of the resolved config, less those below: they
say where things are kept, what it is called and what is shown, and cannot change a weight
or a metric. The run's own directory counts as ``<run_dir>`` wherever it occurs. Values are
compared as they are written: 1 and 1.0 differ, since to ``limit_train_batches`` one
means a batch and the other an epoch.

The code is not part of it: its hash stands in the manifest, and both have to agree before
one run may stand for another (`leyden.runs.reuse`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

VERSION = 1
IRRELEVANT = (
    "name",
    "tags",
    "tags_required",
    "print_config",
    "optimized_metric",  # which of the results a sweep looks at
    "paths",  # data sets whose place is part of the config have it under their own keys, too
    "logger",
    "hydra",
    "snapshot",  # of the sources, kept or not
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.profiler",
)
DISPLAYS = frozenset(  # of leyden.callbacks
    (
        *("default_progress_bar", "LineProgress", "ProgressBar", "RichProgressBar", "TQDMProgressBar"),
        *("ModelSummary", "RichModelSummary"),
    )
)


def relevant(top: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of one top-level part of a config.

    Left out beside `IRRELEVANT`: a top-level key or a callback that is null or empty, which is
    the same as none, and callbacks that only display.

    Args:
        top: Its key.
        values: By dotted path.
    """
    dropped = {*IRRELEVANT, *(_displays(values) if top == "callbacks" else ())}
    kept = {key: value for key, value in values.items() if not any(_below(key, path) for path in dropped)}
    least = 2 if top == "callbacks" else 1  # parts of the path of what may be null
    return {key: value for key, value in kept.items() if value not in (None, {}) or key.count(".") >= least}


def identity(top: str, values: Mapping[str, Any]) -> str:
    """Return what one top-level part contributes to the signature: a hash, or "" for nothing."""
    kept = relevant(top, values)
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:32] if kept else ""


def signature(parts: Mapping[str, str]) -> str:
    """Return the signature of a config, given what each top-level part contributes."""
    lines = [f"{top} {part}" for top, part in sorted(parts.items()) if part]
    return hashlib.sha256("\n".join([f"leyden signature {VERSION}", *lines]).encode()).hexdigest()


def _below(key: str, path: str) -> bool:
    return key == path or key.startswith(f"{path}.")


def _displays(values: Mapping[str, Any]) -> list[str]:
    """Return the paths of callbacks that change nothing."""
    targets = {key: value for key, value in values.items() if key.count(".") == 2 and key.endswith("._target_")}
    return [key.removesuffix("._target_") for key, value in targets.items() if _only_displays(str(value))]


def _only_displays(target: str) -> bool:
    return target.startswith("leyden.callbacks.") and target.rpartition(".")[2] in DISPLAYS
