"""Run a directory once more, in another one, and compare what both came to.

    original ─► copy (its config, its place) ─► then / now ─► execute in a process of its own ─► verdict
                new directory                   preflight     environment as it was             reproduction.json

Nothing is ever written into the original. The copy is executed by the interpreter of now, with
the variables and the number of threads of then; its code is that of now, or, from a git
worktree, that of then.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Literal

from leyden import atomic
from leyden.config.frozen import load
from leyden.config.overrides import apply_overrides
from leyden.config.project import CODE_ROOT
from leyden.config.trust import Trust
from leyden.errors import RunError
from leyden.paths import relocated
from leyden.runs import manifest, origin
from leyden.runs.code import GitError, git
from leyden.runs.difference import Difference, differences
from leyden.runs.directory import RunDirectory, candidates
from leyden.runs.variables import variables
from leyden.runs.verdict import Verdict, compare, fingerprint

Code = Literal["current", "original"]
TOLERANCE = 1e-4
# Variables that decide on bits and are read when a process starts.
RESTORED = (*variables("portable"), "OMP_NUM_THREADS", "MKL_NUM_THREADS")
ACCUMULATE = "trainer.accumulate_grad_batches"
_DECIDE = ("trainer.devices", "trainer.num_nodes", "trainer.strategy")  # on the number of ranks
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_MOST_RANKS = 1024
_MOST_THREADS = 4096
_COUNT, _HASH_SEED, _WORD = re.compile(r"[1-9]\d{0,3}"), re.compile(r"random|\d{1,9}"), re.compile(r"[\w:,=.-]{1,64}")
_VALUE = {
    name: _HASH_SEED if name == "PYTHONHASHSEED" else _COUNT if name.endswith("_THREADS") else _WORD
    for name in RESTORED
}
_PATIENCE = 600.0  # seconds for git to check a commit out
_BEFORE = ("code", "environment", "seeds")  # what a manifest knows before anything has run
_AFTER = (*_BEFORE, "determinism", "world", "loaders", "data")


@dataclass(frozen=True)
class Reproduction:
    """What a reproduction found out.

    Attributes:
        original: The run that was repeated.
        copy: The run that repeats it.
        differences: Between their manifests, once the copy has run.
        verdict: What came out.
    """

    original: RunDirectory
    copy: RunDirectory
    differences: tuple[Difference, ...]
    verdict: Verdict

    def write(self) -> None:
        """Record it in the copy, as reproduction.json."""
        found = {
            "of": str(self.original.path),
            "verdict": self.verdict.outcome.value,
            "first_diverging_step": self.verdict.first_diverging_step,
            "difference": self.verdict.difference,
            "preflight": [{**each._asdict(), "effect": each.effect.value} for each in self.differences],
            "compared": self.verdict.plain(),
        }
        atomic.write_json(self.copy.path / "reproduction.json", found)


def copied(original: RunDirectory, place: Path | None = None, overrides: Sequence[str] = ()) -> RunDirectory:
    """Make a new directory that describes the same run.

    Args:
        original: What is to be repeated. It is not changed.
        place: Where to; default beside it, under its name and ``-reproduced``.
        overrides: What is to be different in the repetition, to see whether it matters.

    Raises:
        RunError: If there is nothing to compare a repetition with, or *place* exists.
        ConfigurationError: If an override does not fit the config.
    """
    fingerprint(original)
    stem = f"{original.path.name}-reproduced"
    places = iter([place]) if place is not None else candidates(original.path.parent, stem)
    for path in places:
        config = relocated(original.config(), str(original.path), str(path))
        config["paths"] = {**config.get("paths", {}), "run_dir": str(path)}
        if config.get("threads") is None:
            config["threads"] = _threads(manifest.read(original))
        config = apply_overrides(config, list(overrides))
        typed = {**load(original.path / "overrides.yaml"), "reproduces": str(original.path)}
        try:
            copy = RunDirectory.create(path, config, typed)
        except FileExistsError:
            continue
        begun = manifest.begin(copy, sys.argv, "reproduce")
        if origin.is_own(original.path):
            origin.remember_run(copy.path, begun["code"])
        return copy
    raise RunError(f"{place} exists already. Nothing is ever overwritten: name a directory that does not exist.")


def ranks_of(directory: RunDirectory) -> tuple[int, ...]:
    """Return the number of ranks of each attempt, the same ones in a row once."""
    record = manifest.read(directory)
    size = _number(_part(record, "world").get("size")) or 1
    attempts = record.get("attempts")
    parts = [each for each in attempts if isinstance(each, dict)] if isinstance(attempts, list) else []
    found = [_number(each.get("ranks")) or size for each in parts] or [size]
    return tuple(number for number, _ in groupby(found))


def ranks_to_start(original: RunDirectory, asked: int | None, overrides: Sequence[str]) -> int | None:
    """Return how many ranks are to repeat a run; None leaves it to the config.

    Args:
        original: That is repeated, with as many ranks as it had in the end.
        asked: Another number, if one was asked for.
        overrides: May decide on it, too.

    Raises:
        RunError: If the manifest names more than a machine should start without being asked.
    """
    if asked is not None:
        return asked
    decided = any(line.lstrip("+~").startswith(_DECIDE) for line in overrides)
    number = ranks_of(original)[-1]
    if not decided and number > _MOST_RANKS:
        raise RunError(
            f"{original.path / manifest.FILE} says that {number} ranks executed the run. Expected at most "
            f"{_MOST_RANKS}, unless they are asked for: --ranks {number}."
        )
    return None if decided or number == 1 else number


def same_updates(original: RunDirectory, number: int | None) -> list[str]:
    """Return what an override has to say so that updates of *number* ranks see as many samples as those of then.

    Raises:
        RunError: If that is no whole number of batches.
    """
    then = ranks_of(original)[-1]
    if number is None or number == then:
        return []
    size = int(original.config().get("trainer", {}).get("accumulate_grad_batches") or 1)
    if size * then % number:
        raise RunError(
            f"{original.path} was run by {then} ranks with {size} batches each in an update, and {number} ranks cannot "
            f"make updates of as many samples. Expected a number of ranks that divides {size * then}."
        )
    return [f"++{ACCUMULATE}={size * then // number}"]


def preflight(original: RunDirectory, copy: RunDirectory) -> list[Difference]:
    """Return what differs between then and now, as far as that can be told before anything runs."""
    then, now = manifest.read(original), manifest.read(copy)
    return differences(then, _as_executed(now, then, copy), _BEFORE) + _edited(original)


def execute(
    original: RunDirectory,
    copy: RunDirectory,
    code: Code = "current",
    until: int | None = None,
    trust: Sequence[str] = (),
    out: IO[str] | None = None,
    ranks: int | None = None,
    launcher: Sequence[str] = (),
) -> int:
    """Execute *copy* in a process of its own, which prints to *out*; returns its exit code.

    Args:
        original: What is repeated.
        copy: What repeats it.
        code: Of which day.
        until: Stop after so many training steps.
        trust: What its config may name.
        out: Where it prints.
        ranks: How many it starts; None leaves that to its config.
        launcher: What ``leyden submit`` is told, to have it executed on a cluster; nothing for this machine.

    Raises:
        RunError: If a cluster was to stop after so many steps.
    """
    if launcher:
        words = [sys.executable, "-P", "-m", "leyden", "submit", "--wait", str(copy.path), *launcher]
        if until is not None:
            raise RunError(f"--until {until} with --launcher: a job runs to its end. Leave one of them out.")
    else:
        words = [sys.executable, "-P", "-m", "leyden", "run", str(copy.path)]
        words += ["--until", str(until)] if until is not None else []
        words += ["--ranks", str(ranks)] if ranks is not None else []
    words += [word for package in trust for word in ("--trust", package)]
    recorded = manifest.read(original)
    if code == "original":
        _check_own(recorded, original, trust)
    with _code(recorded, original, code) as root:
        return subprocess.run(words, check=False, env=_environment(recorded, root), stdout=out).returncode


def judge(original: RunDirectory, copy: RunDirectory, tolerance: float, until: int | None) -> Reproduction:
    """Compare what the two came to, and record it in the copy."""
    found = differences(manifest.read(original), manifest.read(copy), _AFTER) + _edited(original)
    ranks = (ranks_of(original), ranks_of(copy))
    reproduction = Reproduction(original, copy, tuple(found), compare(original, copy, tolerance, until, ranks))
    reproduction.write()
    return reproduction


def _as_executed(now: Mapping[str, Any], then: Mapping[str, Any], copy: RunDirectory) -> dict[str, Any]:
    """Return the manifest *now* with what the copy's own process will be given: variables, and threads."""
    here, there = _part(now, "environment"), _part(then, "environment")
    variables = {name: value for name, value in _part(here, "variables").items() if name not in RESTORED}
    variables |= _restored(then)
    threads = {**_part(there, "threads"), "intra": copy.config().get("threads")}
    seeds = {**_part(now, "seeds"), "PYTHONHASHSEED": variables.get("PYTHONHASHSEED")}
    return {**now, "environment": {**here, "variables": variables, "threads": threads}, "seeds": seeds}


def _edited(original: RunDirectory) -> list[Difference]:
    """Say so if the config is not the one that was written when the run began."""
    recorded, now = manifest.read(original).get("config"), manifest.config_hash(original)
    return differences({"config": recorded}, {"config": now}) if recorded is not None else []


def _environment(recorded: Mapping[str, Any], root: Path | None) -> dict[str, str]:
    """Return the variables of now, with those of then where they decide on bits."""
    found = {name: value for name, value in os.environ.items() if name not in RESTORED} | _restored(recorded)
    if root is not None:
        paths = [str(root), str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        found |= {CODE_ROOT: str(root), "PYTHONPATH": os.pathsep.join(paths)}
    return found


def _part(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a part of a manifest; an empty one where it holds something else, since anybody may have written it."""
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int | None:
    """Return *value* if it can be a number of ranks or threads."""
    return value if type(value) is int and value > 0 else None


def _threads(record: Mapping[str, Any]) -> int | None:
    """Return how many threads the run had; None where that is not known, or no machine has as many."""
    found = _number(_part(_part(record, "environment"), "threads").get("intra"))
    return found if found is not None and found <= _MOST_THREADS else None


def _restored(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of then that decide on bits, as far as they have values that such variables may have."""
    then = _part(_part(record, "environment"), "variables")
    values = {name: str(then[name]) for name in RESTORED if isinstance(then.get(name), str | int)}
    return {name: value for name, value in values.items() if _VALUE[name].fullmatch(value)}


def _check_own(recorded: Mapping[str, Any], original: RunDirectory, trusted: Sequence[str]) -> None:
    """Refuse to run code that somebody else may have recorded: a commit and a patch can hold anything.

    Raises:
        RunError: If the user's own launch has not recorded this code, and the directory is not trusted.
    """
    state = recorded.get("code")
    own = isinstance(state, Mapping) and origin.is_own_code(original.path, state)
    if not own and not Trust.of(original.path, trusted).reaches(original.path):
        root = state.get("root") if isinstance(state, Mapping) else None
        raise RunError(
            f"--code original would run the code that {original.path} names, of the repository {root!r:.200}, and no "
            "launch of yours has recorded that code for a run at this place: it was made by someone else or on another "
            "machine, moved, copied, or changed. Look at its manifest.json and code.patch, then allow it: "
            f"--trust {original.path}{os.sep}"
        )


@contextmanager
def _code(recorded: Mapping[str, Any], original: RunDirectory, code: Code) -> Iterator[Path | None]:
    """Check the recorded code out into a worktree of its own, if it is asked for; None stands for that of now.

    Raises:
        RunError: If it was not recorded, or git cannot bring it back.
    """
    if code == "current":
        yield None
        return
    state = _part(recorded, "code")
    root, commit = state.get("root"), state.get("commit")
    if not (isinstance(root, str) and isinstance(commit, str) and root and _COMMIT.fullmatch(commit)):
        raise RunError(
            f"--code original, but the manifest of {original.path} names no commit: the run was not started from a git "
            "repository. Use --code current."
        )
    with TemporaryDirectory(prefix="leyden-code-") as folder:
        tree = Path(folder) / "code"
        _git(root, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            if state.get("patch"):
                _git(str(tree), "apply", "--whitespace=nowarn", str(original.path / "code.patch"))
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def _git(root: str, *words: str) -> None:
    try:
        git(Path(root), *words, patience=_PATIENCE)
    except (GitError, OSError) as error:
        raise RunError(
            f"git {' '.join(words)} failed in {root}: {error}. The recorded code cannot be brought back; "
            "use --code current, or put the repository back."
        ) from error
