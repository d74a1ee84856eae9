"""Fashion-MNIST: MNIST's form and size, with ten kinds of clothing for digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from leyden.datasets.mnist import MNIST


class FashionMNIST(MNIST):
    """As `MNIST`, arguments included, from Zalando's four files."""

    checksums: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    mirrors: ClassVar[Sequence[str]] = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    mean: ClassVar[float] = 0.2860
    std: ClassVar[float] = 0.3530
