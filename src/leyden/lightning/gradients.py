"""Norms of gradients by parameter, for a hook that logs them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leyden.errors import ConfigurationError


def grad_norm(module: nn.Module, norm_type: float | int | str, group_separator: str = "/") -> dict[str, Tensor]:
    """Return the norm of each parameter's gradient, and of all of them together.

    Args:
        module: Its parameters without a gradient are left out.
        norm_type: The p of the p-norm; ``"inf"`` for the largest absolute value.
        group_separator: Stands between the kind of norm and the name of the parameter.

    Returns:
        Scalars under ``grad_2.0_norm/<parameter>`` and ``grad_2.0_norm_total``; empty without gradients.
    """
    order = float(norm_type)
    if order <= 0:
        raise ConfigurationError(f"grad_norm(norm_type={norm_type!r}): expected a positive number or 'inf'.")
    kind = f"grad_{order}_norm"
    norms = {
        f"{kind}{group_separator}{name}": torch.linalg.vector_norm(parameter.grad, order)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    if norms:
        norms[f"{kind}_total"] = torch.linalg.vector_norm(torch.stack(list(norms.values())), order)
    return norms
