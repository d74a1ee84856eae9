"""What Lightning and Leyden do differently on two ranks, seen in the same pair of them.

    torchrun --nproc-per-node 2 tests/distributed/observed_on_ranks.py FILE

Rank 0 writes what was seen on all ranks: by library and name.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from twins import LEYDEN, LIGHTNING, quiet, regression, silence

import leyden.strategies


def numbered(count: int) -> TensorDataset:
    """Samples whose inputs are their numbers."""
    numbers = torch.arange(float(count))
    return TensorDataset(numbers[:, None].expand(-1, 4).contiguous(), numbers[:, None])


class Stream(IterableDataset):
    """The same samples, one after the other, on every rank."""

    def __iter__(self):
        yield from numbered(6)


def gathered(seen: list[Any]) -> list[Any]:
    """Return what each rank has seen."""
    found: list[Any] = [None, None]
    dist.all_gather_object(found, seen)
    return found


def fitted(library: Any, module: Any, **options: Any) -> None:
    """Train for an epoch on two ranks."""
    torch.manual_seed(0)
    with silence():
        quiet(library, ".", **{"max_epochs": 1, "devices": 2, "strategy": "ddp", **options}).fit(module)


def order_of_shared_samples(library: Any) -> Any:
    """Which samples each rank trains on, of a loader that does not shuffle."""
    seen = []

    class Module(regression(library)):
        def training_step(self, batch, batch_idx):
            seen.extend(batch[1].flatten().tolist())
            return super().training_step(batch, batch_idx)

        def train_dataloader(self):
            return DataLoader(numbered(8), batch_size=2)

    fitted(library, Module(), limit_val_batches=0)
    return gathered(seen)


def samples_of_a_shared_evaluation(library: Any) -> Any:
    """How often each of five samples is validated."""
    seen = []

    class Module(regression(library)):
        def validation_step(self, batch, batch_idx):
            seen.extend(batch[1].flatten().tolist())

        def val_dataloader(self):
            return DataLoader(numbered(5), batch_size=2)

    fitted(library, Module(), limit_train_batches=1, num_sanity_val_steps=0)
    return sorted(each for of_a_rank in gathered(seen) for each in of_a_rank)


def iterable_data_on_ranks(library: Any) -> Any:
    """Which samples of an iterable data set each rank trains on."""
    seen = []

    class Module(regression(library)):
        def training_step(self, batch, batch_idx):
            seen.extend(batch[1].flatten().tolist())
            return super().training_step(batch, batch_idx)

        def train_dataloader(self):
            return DataLoader(Stream(), batch_size=1)

    fitted(library, Module(), limit_val_batches=0)
    return gathered(seen)


def hooks_of_gradients_on_cpus(library: Any) -> Any:
    """Whether a hook that halves the bits of gradients changes weights on CPUs."""
    kind = library.strategies.DDPStrategy if library is LIGHTNING else leyden.strategies.DDPStrategy
    found = []
    for hook in (None, default_hooks.fp16_compress_hook):
        torch.manual_seed(0)
        module = regression(library)()
        fitted(library, module, strategy=kind(ddp_comm_hook=hook), limit_val_batches=0)
        found.append(torch.cat([each.detach().flatten() for each in module.parameters()]))
    return not torch.equal(*found)


OBSERVATIONS = (
    order_of_shared_samples,
    samples_of_a_shared_evaluation,
    iterable_data_on_ranks,
    hooks_of_gradients_on_cpus,
)

if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = {
        library.__name__: {each.__name__: each(library) for each in OBSERVATIONS} for library in (LIGHTNING, LEYDEN)
    }
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
