"""A generator and a discriminator of 8x8 digits, and how far apart two sets of digits are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PIXELS = 64


def generator(latent: int, width: int) -> nn.Sequential:
    """Build a network from noise of shape ``(B, latent)`` to images in [0, 1], shape ``(B, 64)``."""
    return nn.Sequential(
        nn.Linear(latent, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, PIXELS),
        nn.Sigmoid(),
    )


def discriminator(width: int) -> nn.Sequential:
    """Build a network from images, shape ``(B, 64)``, to the logit of being real, shape ``(B, 1)``."""
    return nn.Sequential(
        nn.Linear(PIXELS, width),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Linear(width, width),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Linear(width, 1),
    )


def frechet_distance(left: Tensor, right: Tensor) -> Tensor:
    """Compare two sets of images by the mean and covariance of their pixels.

        |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

    the squared Wasserstein distance between the two normal distributions.

    Args:
        left: Images of shape ``(N, 64)``.
        right: Images of shape ``(M, 64)``.

    Returns:
        A scalar, in squared pixel values summed over the image; 0 for equal statistics.
        Small sets of equal origin are some way apart, too: compare with two real ones.
    """
    mean = (left.mean(dim=0) - right.mean(dim=0)).square().sum()
    covariances = left.double().T.cov(), right.double().T.cov()
    # The eigenvalues of C1 C2 are real and not negative, as both are covariances.
    roots = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0).sqrt().sum()
    distance: Tensor = mean + (covariances[0].trace() + covariances[1].trace() - 2 * roots).float()
    return distance
