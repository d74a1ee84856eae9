"""Profilers: `SimpleProfiler` sums up the time of every step and hook."""

from leyden.profilers.simple import SimpleProfiler

__all__ = ["SimpleProfiler"]
