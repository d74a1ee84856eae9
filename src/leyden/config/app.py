"""The command line of a composed program: Hydra's, with its mistakes told in our words.

    argv ─► flags that only show something (--help --cfg --info ...) ─► Hydra's own main
       └──► compose ─► check ─┬─► one run, here ─► task
                              ├─► a launcher of ours ─► starter.start(launcher, jobs)
                              └─► a launcher of Hydra's: it runs each job of a multirun ─► task

A single run is composed once, and so is each run that a launcher of ours is given. For Hydra's
launchers all grid points are checked first, and Hydra composes each job again when it runs it: a
tenth of a second, for which they keep working. Every mistake is found before a directory is made.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.types import RunMode
from omegaconf import DictConfig

from leyden.config.build import BuildError
from leyden.config.check import ensure
from leyden.config.compose import Composed, Session, session, version_base
from leyden.config.grid import check_grid
from leyden.config.hydra_keys import Use, settle_hydra_keys
from leyden.config.jobs import Job, Task, context, typed
from leyden.config.launchers import LOCAL, LauncherPlugin, Starter, plugin_of
from leyden.config.overrides import several
from leyden.config.parts import prove_parts
from leyden.config.plain import plain, settle
from leyden.config.problems import ConfigProblems, Problem
from leyden.config.project import load_resolvers, put_project_on_path, shipped_conf
from leyden.config.search_path import register
from leyden.errors import ConfigurationError, RunError
from leyden.terminal import complain
from leyden.tracebacks import FLAG, told

FAILED = 1  # exit code of a constructor that raised
USAGE = 2  # exit code of a command that was not meant as it was given
LAUNCHER = "hydra/launcher"


def run_app(config_name: str, argv: Sequence[str], task: Task, starter: Starter | None = None) -> int:
    """Run *task* on what *argv* composes, or have a launcher run it.

    Args:
        config_name: Of the primary config, ``"train"`` say.
        argv: Everything after the name of the command.
        task: Called with the checked config (not resolved, see `freeze`) and its context,
            once per job. What it returns is the exit code; None counts as 0.
        starter: Makes run directories for launchers that are handed some. A program without one
            runs everything itself, one after the other, where Hydra's launchers do not.

    Returns:
        0, the first code other than 0 that a task returned, or 2 if the command was not
        meant as it was given; the reason is then on the standard error stream, and
        nothing has been made or touched.
    """
    try:
        return _run(config_name, list(argv), Execution(task, starter))
    except ConfigurationError as error:
        complain(told(error))
        return USAGE
    except RunError as error:  # of a sweep that cannot go on without the result of a run
        complain(error)
        return FAILED
    except SystemExit as leaving:  # argparse and Hydra leave this way after showing something
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def _run(config_name: str, argv: list[str], task: Execution) -> int:
    put_project_on_path()
    load_resolvers()
    arguments, unknown = get_args_parser().parse_known_intermixed_args(argv)
    if unknown:
        raise ConfigProblems([_flag(word) for word in unknown if word.startswith("-")], "the command line")
    if arguments.shell_completion or arguments.hydra_help or arguments.experimental_rerun:
        return _hydra_main(config_name, argv, arguments.config_path)
    name, overrides = arguments.config_name or config_name, list(arguments.overrides)
    config_path = Path(arguments.config_path) if arguments.config_path else None
    config_dir = Path(arguments.config_dir) if arguments.config_dir else None
    with session(name, config_path, config_dir) as opened:
        single = not arguments.multirun and not several(overrides)
        composed = opened.compose(overrides) if single else opened.compose_common(overrides)
        if not (arguments.help or arguments.cfg or arguments.info):
            if single and composed.hydra.mode in (None, RunMode.RUN):
                return _execute_once(opened, composed, task)
            return _execute_many(opened, composed, task, arguments.multirun, overrides)
    shown = [*overrides, *(word for word in argv if word not in overrides)]  # Hydra wants them in one piece
    if arguments.resolve and not any(line.lstrip("+").startswith("paths.run_dir=") for line in overrides):
        shown = ["paths.run_dir='<run_dir>'", *shown]  # only a run that is made has one
    return _hydra_main(config_name, shown, arguments.config_path)


def _flag(word: str) -> Problem:
    bare = word.lstrip("-")
    hint = f"Values of the config are given without dashes: {bare}" if "=" in bare else "See --help"
    return Problem(word, f"is no flag. {hint}")


def _execute_once(opened: Session, composed: Composed, task: Execution) -> int:
    opened.check_choices(composed.overrides)
    plugin = _launcher(composed, task)
    launched = plugin is not None and task.starter is not None and _is_chosen(composed)
    settle_hydra_keys(composed, Use(many=False, launched=launched))
    ensure(composed.config, composed.origins)
    if plugin is None or task.starter is None or not launched:
        return _code(opened.run(composed, task))
    return task.starter.start(plugin, [Job(composed.config, context())])


def _execute_many(
    opened: Session, composed: Composed, task: Execution, multirun: bool, overrides: Sequence[str]
) -> int:
    mode = RunMode.MULTIRUN if multirun else composed.hydra.mode or RunMode.RUN
    if mode is RunMode.RUN:
        opened.review(overrides, mode)  # refuses several values where no multirun was asked for
    plugin = _launcher(composed, task)
    settle_hydra_keys(composed, Use(many=True, launched=plugin is not None and task.starter is not None))
    gc.freeze()  # all that was imported stays: looking through it for garbage is a tenth of the time of a large grid
    jobs = check_grid(opened, composed, overrides)
    if plugin is not None and task.starter is not None and jobs is not None:
        return task.starter.start(plugin, jobs)
    prove_parts([plain(job.config).values for job in jobs or ()], [job.context.overrides for job in jobs or ()])
    here = ["hydra/launcher=basic"] if plugin is not None and task.starter is None else []
    overrides = [*opened.for_hydra(overrides), *here, "hydra.mode=MULTIRUN"]
    return _code(opened.app.multirun(config_name=opened.config_name, task_function=task, overrides=overrides))


def _launcher(composed: Composed, task: Execution) -> LauncherPlugin | None:
    """Return the launcher that directories are handed to; None where Hydra's own runs the task."""
    plugin = plugin_of(composed.hydra)
    most = composed.hydra.sweeper.get("max_batch_size")
    if plugin is not None and task.starter is not None and most is not None:
        said = f"is {most}, but this launcher limits itself how many run at a time: see hydra.launcher. Leave it out"
        raise ConfigProblems([Problem("hydra.sweeper.max_batch_size", said)], "the config of Hydra")
    return plugin


def _is_chosen(composed: Composed) -> bool:
    """Whether somebody wants the launcher for a single run, too, rather than for multiruns only."""
    asked = any(line.partition("=")[0] == LAUNCHER for line in typed(composed.hydra, "hydra"))
    return asked or composed.choices.get(LAUNCHER) != LOCAL


@dataclass(frozen=True)
class Execution:
    """What Hydra calls for each job; a launcher of ours takes the starter from it instead.

    Args:
        task: Executes one composed and checked config.
        starter: See `run_app`.
    """

    task: Task
    starter: Starter | None

    def __call__(self, config: DictConfig) -> int:
        """Execute one job in this process, and return its exit code."""
        settle(config)
        try:
            code = self.task(config, context())
        except ConfigurationError as error:
            complain(told(error))
            return USAGE
        except BuildError as error:
            complain(f"{told(error)}\nnothing was made; all frames: {FLAG} full")
            return FAILED
        return code if isinstance(code, int) else 0


def _code(outcome: Any) -> int:
    """Return the first exit code other than 0 in what Hydra returns: one job, or batches of them."""
    if isinstance(outcome, list | tuple):
        return next((code for code in map(_code, outcome) if code), 0)
    value = getattr(outcome, "return_value", 0)
    return value if isinstance(value, int) else 0


def _hydra_main(config_name: str, argv: list[str], config_path: str | None) -> int:
    """Let Hydra's own main show what *argv* asks for."""
    register()
    primary = str(Path(config_path).resolve() if config_path else shipped_conf())
    before, sys.argv = sys.argv, ["leyden", *argv, *(["--config-path", primary] if config_path else [])]
    try:
        hydra.main(config_path=primary, config_name=config_name, **version_base())(_nothing)()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    finally:
        sys.argv = before
    return 0


def _nothing(config: DictConfig) -> None:
    """Stand in for a task where Hydra only shows something."""
