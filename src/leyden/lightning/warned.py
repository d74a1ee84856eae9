"""The category of Lightning's advice, and the switch to silence it."""

from __future__ import annotations

import warnings


class PossibleUserWarning(UserWarning):
    """Something that may be a mistake."""


def disable_possible_user_warnings(module: str = "") -> None:
    """Silence `PossibleUserWarning`, everywhere or in *module* (a regular expression)."""
    warnings.filterwarnings("ignore", module=module, category=PossibleUserWarning)
