"""``leyden train --reuse``: what is printed where a finished run stands in for a new one, or why none does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leyden.cli.outcome import table
from leyden.config.project import shown
from leyden.runs.reuse import identical
from leyden.terminal import complain


def report_identical(config: Mapping[str, Any], output_dir: Path) -> bool:
    """Print the results of a finished run that is identical to the one *config* describes.

    Args:
        config: Complete and resolved.
        output_dir: Where runs are looked for.

    Returns:
        Whether there is one; if not, the reason has been said.
    """
    found = identical(config, output_dir)
    if found.run is None:
        complain(f"nothing to reuse: {found.reason}")
        return False
    print(table(found.run.facts["metrics"]))
    print("nothing was trained: a finished run has the same config and the same code")
    print(f"run directory  {shown(found.run.path)}")
    return True
