"""``leyden runs show RUN``: everything about one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leyden import regular
from leyden.cli.columns import COLOURS, aligned, coloured, longest, number, span
from leyden.cli.config_tree import tree
from leyden.cli.runs_arguments import parse, parser, status
from leyden.config.bounded import LARGEST
from leyden.config.project import shown
from leyden.recency import oldest_first
from leyden.runs.archive import named_as_such, outline
from leyden.runs.differing import changed_files, fingerprint
from leyden.runs.exporting import finite, nested
from leyden.runs.keeping import size
from leyden.runs.listing import Run, find, one
from leyden.runs.reading import document
from leyden.runs.record.state import RunState
from leyden.runs.record.status import Status
from leyden.runs.sections import parse as parsed
from leyden.terminal import as_json, printable, printable_lines

DOCUMENTS = ("manifest", "fingerprint", "reproduction")
Lines = list[tuple[str, str]]


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = parser("show", "Show everything about one run.")
    options.add_argument("run", nargs="?", default="last", help="a directory, a part of its name, or: last")
    options.add_argument("--config", action="store_true", help="print its resolved config alone")
    options.add_argument("--tree", action="store_true", help="print its resolved config alone, as a tree")
    options.add_argument("--json", action="store_true", help="print everything, for programs")
    arguments = parse(options, argv)
    path = find(arguments.run, arguments.root)
    run = one(path, arguments.root)
    if arguments.config:
        print(printable_lines(regular.read(path, "config.yaml", LARGEST).decode("utf-8", "replace"), longest()), end="")
    elif arguments.tree:
        saved = parsed(regular.read(path, "config.yaml", LARGEST).decode("utf-8", "replace"))
        print("\n".join(tree(saved if isinstance(saved, dict) else {})))
    elif arguments.json:
        documents = {name: document(path / f"{name}.json") for name in DOCUMENTS}
        print(as_json(finite({**nested(run), **documents})))
    else:
        print("\n".join(page(run)))
    return 0


def page(run: Run) -> list[str]:
    """Return the lines that describe a run."""
    path = Path(run.path)
    manifest = document(path / "manifest.json")
    parts: dict[str, Lines] = {
        "": _head(run),
        "metrics" if run.state is RunState.FINISHED else "metrics so far": [
            (name, number(value)) for name, value in sorted(run.facts["metrics"].items())
        ],
        "checkpoints": [(shown(each), f"{size(each) / 1e6:.1f} MB") for each in checkpoints(path)],
        "code": _code(path, manifest),
        "environment": _environment(manifest),
        "fingerprint": [(name.removeprefix("fingerprint."), str(value)) for name, value in fingerprint(path).items()],
        "reproduction": _plain(
            document(path / "reproduction.json"), ("of", "verdict", "first_diverging_step", "difference")
        ),
    }
    pinned = "   pinned" if run.facts["pinned"] else ""
    lines = [f"{printable(run.name)}   {coloured(printable(status(run)), COLOURS.get(run.state))}{pinned}"]
    for title, rows in parts.items():
        if rows:
            lines += [*(["", title] if title else []), *aligned(rows)]
    return lines


def checkpoints(path: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest first."""
    return oldest_first(named_as_such(path), outline)[::-1]


def _head(run: Run) -> Lines:
    said = run.status
    took = (
        ""
        if run.get("duration") is None
        else f", {'takes' if run.state is RunState.RUNNING else 'took'} {span(run.get('duration'))}"
    )
    age = "" if run.get("age") is None else f" ({span(run.get('age'))} ago){took}"
    choices = " ".join(
        f"{group}={option}" for group, option in sorted(run.choices.items()) if option is not None and group != "hydra"
    )
    rows = {
        "directory": f"{shown(run.path)}  {size(Path(run.path)) / 1e6:.1f} MB",
        "created": f"{said.created or 'not known when'}{age}",
        "attempts": _attempts(said),
        "position": said.position,
        "begins from": str(run.get("ckpt_path") or ""),
        "typed": " ".join(run.typed),
        "chosen": choices,
        "signature": run.facts["signature"],
        "error": said.error,
        "problem": run.facts["problem"],
    }
    return [(name, value) for name, value in rows.items() if value]


def _attempts(said: Status) -> str:
    where = f", process {said.pid} on {said.host}" if said.pid else ""
    resumed = f", resumed from {said.resumed_from}" if said.resumed_from else ""
    return f"{said.attempts}{where}{resumed}"


def _code(path: Path, manifest: Mapping[str, Any]) -> Lines:
    code = manifest.get("code")
    if not isinstance(code, dict):
        return []
    branch = f" ({code['branch']})" if code.get("branch") else ""
    changed = {"True": ", with changes", "False": ", as committed"}.get(str(code.get("dirty")), "")
    commit = f"{code['commit']}{branch}{changed}" if code.get("commit") else ""
    rows = [("folder", str(code.get("root") or "")), ("commit", commit), ("hash", str(code.get("hash") or ""))]
    return [(name, value) for name, value in [*rows, *changed_files(path / "code.patch").items()] if value]


def _environment(manifest: Mapping[str, Any]) -> Lines:
    found = manifest.get("environment")
    part: dict[str, Any] = found if isinstance(found, dict) else {}
    torch = part["torch"] if isinstance(part.get("torch"), dict) else {}
    cpu = part["cpu"] if isinstance(part.get("cpu"), dict) else {}
    packages = part.get("packages")
    rows = {
        "python": part.get("python"),
        "platform": part.get("platform"),
        "torch": " ".join(
            str(each) for each in (torch.get("version"), torch.get("cuda") and f"cuda {torch['cuda']}") if each
        ),
        "cpu": ", ".join(str(cpu[key]) for key in ("model", "capability", "cores") if cpu.get(key)),
        "gpus": ", ".join(map(str, part["gpus"])) if isinstance(part.get("gpus"), list) else None,
        "threads": " ".join(f"{key} {value}" for key, value in _plain(part.get("threads"))),
        "packages": f"{len(packages)}, see --json" if isinstance(packages, dict) else None,
        "seeds": " ".join(f"{key}={value}" for key, value in _plain(manifest.get("seeds"))),
    }
    return [(name, str(value)) for name, value in rows.items() if value]


def _plain(part: Any, keys: Sequence[str] | None = None) -> Lines:
    """Return those values of a mapping that are neither missing nor mappings themselves."""
    found = part if isinstance(part, dict) else {}
    there = [(key, found.get(key)) for key in (keys if keys is not None else found)]
    return [(key, number(value)) for key, value in there if value is not None and not isinstance(value, dict | list)]
