"""``losses.f64``: the loss of every training step, one little-endian float64 each.

It is how the first step is found in which two runs part. Nothing waits for it: on the CPU a
loss is a number already; on another device it is copied into a buffer there, which is
fetched when it is full and before a checkpoint is written.

The file may be ahead of the last checkpoint when a process is killed. A resumed run cuts it
back to what the checkpoint knows of, and goes on from there.
"""

from __future__ import annotations

import os
from array import array
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from leyden import regular

NAN = float("nan")  # for a step without a loss; any other NaN is written with these bits, too
CAPACITY = 1024  # losses that wait


class LossTrace:
    """Append losses to a file.

    Args:
        path: The file; its folder exists.

    Attributes:
        steps: How many are on disk.
        lost: How many of them are NaN because a power cut took them; a killed process loses none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps = 0
        self.lost = 0
        self._file: IO[bytes] | None = None
        self._sum = sha256()
        self._host = array("d")
        self._buffer: Tensor | None = None
        self._slots: tuple[Tensor, ...] = ()
        self._filled = 0

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self._sum.hexdigest()

    def begin(self, keep: int, device: torch.device | None = None) -> None:
        """Go on after the first *keep* losses of the file; the rest of it is dropped.

        Args:
            keep: 0 starts a new file.
            device: Where losses wait in a buffer; None where each is a number at once.
        """
        self._file = regular.held(self.path.parent, self.path.name)
        found = self._file.read(8 * keep) if keep else b""
        found = found[: len(found) // 8 * 8]
        lost = keep - len(found) // 8
        self._file.truncate(len(found))
        self._file.seek(len(found))
        padding = np.full(lost, NAN, "<f8").tobytes()
        self._file.write(padding)
        self.steps, self.lost, self._sum = keep, self.lost + lost, sha256(found + padding)
        self._host, self._filled = array("d"), 0
        if device is not None:
            dtype = torch.float32 if device.type == "mps" else torch.float64
            self._buffer = torch.empty(CAPACITY, dtype=dtype, device=device)
            self._slots = self._buffer.unbind()

    def note(self, loss: Any) -> None:
        """Remember the loss of one step: a tensor, a number, or None where there is none."""
        if self._file is None:
            return
        try:
            if self._buffer is None:
                self._host.append(loss.item())
            else:
                self._slots[self._filled].copy_(loss)
            self._filled += 1
        except (AttributeError, RuntimeError, TypeError):  # no tensor, or one of several elements
            self._note_other(loss)
        if self._filled == CAPACITY:
            self.flush()

    def _note_other(self, loss: Any) -> None:
        value: Any = loss.double().sum() if isinstance(loss, Tensor) else NAN if loss is None else float(loss)
        if self._buffer is None:
            self._host.append(float(value))
        else:
            self._slots[self._filled].fill_(value)
        self._filled += 1

    def flush(self) -> None:
        """Write what is pending."""
        if self._file is None or not self._filled:
            return
        pending = np.array(self._host)
        if self._buffer is not None:
            pending = self._buffer[: self._filled].cpu().double().numpy()
        pending[np.isnan(pending)] = NAN
        raw = pending.astype("<f8").tobytes()
        self._file.write(raw)
        self._sum.update(raw)
        self.steps += len(pending)
        self._host, self._filled = array("d"), 0

    def close(self) -> None:
        """Write what is pending, wait until the disk has it, and close the file."""
        if self._file is None:
            return
        self.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
