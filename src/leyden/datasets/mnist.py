"""MNIST: 70,000 handwritten digits of 28x28 pixels, from four IDX files.

The files are looked for, plain or gzip, in the data root and where torchvision keeps them
(``<root>/MNIST/raw``). What is not there is downloaded once, into the root, with its
checksum verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from leyden.datasets.checks import check_count
from leyden.datasets.idx import read_idx
from leyden.datasets.in_memory import InMemory
from leyden.datasets.splits import SplitData
from leyden.errors import ConfigurationError


class MNIST(SplitData):
    """Batches ``(images, labels)``: float32 of shape ``(B, 1, 28, 28)``, int64 of shape ``(B,)``.

    The 60,000 training images are split 55,000 / 5,000 by a permutation that depends on
    *split_seed* alone; the 10,000 test images are the data set's own. Images stay bytes
    in memory (47 MB) and become float32 batch by batch.

    Args:
        root: Folder of the four files; made when something has to be downloaded.
        batch_size: Samples per batch.
        val_size: Number of training images set apart for validation.
        split_seed: Seed of that split.
        num_workers: Worker processes per loader.
        normalize: Subtract the training set's mean and divide by its standard deviation;
            False leaves pixels in [0, 1].

    Attributes:
        checksums: MD5 of each of the four canonical gzip files, by name.
        mirrors: URLs that end in a slash, tried in order.
        mean: Mean of all training pixels, scaled to [0, 1].
        std: Their standard deviation.
    """

    checksums: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    mirrors: ClassVar[Sequence[str]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    mean: ClassVar[float] = 0.1307
    std: ClassVar[float] = 0.3081

    def __init__(
        self,
        root: str | Path,
        batch_size: int = 64,
        val_size: int = 5000,
        split_seed: int = 0,
        num_workers: int = 0,
        normalize: bool = True,
    ) -> None:
        super().__init__(batch_size, num_workers)
        check_count(type(self).__name__, "val_size", val_size)
        check_count(type(self).__name__, "split_seed", split_seed, minimum=0)
        self.root = Path(root)
        self.val_size = val_size
        self.split_seed = split_seed
        self.normalize = normalize
        self.save_hyperparameters(ignore="root")  # where files lie says nothing about the experiment

    def prepare_data(self) -> None:
        """Download the files that are not there; does nothing, and needs no network, if all are."""
        missing = [name for name in self.checksums if self.locate(name) is None]
        failures = [reason for name in missing if (reason := self._download(name)) is not None]
        if failures:
            raise ConfigurationError(
                f"{type(self).__name__} is not complete in {self.root.absolute()}: {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing and could not be downloaded.\n"
                f"  first failure: {failures[0]}\n"
                f"  Four files are expected there, or in {self._raw_folder()} below it, each with or without .gz:\n"
                f"    {', '.join(self.checksums)}\n"
                f"  Put them there by hand (from {self.mirrors[0]}), name the folder that has them as the data "
                f"module's root (data.root=... on the command line), or run again with a network."
            )

    def locate(self, name: str) -> Path | None:
        """Return the path of the file called *name* (ending in ``.gz``), packed or not; None if absent."""
        folders = (self.root, self.root / self._raw_folder())
        candidates = (folder / form for folder in folders for form in (name, name.removesuffix(".gz")))
        return next((path for path in candidates if path.is_file()), None)

    def build(self, names: Sequence[str]) -> dict[str, Dataset[Any]]:
        """Read the files behind the splits called *names*."""
        splits: dict[str, Dataset[Any]] = {}
        if "test" in names:
            splits["test"] = self._read("t10k")
        if "train" in names or "val" in names:
            whole = self._read("train")
            parts = self._parts(len(whole))
            splits |= {name: whole.take(parts[name]) for name in names if name in parts}
        return splits

    def _parts(self, count: int) -> dict[str, Tensor]:
        if self.val_size >= count:
            raise ConfigurationError(
                f"{type(self).__name__} was given val_size={self.val_size}, but there are {count} training images "
                f"in {self.root}. Leave at least one to train on."
            )
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self.split_seed))
        return {"train": order[: count - self.val_size], "val": order[count - self.val_size :]}

    def _read(self, part: str) -> InMemory:
        image_file, label_file = (self._found(name) for name in self.checksums if name.startswith(part))
        images, labels = read_idx(image_file), read_idx(label_file)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise ConfigurationError(
                f"{image_file} and {label_file} do not belong together: their shapes are {tuple(images.shape)} and "
                f"{tuple(labels.shape)}. Expected (N, height, width) and (N,). Replace both."
            )
        scale = Scale(self.mean, self.std) if self.normalize else Scale()
        return InMemory(images.unsqueeze(1), labels.long(), transform=scale)

    def _found(self, name: str) -> Path:
        path = self.locate(name)
        if path is None:
            raise ConfigurationError(
                f"{name} is neither in {self.root.absolute()} nor in {self._raw_folder()} below it. "
                f"Call prepare_data() first, which downloads it, or put it there by hand."
            )
        return path

    def _download(self, name: str) -> str | None:
        """Fetch one file from the first mirror that has it; return what went wrong, if none has."""
        import pooch

        reason = None
        for mirror in self.mirrors:
            try:
                pooch.retrieve(mirror + name, f"md5:{self.checksums[name]}", fname=name, path=self.root)
            except (OSError, ValueError) as error:  # no network or no such file; a wrong checksum
                reason = reason or f"{mirror + name}: {type(error).__name__}: {error}"
            else:
                return None
        return reason

    @classmethod
    def _raw_folder(cls) -> Path:
        return Path(cls.__name__) / "raw"


class Scale:
    """Turn a batch of byte images into float32: scaled to [0, 1], then ``(x - mean) / std``."""

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        self.mean = mean
        self.std = std

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Scale *images*, shape ``(B, *)``; *labels* pass through."""
        scaled = images.to(torch.float32).div_(255.0)
        return scaled.sub_(self.mean).div_(self.std), labels
