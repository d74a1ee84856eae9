"""Counts and rates over a sliding window of batches, without waiting for the device at each of them.

On CUDA a batch is marked by an event on the stream, which costs next to nothing; events are
read, and waited for, only when the rates are asked for.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import torch

from leyden.errors import ConfigurationError


class Point(NamedTuple):
    """The end of one batch; all counts since the start of the measurement.

    Attributes:
        mark: When it was, as `Throughput.mark` tells.
        paused: Seconds before it that do not count.
        batches: Batches so far.
        samples: Samples so far.
        lengths: Items of those samples so far, tokens say; None where nobody counts them.
        flops: Operations of this batch alone; None where nobody counts them.
    """

    mark: Any
    paused: float
    batches: int
    samples: int
    lengths: int | None
    flops: float | None


class Throughput:
    """Measure how fast batches go by.

    Args:
        device: Where they are computed.
        window_size: Number of batches that rates are taken over; there are none before.
        separator: Between ``device`` and the name of a rate.
        available_flops: What the device could do in a second at best, if that is known.
        world_size: Number of devices that do the same.
    """

    def __init__(
        self,
        device: torch.device,
        window_size: int = 100,
        separator: str = "/",
        available_flops: float | None = None,
        world_size: int = 1,
    ) -> None:
        self._on_cuda = device.type == "cuda"
        self.separator = separator
        self.available_flops = available_flops
        self.world_size = world_size
        self.points: deque[Point] = deque(maxlen=window_size)
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self.points.clear()
        self._batches = self._samples = self._lengths = 0
        self._paused = 0.0
        self._start = self.mark()
        self._pause: Any = None

    def pause(self) -> None:
        """Leave out the time from here on ..."""
        self._pause = self.mark()

    def resume(self) -> None:
        """... to here."""
        if self._pause is not None:
            self._paused += self.between(self._pause, self.mark())
            self._pause = None

    def add(self, samples: int, lengths: int | None, flops: float | None) -> None:
        """Count a batch that has just been given to the device.

        Raises:
            ConfigurationError: If it has no samples, or fewer items than samples.
        """
        if samples < 1 or (lengths is not None and lengths < samples):
            raise ConfigurationError(
                f"ThroughputMonitor counted {samples} samples and {lengths} items in one batch. Expected one sample "
                "at least, and no fewer items than samples: batch_size_fn gives the samples of a whole batch, "
                "length_fn the items in all of them."
            )
        self._batches += 1
        self._samples += samples
        self._lengths += lengths or 0
        total = self._lengths if lengths is not None else None
        self.points.append(Point(self.mark(), self._paused, self._batches, self._samples, total, flops))

    def compute(self) -> dict[str, float]:
        """Return the counts so far and, once the window is full, the rates in it, a second.

        Rates of this device stand under ``device/``; with several there are those of all together, too.
        """
        first, last = self.points[0], self.points[-1]
        found = {
            "time": self.between(self._start, last.mark) - last.paused,
            "batches": last.batches,
            "samples": last.samples,
        }
        if last.lengths is not None:
            found["lengths"] = last.lengths
        seconds = self.between(first.mark, last.mark) - (last.paused - first.paused)
        if len(self.points) < (self.points.maxlen or 0) or seconds <= 0:
            return found
        rates = {
            "batches_per_sec": (last.batches - first.batches) / seconds,
            "samples_per_sec": (last.samples - first.samples) / seconds,
        }
        if last.lengths is not None and first.lengths is not None:
            rates["items_per_sec"] = (last.lengths - first.lengths) / seconds
        if all(point.flops is not None for point in self.points):
            rates["flops_per_sec"] = sum(point.flops or 0 for point in list(self.points)[1:]) / seconds
        found |= {f"device{self.separator}{name}": rate for name, rate in rates.items()}
        if self.available_flops and "flops_per_sec" in rates:
            found[f"device{self.separator}mfu"] = rates["flops_per_sec"] / self.available_flops
        if self.world_size > 1:
            found |= {name: rate * self.world_size for name, rate in rates.items()}
        return found

    def mark(self) -> Any:
        """Note the moment at which the device is done with all it was given so far."""
        if not self._on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def between(self, first: Any, last: Any) -> float:
        """Return the seconds between two marks; waits for the device to reach the last one."""
        if not self._on_cuda:
            return float(last - first)
        last.synchronize()
        return float(first.elapsed_time(last)) / 1000
