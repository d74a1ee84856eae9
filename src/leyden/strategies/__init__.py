"""Strategies: `SingleDevice` runs a module in one process on one device."""

from leyden.strategies.single_device import SingleDevice

__all__ = ["SingleDevice"]
