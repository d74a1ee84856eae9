"""``leyden submit``: hand runs to a SLURM cluster, new ones or those that were made before.

leyden submit experiment=NAME seed=3 ...               leyden train hydra/launcher=slurm ...
leyden submit DIR... hydra.launcher.partition=gpu      run directories that exist
leyden submit --dry-run ...                            the batch script, and nothing else
leyden submit --test-only ...                          what the cluster says to it
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leyden.cli.launching import Starting
from leyden.cli.making import attempts
from leyden.cli.train import REUSE, task
from leyden.cli.trusting import add_trust
from leyden.config.app import LAUNCHER, run_app
from leyden.config.compose import compose, session
from leyden.config.jobs import Job
from leyden.config.launchers import LOCAL, LauncherPlugin, plugin_of
from leyden.config.trust import Trust
from leyden.errors import ConfigurationError, RunError
from leyden.launch.slurm import launcher as slurm
from leyden.launch.slurm.plugin import SlurmPlugin
from leyden.launch.slurm.script import tried
from leyden.runs.directory import RunDirectory
from leyden.runs.guard import contained
from leyden.terminal import complain

DEFAULT = f"{LAUNCHER}=slurm"


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    given, words = _parser().parse_known_args(argv)
    directories = [word for word in words if "=" not in word and not word.startswith(("-", "~"))]
    overrides = [word for word in words if word not in directories]
    try:
        if not directories:
            how = Submitting(given.reuse, given.wait, given.dry_run, given.test_only)
            return run_app("train", [*overrides, *_default(overrides)], task, how)
        return _submit([_judged(each, given.trust) for each in directories], overrides, given)
    except (ConfigurationError, RunError) as error:
        complain(error)
        return 2


@dataclass(frozen=True)
class Submitting(Starting):
    """Makes run directories and submits them, or only shows what would be submitted.

    Args:
        wait: Return when all have ended.
        dry_run: Print the scripts, and make nothing.
        test_only: Have the cluster look at the scripts, and make nothing.
    """

    wait: bool = False
    dry_run: bool = False
    test_only: bool = False

    def start(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> int:
        """Submit *jobs*, and return the exit code."""
        if not (self.dry_run or self.test_only):
            _of_cluster(plugin).options.wait |= self.wait
            return super().start(plugin, jobs)
        paths = [next(attempts(job.config, job.context))[0] for job in jobs]
        return _show(_of_cluster(plugin).unchecked(), paths, self.test_only)

    def results(self, plugin: LauncherPlugin, jobs: Sequence[Job]) -> list[float | RunError | None]:
        """Submit *jobs* for a sweeper, and wait for what it wants to know."""
        if self.dry_run or self.test_only:
            raise ConfigurationError(
                "this sweeper decides on runs when others have ended, so that nothing can be shown before. Expected "
                "one run or a grid of them with --dry-run or --test-only. Leave the sweeper out: hydra/sweeper=basic"
            )
        return super().results(plugin, jobs)


def _judged(given: str, trusted: Sequence[str]) -> RunDirectory:
    directory = RunDirectory(given)
    contained(directory.path, Trust.of(directory.path, trusted))
    return directory


def _submit(directories: list[RunDirectory], overrides: Sequence[str], given: argparse.Namespace) -> int:
    """Submit runs that exist."""
    strange = [word for word in overrides if not word.lstrip("+~").startswith(("hydra.launcher.", LAUNCHER))]
    if strange:
        raise ConfigurationError(
            f"{' '.join(strange)} cannot be applied: the config of a run that exists is fixed. Expected nothing but "
            "hydra.launcher.KEY=VALUE beside directories. Leave it out, or make new runs: leyden submit key=value ..."
        )
    plugin = _plugin([*overrides, *_default(overrides)])
    if given.dry_run or given.test_only:
        return _show(_of_cluster(plugin).unchecked(), [each.path for each in directories], given.test_only)
    return _of_cluster(plugin).launcher(given.wait, given.trust).start(directories)


def _show(launcher: slurm.SlurmLauncher, paths: Sequence[Path], test_only: bool) -> int:
    if test_only:
        launcher.check()
    for script in launcher.scripts(paths):
        print(tried(script) if test_only else script)
    return 0


def _default(overrides: Sequence[str]) -> list[str]:
    """Choose the launcher, where neither the command line nor the project does."""
    if any(word.lstrip("+").startswith(f"{LAUNCHER}=") for word in overrides):
        return []
    with session("train") as opened:
        return [DEFAULT] if opened.choice(LAUNCHER) in (LOCAL, "basic", None) else []


def _plugin(overrides: Sequence[str]) -> LauncherPlugin | None:
    return plugin_of(compose(overrides).hydra)


def _of_cluster(plugin: LauncherPlugin | None) -> SlurmPlugin:
    """Return the plugin, if it is one that submits.

    Raises:
        ConfigurationError: If it is another one.
    """
    if not isinstance(plugin, SlurmPlugin):
        name = "one of Hydra's own" if plugin is None else type(plugin).__name__
        raise ConfigurationError(
            f"{LAUNCHER} is {name}, which submits nothing to a cluster. Expected slurm, or a config that is built on "
            f"it. Use leyden train, or {DEFAULT}"
        )
    return plugin


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leyden submit",
        usage="leyden submit [--dry-run | --test-only] [--wait] [--reuse] [-m] (DIR... | key=value ...)",
        description="Submit runs to a SLURM cluster: directories that exist, or what key=value composes, as for leyden "
        "train. What to ask the cluster for: hydra.launcher.KEY=VALUE, keys in conf/hydra/launcher/slurm.yaml.",
        epilog="Exit code: 0 submitted (with --wait: all finished), 1 a run did not finish, 2 nothing was submitted.",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--dry-run", action="store_true", help="print the batch script, and touch nothing")
    only.add_argument("--test-only", action="store_true", help="ask the cluster when and where it would start")
    parser.add_argument("--wait", action="store_true", help="return when all runs have ended")
    parser.add_argument(REUSE, action="store_true", help="leave out runs of which a finished one is identical")
    add_trust(parser)
    return parser
