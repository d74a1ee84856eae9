"""Training steps a second, from the moments in a run's log.

    2026-11-22 09:00:00,120 INFO leyden.run: training starts at epoch 0, step 0
    2026-11-22 09:00:02,310 INFO leyden.run: epoch 0, step 45: train_loss 0.31     ─►  20.5 steps/s, at step 45

Validation counts, and so do checkpoints: it is what a clock on the wall says.
"""

from __future__ import annotations

import re
from datetime import datetime

from leyden.runs.report.series import Series, series

_LINE = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) \w+ leyden\.run: (training starts at )?epoch \d{1,12}, step (\d{1,15})",
    re.MULTILINE,
)


def speed(log: str) -> Series | None:
    """Return steps a second after each epoch; None if the log does not tell."""
    steps: list[float] = []
    rates: list[float] = []
    before: tuple[datetime, int] | None = None
    for moment, starts, said in _LINE.findall(log):
        now = _moment(moment)
        if now is None:
            continue
        step = int(said)
        if before is not None and not starts and step > before[1] and now > before[0]:
            steps.append(step)
            rates.append((step - before[1]) / (now - before[0]).total_seconds())
        before = (now, step)
    return series(steps, rates) if steps else None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f")
    except ValueError:
        return None
