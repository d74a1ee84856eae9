"""Every error Leyden raises on purpose.

    LeydenError
    ├── ConfigurationError (also ValueError)    input that cannot be meant: raised before anything runs
    │   └── MissingMetricError (also RuntimeError)  a metric that is waited for, and that nobody logs
    ├── CheckpointError (also ValueError)       a checkpoint that is damaged, foreign or does not fit
    │   ├── DamagedCheckpointError              one that cannot be read, or of which a part is not what it should be
    │   └── UnsafeCheckpointError               one that would execute something, or fill the memory
    ├── RunError (also RuntimeError)            a run directory that cannot be made or executed
    │   └── UnsafeFileError (also ValueError)   a file in it that is a link, a pipe, too large ...
    ├── RankError (also RuntimeError)           another rank has failed, has gone, or is not heard of
    └── StageEnded                              a callback has what it wanted of a stage; no failure
    Interrupted (KeyboardInterrupt)             SIGINT or SIGTERM, acted on at a step boundary

A message has four parts, in this order: what is wrong with the actual value, where it
came from, what was expected, what to do.
"""

from __future__ import annotations

import signal
from typing import ClassVar


class LeydenError(Exception):
    """Root of the tree: catch it to catch whatever Leyden itself complains about.

    Attributes:
        shows_cause: Whether the frames of what it was raised from belong to the message: the user's own code failed.
    """

    shows_cause: ClassVar[bool] = False


class ConfigurationError(LeydenError, ValueError):
    """Input that cannot be meant, found before anything was touched."""


class MissingMetricError(ConfigurationError, RuntimeError):
    """A metric that somebody waits for and nobody logs; found once it could have been logged."""


class CheckpointError(LeydenError, ValueError):
    """A checkpoint that is damaged, unsafe to load, or does not fit what it is loaded into."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint that cannot be read, or of which a part is not what it should be."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint that somebody has made to do something else than to be loaded."""


class RunError(LeydenError, RuntimeError):
    """A run directory that cannot be created, read or executed."""


class UnsafeFileError(RunError, ValueError):
    """A file of a run directory that is not what it should be: a link, a pipe, a folder, too large, not readable."""


class RankError(LeydenError, RuntimeError):
    """Another rank has failed, has gone, or is not heard of; this one can only tell which.

    Args:
        message: What to say.
        rank: Which one.
        refused: Whether it could not do what it was asked to, rather than failing at it.
    """

    def __init__(self, message: str, rank: int | None = None, refused: bool = False) -> None:
        super().__init__(message)
        self.rank = rank
        self.refused = refused


class StageEnded(LeydenError):
    """A callback has what it wanted: the stage ends here, and who asked for it goes on."""


class Interrupted(KeyboardInterrupt):
    """A stop asked for by a signal and carried out at a step boundary.

    Derives from `KeyboardInterrupt`, so that ``except Exception`` in user code does not
    swallow it.

    Args:
        signum: Number of the signal, e.g. ``signal.SIGTERM``.
        checkpoint: Path of the checkpoint written on the way out, if one was.
    """

    def __init__(self, signum: int, checkpoint: str | None = None) -> None:
        saved = f", saved to {checkpoint}" if checkpoint is not None else ""
        super().__init__(f"stopped by {signal.Signals(signum).name}{saved}")
        self.signum = signum
        self.checkpoint = checkpoint

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int, str | None]]:
        return type(self), (self.signum, self.checkpoint)

    @property
    def exit_code(self) -> int:
        """The shell's convention for a process ended by a signal: 128 + its number."""
        return 128 + self.signum
