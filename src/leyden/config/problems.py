"""What is wrong with a config: one list, complete, readable at a glance.

2 problems in the composed config (nothing has been built):
  model.widht       MLP takes no argument 'widht'. Did you mean 'width'?   set in conf/experiment/wide.yaml
  data.batch_size   0 is too small: ...
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leyden import secrets
from leyden.errors import ConfigurationError


@dataclass(frozen=True)
class Problem:
    """One thing that cannot be meant.

    Args:
        path: Dotted path in the config, or the override as it was typed.
        message: What is wrong, what was expected, what to do.
        origin: The file that set it, or ``"command line"``; None when it cannot be told.
    """

    path: str
    message: str
    origin: str | None = None

    def __str__(self) -> str:
        where = (
            "" if self.origin is None else f"   set {'on the' if self.origin == COMMAND_LINE else 'in'} {self.origin}"
        )
        return f"{self.message}{where}"


COMMAND_LINE = "command line"


class ConfigProblems(ConfigurationError):
    """A config with problems, all of them in ``problems``.

    Args:
        problems: At least one.
        subject: What has them, for the first line.
    """

    def __init__(self, problems: Sequence[Problem], subject: str = "the composed config") -> None:
        super().__init__(render(problems, subject))
        self.problems = list(problems)
        self.subject = subject

    def __reduce__(self) -> tuple[type[ConfigProblems], tuple[list[Problem], str]]:
        """Pickle from the arguments: an error may have to come back from another process."""
        return type(self), (self.problems, self.subject)


def render(problems: Sequence[Problem], subject: str = "the composed config") -> str:
    """Write *problems* as one aligned list under a line that counts them; secrets in them are covered."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    width = max((len(problem.path) for problem in problems), default=0)
    indent = "\n" + " " * (width + 5)
    lines = [f"  {problem.path.ljust(width)}   {str(problem).replace(chr(10), indent)}" for problem in problems]
    return secrets.masked("\n".join([f"{count} in {subject} (nothing has been built):", *lines]))


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *name* was probably meant to be."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    return next((other for other in names if other.lower() == name.lower()), None)


def did_you_mean(name: str, known: Iterable[str], title: str, limit: int = 12) -> str:
    """Return the remedy for an unknown *name*: the closest of *known*, or all of them.

    Args:
        name: What was given.
        known: What would have been understood.
        title: Begins the list when nothing is close, e.g. ``"Its arguments are"``.
        limit: Names written out at most.
    """
    names = sorted(known)
    close = closest(name, names)
    if close is not None:
        return f"Did you mean {close!r}?"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{title}: {', '.join(names[:limit]) or 'none'}{more}."
