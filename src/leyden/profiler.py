"""The contract of a profiler: where the time of a run goes.

A trainer always has one, so that ``with self.trainer.profiler.profile("name")`` can stand
in any module. The engine consults it only if it `measures`: under the `PassThroughProfiler`
that is there by default, no label is formed and no context is entered anywhere.

    attach (a stage opens) ─► start ─► stop ─► ... ─► describe (the stage is over) ─► teardown
"""

from __future__ import annotations

import functools
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from leyden.warnings import log

if TYPE_CHECKING:
    from leyden.trainer import Trainer

Item = TypeVar("Item")


class Profiler(ABC):
    """Measure named actions.

    Args:
        dirpath: Folder for the report; None means the trainer's `log_dir`.
        filename: Name of the report's file, without ending; None prints the report instead.
    """

    measures = True
    """Whether the engine shall time its hooks and steps."""

    dirpath: str | os.PathLike[str] | None = None
    filename: str | None = None
    _stage: str | None = None
    _local_rank: int | None = None
    _print: Callable[[str], object] = staticmethod(log.info)

    def __init__(self, dirpath: str | os.PathLike[str] | None = None, filename: str | None = None) -> None:
        self.dirpath = dirpath
        self.filename = filename

    @abstractmethod
    def start(self, action_name: str) -> None:
        """An action begins."""

    @abstractmethod
    def stop(self, action_name: str) -> None:
        """An action ends."""

    def summary(self) -> str:
        """Return the report, ready to print."""
        return ""

    def attach(self, trainer: Trainer, stage: str) -> None:
        """A stage of *trainer* opens; its loggers are ready, its loaders are not."""
        self._print = trainer.print
        rank = trainer.local_rank if trainer.world_size > 1 else None
        self.setup(stage, rank, trainer.log_dir or trainer.default_root_dir)

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        """Take over what the names of files are made of, and the folder if none was given."""
        self._stage, self._local_rank = stage, local_rank
        self.dirpath = self.dirpath or log_dir

    def describe(self) -> None:
        """Print the report, or add it to ``<dirpath>/<stage>-<filename>.txt``; then `teardown`."""
        text = self.summary()
        if text and self.filename and self.dirpath:
            with self._file().open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        elif text:
            self._print(text)
        self.teardown(self._stage)

    def teardown(self, stage: str | None) -> None:
        """Release what belongs to the stage that is over."""

    @contextmanager
    def profile(self, action_name: str) -> Iterator[str]:
        """Measure a block."""
        self.start(action_name)
        try:
            yield action_name
        finally:
            self.stop(action_name)

    def timed(self, action_name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return *function*, measured at every call; its signature can still be asked for."""

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            self.start(action_name)
            try:
                return function(*args, **kwargs)
            finally:
                self.stop(action_name)

        return measured

    def timed_items(self, action_name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield *items*, each wait for the next one measured."""
        following = iter(items)
        while True:
            self.start(action_name)
            try:
                item = next(following, following)
            finally:
                self.stop(action_name)
            if item is following:
                return
            yield item  # type: ignore[misc]  # not the end mark, as was just seen

    def _file(self, action: str | None = None, ending: str = ".txt") -> Path:
        """Return ``<dirpath>/<stage>-<filename>[-<rank>][-<action>]<ending>``; the folder is made."""
        folder = Path(self.dirpath or ".")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self._name(action)}{ending}"

    def _name(self, action: str | None = None) -> str:
        rank = None if self._local_rank is None else str(self._local_rank)
        parts = (self._stage, self.filename, rank, action)
        return re.sub(r'[\\/:*?"<>|\s]+', "_", "-".join(part for part in parts if part)) or "profile"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the trainer behind."""
        return {name: value for name, value in self.__dict__.items() if name != "_print"}
