"""Several test workers and a person on one cluster: changes take turns, and the last to leave takes it down.

NAME.lock    held, by one, while something is changed
NAME.users   held, by any number, while tests run; a worker that dies lets go of it
standing     in the cluster's folder: a person has started it, and takes it down
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(place: Path) -> Iterator[None]:
    """Change the cluster in *place*, after others that do."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{place}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def used(place: Path) -> Iterator[None]:
    """Keep the cluster in *place* from being taken down by those for whom it is `unused`."""
    with open(f"{place}.users", "w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def unused(place: Path) -> Iterator[bool]:
    """Tell whether neither a test nor a person uses the cluster in *place*, and keep it so."""
    with open(f"{place}.users", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield not (place / "standing").exists()
