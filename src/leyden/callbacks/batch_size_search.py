"""Search for the largest batch size: which size to try next, and when to stop."""

from __future__ import annotations

from collections.abc import Callable

from leyden.errors import ConfigurationError


def largest(
    fits: Callable[[int], bool], start: int, mode: str, max_trials: int, most: int, samples: Callable[[], float]
) -> int:
    """Return the largest size found that fits; it has been tried.

    Args:
        fits: Tries a size.
        start: The first size.
        mode: ``"power"`` doubles until a size does not fit; ``"binsearch"`` then halves the gap until it is closed.
        max_trials: Trials after which to be content, once a size has fit; ``"binsearch"`` counts those that fit.
        most: Never try more.
        samples: Tells how many samples there are: no batch can be larger.

    Raises:
        ConfigurationError: If not even a batch of one sample fits.
    """
    best, failed, trials = 0, 0, 0
    size: int | None = min(start, most)
    while size is not None:
        worked = fits(size)
        trials += worked or mode == "power"
        if not worked:
            failed = size
        elif trials >= max_trials or size >= min(most, samples()):
            return size
        else:
            best = size
        if failed == 1:
            raise ConfigurationError(
                "a batch of one sample does not fit into memory, so there is no batch size to be found. Use a smaller "
                "model or smaller samples, a precision of fewer bits, or a device with more memory."
            )
        size = _next(best, failed, mode, most)
    return best


def _next(best: int, failed: int, mode: str, most: int) -> int | None:
    """Return the size to try; None where the search is over.

    Args:
        best: Largest size that has fit; 0 for none.
        failed: Smallest size that has not; 0 for none.
        mode: See `largest`.
        most: Likewise.
    """
    doubled = min(2 * best, most)
    if not failed:
        return doubled
    if mode == "binsearch":
        return (max(best, 1) + failed) // 2 if failed - best > 1 else None
    if not best:
        return failed // 2
    return doubled if doubled < failed else None
