"""Execute a run directory on a terminal: what is printed at its end, and the exit code.

0 finished · 1 failed · 2 could not be meant · 130 stopped by Ctrl-C · 143 stopped by SIGTERM
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from leyden.config.project import shown
from leyden.errors import ConfigurationError, Interrupted, LeydenError, RunError, UnsafeCheckpointError
from leyden.experiment import Experiment
from leyden.runs.directory import RunDirectory
from leyden.runs.execution import execute


def run_and_report(
    directory: RunDirectory,
    experiment: Experiment | None = None,
    trusted: Sequence[str] = (),
    until: int | None = None,
) -> int:
    """Execute *directory*, print its outcome, and return the exit code; the arguments are those of `execute`."""
    place = shown(directory.path)
    try:
        results = execute(directory, experiment, trusted, until)
    except Interrupted as stop:
        lost = "" if stop.checkpoint else ", nothing saved: checkpoints are off"
        print(f"\n{stop}{lost}\nresume with:  leyden run {place}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print(f"\nstopped at once\nresume from the last checkpoint with:  leyden run {place}", file=sys.stderr)
        return 130
    except (ConfigurationError, RunError, UnsafeCheckpointError) as error:
        print(f"{error}\nrun directory  {place}", file=sys.stderr)
        return 2
    except LeydenError as error:
        print(f"{error}\nrun directory  {place}", file=sys.stderr)
        return 1
    except Exception:
        print(f"run directory  {place}\n", file=sys.stderr)
        raise
    print(table(results))
    print(f"run directory  {place}")
    return 0


def table(results: Mapping[str, float]) -> str:
    """Format final metrics, one line each."""
    if not results:
        return "no metrics were logged"
    width = max(map(len, results))
    rows = [f"{name:<{width}}  {value:.6g}" for name, value in sorted(results.items())]
    rule = "─" * max(map(len, rows))
    return "\n".join(["", "results", rule, *rows, rule])
