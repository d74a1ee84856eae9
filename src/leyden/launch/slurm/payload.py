"""What submitit calls in a job: the process becomes ``python -m leyden.run DIR`` at once.

    srun ─► python -m submitit.core._submit FOLDER ─► execute(DIR) ─► exec: python -m leyden.run DIR

submitit, its handlers of signals and its waiting for a result are gone then: the rank is the
process that srun started, gets its signals itself, and its exit code is the run's. Nothing heavy
is imported on the way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from leyden.processes import signals

CODE_ROOT = "LEYDEN_CODE_ROOT"  # see leyden.config.project, which is too slow to import here


def execute(
    directory: str, code: str | None = None, trusted: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> None:
    """Execute a run directory in the place of this process; does not return.

    Args:
        directory: Of the run.
        code: Folder of a frozen copy of the code; None for the code where it is.
        trusted: What its config may name, as ``--trust`` takes it.
        variables: More variables of the environment.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUBMITIT_")}
    environment |= variables or {}
    if code is not None:
        paths = [code, os.path.join(code, "src"), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {CODE_ROOT: code, "PYTHONPATH": os.pathsep.join(paths)}
    sys.stdout.flush()
    sys.stderr.flush()
    trust = [word for each in trusted for word in ("--trust", each)]
    words = [sys.executable, "-u", "-P", "-m", "leyden.run", directory, *trust]
    signals.block_for_exec()
    os.execve(sys.executable, words, environment)
