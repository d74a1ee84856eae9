"""``leyden train [overrides]``: compose, check, make the run directory, execute it here or have a launcher do it.

With ``--reuse`` a finished run with the same config and the same code stands in for a new one; with ``--check`` nothing
is made, and one batch of each stage shows whether anything is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from leyden.cli import check, from_run, startup
from leyden.cli.config_tree import tree
from leyden.cli.following import announce, several, together
from leyden.cli.launching import Starting
from leyden.cli.making import attempts, begun, proven
from leyden.cli.outcome import USAGE, run_and_report
from leyden.cli.reuse import report_identical
from leyden.config.app import run_app
from leyden.config.jobs import Context
from leyden.errors import ConfigurationError, RunError
from leyden.experiment import Experiment
from leyden.launch.ranks import check_machines
from leyden.runs.directory import RunDirectory
from leyden.terminal import complain
from leyden.tracebacks import told

REUSE = "--reuse"
STOPPED = 128  # exit codes above are signals


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    try:
        run, given = from_run.taken([word for word in argv if word not in (REUSE, check.FLAG)])
        words = given if run is None else from_run.words_for(run, given)
    except (ConfigurationError, RunError) as error:
        complain(told(error))
        return USAGE
    reuse = REUSE in argv
    if check.FLAG in argv:
        return run_app("train", check.handed_over(words), check.task, check.Checking())
    starter = None if several() else Starting(reuse)  # ranks hand nothing to a launcher: they are what it would start
    return together(lambda: run_app("train", words, partial(task, reuse=reuse), starter))


def task(config: DictConfig, context: Context, reuse: bool = False) -> int:
    """Execute one composed and checked config; with *reuse* only if no finished run is identical."""
    if reuse and report_identical(next(attempts(config, context))[1], Path(config.paths.output_dir)):
        return 0
    code = run_and_report(*create(config, context), new=Path(config.paths.output_dir))
    if context.job_num is not None and code > STOPPED:
        raise SystemExit(code)  # a signal is meant for the whole multirun, not for one of its jobs
    return code


def create(config: DictConfig, context: Context) -> tuple[RunDirectory, Experiment]:
    """Build the experiment and make its directory, in this order: what cannot be built leaves nothing behind."""
    for path, frozen in attempts(config, context):
        if context.job_num is None:  # of a multirun some jobs may be done
            startup.ensure(frozen.get("deterministic"))
        experiment = proven(path, frozen)
        if experiment.trainer.strategy.to_start:
            check_machines(
                experiment.trainer.strategy.num_processes, experiment.trainer.num_nodes, "-m leyden train ..."
            )
        directory = begun(path, frozen, context)
        if directory is not None:
            announce(directory)
            if frozen.get("print_config"):
                print("\n".join(tree(frozen)))
            return directory, experiment
    raise AssertionError("`attempts` raises when it has no more")
