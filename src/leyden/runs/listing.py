"""The runs below an output folder: each with everything it can be asked for by name.

test_acc  metrics.test_acc         a metric: the final one, or the last so far
model.hidden  config.model.hidden  a key of the resolved config
model  choices.model               the option chosen of a group
status  age  duration  step ...    how it stands: `FIELDS`
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from leyden.config.problems import closest
from leyden.config.project import project_root, shown
from leyden.errors import RunError
from leyden.runs import gate
from leyden.runs.index import Index
from leyden.runs.reading import Facts, facts, is_run
from leyden.runs.record.fields import text, whole
from leyden.runs.record.liveness import state
from leyden.runs.record.moments import seconds
from leyden.runs.record.state import RunState
from leyden.runs.record.status import Status
from leyden.runs.sections import RUN_DIR, Sections


class _Missing:
    def __repr__(self) -> str:
        return "-"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
_LOST = (RunState.DEAD, RunState.SILENT)


class Run:
    """One run in a list.

    Args:
        path: Of its directory.
        name: The path below the output folder.
        facts: What `leyden.runs.reading.facts` found.
        sections: Holds its config.
        now: Seconds since 1970; ages are counted from here.
    """

    __slots__ = ("_sections", "_status", "facts", "name", "now", "path", "state")

    def __init__(self, path: str, name: str, facts: Facts, sections: Sections, now: float) -> None:
        self.path = path
        self.name = name
        self.facts = facts
        self._sections = sections
        self.now = now
        self._status: Status | None = None  # made when it is asked for: a list of ten thousand runs needs few
        said = RunState.of(facts["status"].get("status"))
        self.state = state(self.status, now) if said is RunState.RUNNING else said

    @property
    def status(self) -> Status:
        """What its status.json says."""
        if self._status is None:
            self._status = Status.of(self.facts["status"])
        return self._status

    def get(self, key: str) -> Any:
        """Return what *key* stands for in this run; `MISSING` if it has none."""
        if key in FIELDS:
            return FIELDS[key](self)
        if key in self.facts["metrics"]:
            return self.facts["metrics"][key]
        kind, _, rest = key.partition(".")
        if kind == "metrics" and rest in self.facts["metrics"]:
            return self.facts["metrics"][rest]
        if kind == "config" and rest:
            return self._value("config", rest)
        places = (("typed", f"choices.{key}"), ("config", key), ("typed", key))
        return next((found for place in places if (found := self._value(*place)) is not MISSING), MISSING)

    def config(self) -> dict[str, Any]:
        """Return the resolved config, by dotted path."""
        return self._sections.values(self.facts["config"])

    @property
    def typed(self) -> list[str]:
        """The overrides as they were typed."""
        found = self._value("typed", "overrides")
        return [str(line) for line in found] if isinstance(found, list) else []

    @property
    def choices(self) -> dict[str, Any]:
        """The option chosen of each group."""
        values = self._sections.values(self.facts["typed"])
        return {key.removeprefix("choices."): value for key, value in values.items() if key.startswith("choices.")}

    def since(self, key: str) -> float | None:
        """Return the seconds since a moment in `status.json`; None if there is none."""
        moment = seconds(self.facts["status"].get(key))
        return None if moment is None else self.now - moment

    def _value(self, part: str, key: str) -> Any:
        number = self.facts[part].get(key.partition(".")[0])
        found = MISSING if number is None else self._sections.rows[number][2].get(key, MISSING)
        return found.replace(RUN_DIR, self.path) if isinstance(found, str) else found


def _status(key: str, read: Callable[[Mapping[str, Any], str], Any]) -> Callable[[Run], Any]:
    def found(run: Run) -> Any:
        value = read(run.facts["status"], key)
        return MISSING if value is None or value == "" else value

    return found


def _code(key: str) -> Callable[[Run], Any]:
    return lambda run: run.facts["code"].get(key, MISSING)


def _duration(run: Run) -> float | None:
    """Return how long the last attempt took, or has taken so far, in seconds."""
    began = run.since("started")
    ended = 0.0 if run.state is RunState.RUNNING else run.since("updated" if run.state in _LOST else "ended")
    return None if began is None or ended is None else max(0.0, began - ended)


FIELDS: dict[str, Callable[[Run], Any]] = {
    "run": lambda run: run.name,
    "path": lambda run: run.path,
    "name": lambda run: run._value("config", "name"),
    "status": lambda run: run.state.value,
    "age": lambda run: run.since("created"),
    "heartbeat": lambda run: run.since("updated"),
    "duration": _duration,
    "typed": lambda run: " ".join(run.typed),
    "pinned": lambda run: run.facts["pinned"],
    "signature": lambda run: run.facts["signature"] or MISSING,
    **{key: _status(key, text) for key in "created started updated ended host error".split()},
    **{key: _status(key, whole) for key in "epoch step attempts pid".split()},
    **{key: _code(key) for key in ("commit", "branch", "dirty")},
    "code": _code("hash"),
}
TIMES = frozenset(("age", "heartbeat", "duration"))  # in seconds


def list_runs(root: Path, cache: Path | None = None) -> list[Run]:
    """Return the runs below the folder *root*, the newest first.

    Args:
        root: The output folder.
        cache: Folder for the index; None for the user's cache.

    Raises:
        RunError: If there is no such folder.
    """
    if not root.is_dir():
        raise RunError(
            f"there is no folder {shown(root)} to look for runs in. Go to where leyden train was started, "
            "or name the output folder: --in FOLDER"
        )
    index = Index(root, cache).refresh()
    now = time.time()
    found = [Run(f"{index.root}/{name}", name, row, index.sections, now) for name, row in index.runs.items()]
    return sorted(found, key=lambda run: (str(run.facts["status"].get("created", "")), run.name), reverse=True)


def judged(given: str | Path) -> Path:
    """Return the run directory that was named, if `leyden.runs.gate` lets it through.

    Raises:
        RunError: If it does not.
    """
    path = gate.named(given)
    gate.check(path)
    return path


def one(path: Path, root: Path) -> Run:
    """Return the run in the directory *path*, read just now.

    Raises:
        RunError: If there is no run, or `leyden.runs.gate` refuses it.
    """
    gate.check(path)
    sections = Sections()
    found = facts(str(path), sections)
    if found is None:
        raise RunError(f"{path} is no run: it holds no config.yaml beside a status.json. Give a run directory.")
    inside = root.resolve() in path.parents
    return Run(str(path), str(path.relative_to(root.resolve())) if inside else path.name, found, sections, time.time())


def default_root() -> Path:
    """Return the folder ``runs`` of the current directory, or of the project around it."""
    here = Path.cwd()
    project = project_root(here)
    return next(
        (each / "runs" for each in (here, project) if each is not None and (each / "runs").is_dir()), Path("runs")
    )


def find(word: str, root: Path, cache: Path | None = None) -> Path:
    """Return the directory of the run meant by *word*.

    Args:
        word: A path, a part of the name of just one run below *root*, or ``last``.
        root: The output folder.
        cache: As in `list_runs`.

    Raises:
        RunError: If there is none, or more than one.
    """
    given = Path(word)
    inside = os.path.relpath(given, root)
    if is_run(str(given)):
        return judged(given)
    if given.is_dir() and not root.is_dir():
        raise RunError(f"{word} is no run: it holds no config.yaml beside a status.json. Give a run directory.")
    runs = list_runs(root, cache)
    if word.lower() == "last" and runs:
        return judged(runs[0].path)
    part = word if inside.startswith("..") or os.sep not in word else inside  # runs/digits_mlp/2026 is meant below runs
    exact = [run for run in runs if run.name in (word, part) or run.name.endswith(f"/{word}")]
    matches = exact or [run for run in runs if part in run.name] or [run for run in runs if word in run.name]
    if len(matches) == 1:
        return judged(matches[0].path)
    raise RunError(_ambiguous(word, matches) if matches else _unknown(word, runs, root))


def _ambiguous(word: str, matches: Sequence[Run]) -> str:
    more = [f"  and {len(matches) - 10} more"] if len(matches) > 10 else []
    names = [f"  {run.name}" for run in matches[:10]]
    return "\n".join(
        [f"{word!r} is part of the names of {len(matches)} runs. Give more of the one you mean:", *names, *more]
    )


def _unknown(word: str, runs: Iterable[Run], root: Path) -> str:
    close = closest(word, [run.name for run in runs] + [run.name.rpartition("/")[2] for run in runs])
    hint = f"Did you mean {close!r}?" if close else "See them: leyden runs ls"
    return f"no run below {shown(root)} has {word!r} in its name, and it is no run directory. {hint}"
