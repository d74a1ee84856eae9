"""Which code this is: commit and changes, and one hash over the contents of all source files.

    state(root)     a dict, to compare
    capture(root)   the same, and the patch that turns the commit into these files

The hash is over paths and git's own blob hashes of source files, so that the same files have
the same hash whether they are committed, changed, untracked or in no repository at all, and
git's index saves reading most of them. What a run writes is no source: run directories
below the project do not count.

Git is only asked, never trusted with more: no hooks, no locks, no external diff, and none of the
``GIT_*`` variables that a hook around this process may have set.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from leyden import secrets
from leyden.runs.source_files import found_in, is_source, read_source, without_runs

PATCH = "code.patch"
_LARGEST_CHANGE = 10 * 2**20  # bytes of a tracked file; larger ones are named in "skipped", not in the patch
_NAMED = 100  # files left out that are written down, the largest first
_SETTINGS = ("core.fsmonitor=false", "core.quotePath=false", "core.hooksPath=/dev/null")
_SETTINGS_SUFFIXES = frozenset(".cfg .ini .sh .toml .yaml .yml".split())
_PATIENCE = 20.0  # seconds for one question to git


class Captured(NamedTuple):
    """The state of some code.

    Attributes:
        record: See `state`.
        patch: For ``git apply`` in the commit: tracked changes and untracked source; empty if there are none.
    """

    record: dict[str, Any]
    patch: bytes


def state(root: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe the code in the folder *root*, as cheaply as it can be told apart from other code.

    Returns:
        ``root`` (top of the repository, or the folder), ``commit``, ``branch``, ``dirty``,
        ``untracked`` (sha256 by path), ``skipped`` (bytes by path, of untracked files that are
        large or no source), ``submodules`` that are not as committed, ``hash`` of all source files,
        ``note``, why git could not tell, and ``leyden``: see `package_outside`.
    """
    return _look(Path(root).resolve(), patch=False).record


def capture(root: str | os.PathLike[str]) -> Captured:
    """Describe the code in *root*, and keep its changes."""
    return _look(Path(root).resolve(), patch=True)


def _look(root: Path, patch: bool) -> Captured:
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if top is None:
        return _folder(root, "in no git repository")
    try:
        asked = [
            _ask(top, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no"),
            _ask(top, "ls-files", "--stage", "-z"),
            _ask(root, "ls-files", "--others", "--exclude-standard", "--full-name", "-z"),
        ]
        status, index, others = _answers(asked)
    except (OSError, GitError) as error:
        return _folder(root, f"git could not tell: {error}")
    tracked = _tracked(index)
    inside = root.relative_to(top).as_posix()
    if inside != "." and not any(path.startswith(f"{inside}/") for path in tracked):
        return _folder(root, f"in no git repository: nothing of it is tracked by the one in {top}")
    return _repository(top, status, tracked, _paths(others), patch)


def _folder(root: Path, note: str) -> Captured:
    """Describe code that is under nobody's control: every source file for itself."""
    files = found_in(root)
    contents = {path: content for path in files if (content := read_source(root / path)) is not None}
    package = package_outside(root)
    record = {
        "root": str(root), "commit": None, "branch": None, "dirty": None, "patch": None,
        "untracked": {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()},
        "skipped": {}, "submodules": {}, "note": note, "leyden": package,
        "hash": _whole({**{path: _blob(content) for path, content in contents.items()}, **_apart(package)}),
    }  # fmt: skip
    return Captured(record, b"")


def _repository(top: Path, status: bytes, index: dict[str, str], others: list[str], patch: bool) -> Captured:
    head, changed, modules = _changes(status)
    blobs = {path: blob for path, blob in index.items() if is_source(path)}
    width = len(next(iter(index.values()), "0" * 40))
    for path in changed:
        content = read_source(top / path, None) if is_source(path) else None
        blobs.pop(path, None)
        if content is not None:
            blobs[path] = _blob(content, width)
    new = {path: content for path in without_runs(others) if (content := read_source(top / path)) is not None}
    nested = {path: _look(top / path, patch) for path in modules if (top / path / ".git").exists()}
    blobs |= {path: _blob(content, width) for path, content in new.items()}
    blobs |= {path: each.record["hash"] for path, each in nested.items()}
    package = package_outside(top)
    heavy = {path: size for path in changed if (size := _size(top / path)) > _LARGEST_CHANGE}
    record = {
        "root": str(top), "commit": head.get("branch.oid"), "branch": head.get("branch.head"),
        "dirty": bool(changed or new or modules), "patch": None,
        "untracked": {path: hashlib.sha256(content).hexdigest() for path, content in new.items()},
        "skipped": _largest({**_sizes(top, set(others) - set(new)), **heavy}),
        "submodules": {path: each.record for path, each in nested.items()}, "note": None, "leyden": package,
        "hash": _whole({**blobs, **_apart(package)}),
    }  # fmt: skip
    if not patch or record["commit"] is None:
        return Captured(record, b"")
    return Captured(record, _patch(top, bool(changed or modules), heavy, new, nested))


def package_outside(root: Path) -> dict[str, str] | None:
    """Describe the source of this package, where it is neither part of *root* nor installed under a version."""
    package = Path(__file__).resolve().parents[1]
    if package.is_relative_to(root) or "site-packages" in package.parts:
        return None
    contents = {path: read_source(package / path) for path in found_in(package)}
    return {"path": str(package), "hash": _whole({path: _blob(each) for path, each in contents.items() if each})}


def _apart(package: dict[str, str] | None) -> dict[str, str]:
    return {} if package is None else {"//leyden": package["hash"]}


def combined(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one hash over the ``sha256`` of each of *parts*, by name."""
    return _whole({name: part["sha256"] for name, part in parts.items()})


def _patch(
    top: Path, changed: bool, heavy: Iterable[str], new: Mapping[str, bytes], nested: Mapping[str, Captured]
) -> bytes:
    parts = [_answer(_diff(top, heavy))] if changed else []
    for path, each in nested.items():
        if each.record["dirty"] and each.record["commit"]:
            parts.append(_answer(_diff(top / path, (), f"--src-prefix=a/{path}/", f"--dst-prefix=b/{path}/")))
    parts += [_addition(path, content) for path, content in new.items()]
    return b"".join(parts)


def _diff(top: Path, heavy: Iterable[str], *options: str) -> subprocess.Popen[bytes]:
    without = [f":(exclude,top,literal){path}" for path in heavy]
    fixed = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "--ignore-submodules=dirty")
    prefixes = options or ("--src-prefix=a/", "--dst-prefix=b/")
    return _ask(top, "diff", *fixed, *prefixes, "HEAD", "--", ":/", *without)


def _addition(path: str, content: bytes) -> bytes:
    """Write an untracked file as git writes a new one; binary ones and odd names are left out."""
    if b"\0" in content or not path.isprintable() or '"' in path or "\\" in path:
        return b""
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
    if not content:
        return f"{head}index 0000000..e69de29\n".encode()
    lines = content.splitlines(keepends=True) if b"\r" not in content else _lines(content)
    tail = b"" if content.endswith(b"\n") else b"\n\\ No newline at end of file\n"
    tab = "\t" if " " in path else ""
    body = b"".join(b"+" + line for line in lines)
    return f"{head}--- /dev/null\n+++ b/{path}{tab}\n@@ -0,0 +1,{len(lines)} @@\n".encode() + body + tail


def _lines(content: bytes) -> list[bytes]:
    """Split at line feeds alone, as git does."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _changes(status: bytes) -> tuple[dict[str, str | None], list[str], list[str]]:
    """Read ``git status --porcelain=v2 -z``: heads, changed paths, and submodules that are not as committed."""
    head: dict[str, str | None] = {}
    changed: list[str] = []
    modules: list[str] = []
    entries = iter(_paths(status))
    for entry in entries:
        kind, _, rest = entry.partition(" ")
        if kind == "#":
            name, _, value = rest.partition(" ")
            head[name] = None if value in ("(initial)", "(detached)") else value
            continue
        path = rest.split(" ", {"1": 7, "2": 8}.get(kind, 9))[-1]
        (modules if rest.split(" ", 2)[1].startswith("S") else changed).append(path)
        if kind == "2":
            next(entries, None)  # the name before
    return head, changed, modules


def _tracked(index: bytes) -> dict[str, str]:
    """Read ``git ls-files --stage -z``: the blob by path."""
    pairs = (entry.partition("\t")[::2] for entry in _paths(index))
    return {path: facts.split(" ")[1] for facts, path in pairs}


def _paths(answer: bytes) -> list[str]:
    return [os.fsdecode(part) for part in answer.split(b"\0") if part]


def _blob(content: bytes, width: int = 40) -> str:
    """Hash *content* as git does: by SHA-1, or by SHA-256 in repositories that use it."""
    method = hashlib.sha1 if width == 40 else hashlib.sha256
    return method(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _whole(blobs: Mapping[str, str]) -> str:
    text = "".join(f"{path}\0{blob}\n" for path, blob in sorted(blobs.items()))
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _sizes(top: Path, paths: Iterable[str]) -> dict[str, int]:
    return {path: _size(top / path) for path in paths}


def _largest(sizes: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(sizes.items(), key=lambda item: -item[1])[:_NAMED])


class GitError(Exception):
    """Git did not answer."""


def _ask(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start ``git`` in *folder*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", *chain.from_iterable(("-c", setting) for setting in _SETTINGS), *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env={**kept, **quiet}, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )


def _answers(processes: Iterable[subprocess.Popen[bytes]]) -> list[bytes]:
    """Return what several have said; waits for all of them, even if one has failed.

    Raises:
        GitError: If any of them failed.
    """
    found: list[bytes] = []
    failed: list[GitError] = []
    for process in processes:
        try:
            found.append(_answer(process))
        except GitError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return found


def git(folder: Path, *words: str, patience: float = _PATIENCE) -> bytes:
    """Run ``git`` in *folder*, without its hooks, and return what it said.

    Raises:
        GitError: If it failed, or took longer than *patience* seconds.
        OSError: If there is no git.
    """
    return _answer(_ask(folder, *words), patience)


def _answer(process: subprocess.Popen[bytes], patience: float = _PATIENCE) -> bytes:
    """Return what git said.

    Raises:
        GitError: If it failed or took too long.
    """
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise GitError(f"no answer within {patience:g} s") from None
    if process.returncode:
        raise GitError(err.decode(errors="replace").strip().partition("\n")[0] or f"exit code {process.returncode}")
    return out


def masked_patch(patch: bytes) -> tuple[bytes, int]:
    """Return *patch* without secrets, and how many lines that changed."""
    text = patch.decode("latin-1")  # a character a byte: any file goes through unharmed, and is searched fast
    clean = "".join(masked_source(part, path) for path, part in _by_file(text))
    if clean == text:
        return patch, 0
    lines = sum(before != after for before, after in zip(text.split("\n"), clean.split("\n"), strict=False))
    return clean.encode("latin-1"), lines


def masked_source(text: str, path: str) -> str:
    """Return *text* of the source file *path* without secrets: of a program its literals, of settings all values."""
    program = os.path.splitext(path)[1] not in _SETTINGS_SUFFIXES
    return secrets.masked_code(text) if program else secrets.masked(text)


def _by_file(patch: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of *patch*, each with the path of the file that it changes."""
    starts = [0, *(found.start() for found in re.finditer("^diff --git ", patch, re.MULTILINE)), len(patch)]
    for start, end in pairwise(starts):
        head = patch[start : patch.find("\n", start, end)]
        yield head.rpartition(" b/")[2].rstrip('"'), patch[start:end]


__all__ = [
    "PATCH",
    "Captured",
    "GitError",
    "capture",
    "combined",
    "git",
    "masked_patch",
    "masked_source",
    "package_outside",
    "state",
]
