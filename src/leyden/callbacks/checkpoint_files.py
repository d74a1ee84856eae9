"""How checkpoint files are named, ranked and dropped: pure functions, and one that links.

`ModelCheckpoint` decides; what stands here only answers questions such as "what is this
file called?" and "which of these is the worst?". Names follow Lightning to the letter, as
scripts parse them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from leyden import atomic
from leyden.errors import ConfigurationError

if TYPE_CHECKING:
    from leyden.logger import Logger

_FIELD = re.compile(r"\{(?P<name>[^{}:]*)(?::(?P<spec>[^{}]*))?\}")


def fields(template: str) -> set[str]:
    """Return the names of the values that *template* is filled with."""
    return {found["name"] for found in _FIELD.finditer(template)}


def format_name(template: str, metrics: Mapping[str, Any], *, equals: str = "=", auto_insert: bool = True) -> str:
    """Fill the ``{name}`` and ``{name:format}`` fields of *template* with values of *metrics*.

    Args:
        template: E.g. ``mnist-{epoch:02d}-{val_loss:.2f}``.
        metrics: Scalars by name; a field that is missing here is written as 0.
        equals: What stands between an inserted name and its value.
        auto_insert: Whether each value is preceded by its name.

    Returns:
        The name without version and extension. A ``/`` in it makes sub-folders.

    Example:
        >>> format_name("mnist-{epoch:02d}-{val_loss:.2f}", {"epoch": 2, "val_loss": 0.321})
        'mnist-epoch=02-val_loss=0.32'
    """

    def fill(field: re.Match[str]) -> str:
        name, spec = field["name"], field["spec"] or ""
        value = metrics.get(name, 0)
        try:
            text = format(value, spec)
        except (TypeError, ValueError) as problem:
            raise ConfigurationError(
                f"The value {value!r} of {name!r} cannot be written as {spec!r}: {problem}.\n"
                f"  asked for by: ModelCheckpoint(filename={template!r})\n"
                f"  Use a format that fits the value, e.g. '{{{name}:.2f}}' for a float."
            ) from problem
        return f"{name}{equals}{text}" if auto_insert else text

    return _FIELD.sub(fill, template)


def first_free(names: Iterable[str], taken: Callable[[str], bool], replaces: str) -> str:
    """Return the first of *names* that is not *taken*, or that is the file to be replaced anyway."""
    return next(name for name in names if name == replaces or not taken(name))


def worst_score(mode: str) -> Tensor:
    """The score that every finite one beats: inf for ``min``, -inf for ``max``."""
    return torch.tensor(float("inf") if mode == "min" else float("-inf"))


def beats(score: Tensor, other: Tensor, mode: str) -> bool:
    """Whether *score* is strictly better than *other*; NaN beats nothing."""
    return bool(score < other if mode == "min" else score > other)


def best_of(scores: Mapping[str, Tensor], mode: str) -> str:
    """Path with the best score; the older one of two that are equal."""
    return (min if mode == "min" else max)(scores, key=lambda path: float(scores[path]))


def worst_of(scores: Mapping[str, Tensor], mode: str) -> str:
    """Path with the worst score; the older one of two that are equal."""
    return (max if mode == "min" else min)(scores, key=lambda path: float(scores[path]))


def may_delete(path: str, dirpath: str, keep: Iterable[str | os.PathLike[str] | None]) -> bool:
    """Whether *path* is ours to delete.

    It is not if it lies outside of *dirpath* (another run's folder, say), or is one of
    *keep*: the file just written, the file this run was resumed from (also by way of a link).
    """
    candidate = Path(path).absolute()
    if any(candidate in (Path(kept).absolute(), Path(kept).resolve()) for kept in keep if kept):
        return False
    return Path(dirpath).absolute() in candidate.parents


def link(path: str, linkpath: str) -> None:
    """Make *linkpath* a relative symbolic link to *path*, replacing what was there at once.

    Where links are not allowed (Windows without the privilege) the file is copied.
    """
    if os.path.abspath(path) == os.path.abspath(linkpath):
        return
    fresh = f"{linkpath}.new"
    atomic.remove(fresh)
    try:
        os.symlink(os.path.relpath(path, os.path.dirname(linkpath)), fresh)
    except OSError:
        (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, fresh)
    if os.path.isdir(linkpath) and not os.path.islink(linkpath):
        atomic.remove(linkpath)
    os.replace(fresh, linkpath)


def default_directory(loggers: Sequence[Logger], default_root_dir: str) -> str:
    """Return where checkpoints go when no folder was given.

    Beside the rows of the first logger that keeps files,
    ``<save_dir>/<name>/version_<version>/checkpoints`` (a version that is a string stands
    as it is), else ``<default_root_dir>/checkpoints``.
    """
    logger = next((logger for logger in loggers if logger.log_dir is not None), None)
    if logger is None:
        return os.path.join(default_root_dir, "checkpoints")
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    return os.path.join(logger.save_dir or default_root_dir, str(logger.name or ""), version, "checkpoints")
