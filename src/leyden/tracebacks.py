"""An exception as its author wants to see it: the frames of their own code, the message, and what to do next.

    told(error)          for a terminal of 24 lines; everything with ``--traceback full``
    shortened(text)      the same of a traceback that is text already: another process has written it
    place(error)         "model.py:12", where it was raised
    is_own(filename)     whether a file is the user's own code, and not that of a library

The whole traceback is always in the ``logs/`` of a run. A traceback is shortened as text, since some of it never was
anything else: a worker process of a loader sends its traceback inside of a message.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType

from leyden.errors import ConfigurationError, LeydenError
from leyden.terminal import printable_lines

FLAG = "--traceback"
VARIABLE = "LEYDEN_TRACEBACK"  # "full" shows everything; processes that this one starts inherit it
_CHOICES = ("short", "full")
_LINES = 17  # rows of a terminal; a screen has 24, and what to do next comes below
_NEXT = "__leyden_next__"  # attribute of an exception: see `followed_by`
_WITHOUT_OWN = 3  # frames that are shown of a traceback in which none is the user's own
_HEADER = re.compile(r"^[ |+-]*(?:Exception Group |Original )?Traceback \(most recent call last\):$")
_OUTERMOST = re.compile(r"^(?:  \+ Exception Group |Original )?Traceback ")
_FRAME = re.compile(r'^[ |]*  File "(?P<file>.+?)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_CARETS = re.compile(r"^[ |]*[~^]+$")
_LIBRARY = re.compile(r"(?:^|/)(?:site-packages|dist-packages|lib/python3\.\d+)/|^<")
_CHAINED = {
    "The above exception was the direct cause of the following exception:": "which was the direct cause of",
    "During handling of the above exception, another exception occurred:": "and while that was handled",
}


@dataclass
class _Frame:
    """One frame of a traceback, with the lines that show its source."""

    head: str
    file: str
    line: str
    function: str
    source: list[str] = field(default_factory=list)


@dataclass
class _Section:
    """One exception of a chain: its frames, its message, and how it led to the next one."""

    frames: list[_Frame] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    led: str = ""
    inside: bool = False  # of a group of exceptions


@dataclass(frozen=True)
class _Detail:
    """How much is shown: frames of an exception, exceptions, lines of a message, rows of a line, marks of columns."""

    frames: int
    exceptions: int
    said: int
    rows: int
    carets: bool


_DETAILS = (
    _Detail(8, 4, 12, 12, True), _Detail(8, 4, 12, 6, False), _Detail(4, 4, 8, 3, False), _Detail(3, 3, 5, 2, False),
    _Detail(2, 2, 3, 1, False), _Detail(1, 2, 2, 1, False), _Detail(1, 1, 2, 1, False),
)  # fmt: skip


def taken(words: Sequence[str]) -> list[str]:
    """Return *words* without ``--traceback full`` or ``short``, which is noted for this process and its children.

    Raises:
        ConfigurationError: If it is given something else.
    """
    left, waiting = [], iter(words)
    for word in waiting:
        if word != FLAG and not word.startswith(f"{FLAG}="):
            left.append(word)
            continue
        value = next(waiting, "") if word == FLAG else word.partition("=")[2]
        if value not in _CHOICES:
            raise ConfigurationError(f"{FLAG} {value}: expected full or short. Short is what it is without the flag.")
        os.environ[VARIABLE] = value
    return left


def prepare() -> None:
    """Have this process show an exception that nobody has caught by `told`."""
    sys.excepthook = _uncaught


def full() -> bool:
    """Whether somebody wants to see every frame."""
    return os.environ.get(VARIABLE) == "full"


def told(error: BaseException) -> str:
    """Return how *error* is shown to a person.

    Of an error that Leyden raises on purpose the message is enough, with the user's own line that has led to it, or
    with the frames of what has failed where that was the user's own code.
    """
    if full():
        return "".join(traceback.format_exception(error)).rstrip("\n")
    if not isinstance(error, LeydenError):
        return shortened("".join(traceback.format_exception(error)))
    if error.shows_cause and error.__cause__ is not None:
        return f"{shortened(''.join(traceback.format_exception(error.__cause__)))}\n\n{error}"
    own = _own_frames(error)
    return f"{error}\nraised by  {_place(own[-1])}, in {own[-1].name}" if own else str(error)


def followed_by(error: BaseException, lines: str) -> None:
    """Have *lines* printed below *error*, if nobody catches it: what to do next."""
    with suppress(AttributeError):  # a class may forbid it
        setattr(error, _NEXT, lines)


def shortened(trace: str, lines: int = _LINES) -> str:
    """Return a traceback with the user's own frames and the messages alone; as it is where everything is wanted.

    Args:
        trace: As `traceback.format_exception` writes it.
        lines: Rows of the terminal that it may take.
    """
    if full():
        return trace.rstrip("\n")
    sections = _sections(trace)
    width = shutil.get_terminal_size().columns
    own = any(is_own(frame.file) for section in sections for frame in section.frames)
    shown: list[str] = []
    for detail in _DETAILS:
        shown = list(_rendered(sections, detail, own, width))
        if sum(_rows(line, width) for line in shown) <= lines:
            return "\n".join(shown)
    return "\n".join(_cut(line, width) for line in shown)


def place(error: BaseException) -> str:
    """Return where *error* was raised, ``model.py:12``: the last line of the user's own, or else the last of all."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}"
    frames = _own_frames(error) or list(traceback.extract_tb(error.__traceback__))
    return _place(frames[-1]) if frames else "an unknown place"


@lru_cache(maxsize=4096)
def is_own(filename: str) -> bool:
    """Whether *filename* is the user's own code: no library, nothing of Python's, nothing of this package."""
    if _LIBRARY.search(filename.replace(os.sep, "/")):
        return False
    return not any(os.path.abspath(filename).startswith(folder + os.sep) for folder in _foreign())


@lru_cache(maxsize=1)
def _foreign() -> tuple[str, ...]:
    """Return the folders that hold this package, Python's own modules, and the scripts that start both."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
    return tuple({os.path.abspath(path) for path in paths if path} | {str(Path(__file__).resolve().parent)})


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    below = getattr(error, _NEXT, "" if full() else f"\nall frames     {FLAG} full")
    sys.stderr.write(printable_lines(f"{told(error.with_traceback(trace))}\n{below}".rstrip("\n") + "\n"))
    sys.stderr.flush()


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    return [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]


def _place(frame: traceback.FrameSummary) -> str:
    return f"{_shown(frame.filename)}:{frame.lineno}"


def _shown(filename: str) -> str:
    """Return *filename* as a person in the current directory would write it."""
    with suppress(OSError):
        here, full_path = Path.cwd().resolve(), Path(filename).resolve()
        return str(full_path.relative_to(here) if full_path.is_relative_to(here) else filename)
    return filename


def _sections(trace: str) -> list[_Section]:
    """Read a traceback: an exception of the chain at a time."""
    sections: list[_Section] = []
    in_frames = False
    for line in trace.rstrip("\n").split("\n"):
        if _HEADER.match(line) or not sections:
            sections.append(_Section(inside=bool(sections) and not _OUTERMOST.match(line)))
            in_frames = True
            if _HEADER.match(line):
                continue
        section = sections[-1]
        if in_frames and (frame := _FRAME.match(line)):
            section.frames.append(_Frame(line, frame["file"], frame["line"], frame["function"] or ""))
        elif in_frames and section.frames and line.lstrip("| ") and line.startswith(("    ", "  |  ", "  [")):
            section.frames[-1].source.append(line)
        elif (led := _CHAINED.get(line.strip(" |"))) is not None:
            section.led = led
        else:
            in_frames = False
            section.said.append(line)
    return sections


def _rendered(sections: Sequence[_Section], detail: _Detail, own: bool, width: int) -> Iterator[str]:
    yield "Traceback of your own code (most recent call last):" if own else "The end of the traceback:"
    main = max(at for at, section in enumerate(sections) if not section.inside)
    before = max(0, main + 1 - detail.exceptions)
    if before:
        yield f"... (exceptions before it: {before})"
    for section in sections[before : main + detail.exceptions]:
        yield from _frames(section.frames, detail, own)
        said = [line for line in section.said if line.strip(" |+-")]
        yield from (_cut(line, detail.rows * width) for line in said[: detail.said])
        if len(said) > detail.said:
            yield f"... (lines more: {len(said) - detail.said})"
        if section.led:
            yield section.led
    if main + detail.exceptions < len(sections):
        yield f"... (exceptions inside of it: {len(sections) - main - detail.exceptions})"


def _frames(frames: Sequence[_Frame], detail: _Detail, own: bool) -> Iterator[str]:
    """Yield the user's own of *frames*, and in one line how it went on inside of a library."""
    chosen = [frame for frame in frames if is_own(frame.file)] if own else list(frames[-_WITHOUT_OWN:])
    if len(chosen) > detail.frames:
        yield f"  ... (frames before: {len(chosen) - detail.frames})"
    for frame in chosen[-detail.frames :]:
        yield frame.head.replace(frame.file, _shown(frame.file), 1)
        yield from (line for line in frame.source if detail.carets or not _CARETS.match(line))
    last = frames[-1] if frames else None
    if chosen and last is not None and chosen[-1] is not last:
        below = len(frames) - 1 - next(at for at, frame in enumerate(frames) if frame is chosen[-1])
        yield f"  ... {below} more below, down to {_inside(last.file)}:{last.line}, in {last.function}"


def _inside(filename: str) -> str:
    """Return the file of a library from the library's own folder on."""
    parts = _LIBRARY.split(filename.replace(os.sep, "/"))
    if len(parts) > 1 and parts[-1]:
        return parts[-1]
    return next((os.path.relpath(filename, os.path.dirname(folder)) for folder in _foreign()
                 if filename.startswith(folder + os.sep)), filename)  # fmt: skip


def _rows(line: str, width: int) -> int:
    return max(1, -(-len(line) // width))


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
