"""What only several ranks can show, as user code for both libraries; see ``cases`` of the parity tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torchmetrics

DISTRIBUTED_CASES: dict[str, tuple[Callable[..., type], dict[str, Any]]] = {}


def case(**options: Any) -> Callable[[Callable[..., type]], Callable[..., type]]:
    """Add a case under the function's name; ``ddp`` are options of the strategy."""

    def add(make: Callable[..., type]) -> Callable[..., type]:
        DISTRIBUTED_CASES[make.__name__] = make, options
        return make

    return add


def with_strategy(**options: Any) -> tuple[Callable[..., type], dict[str, Any]]:
    """A case that is the base class itself, for options of the strategy."""
    return (lambda library, Base: Base), {"ddp": options}


DISTRIBUTED_CASES |= {
    "nothing_unused": with_strategy(find_unused_parameters=False),
    "static_graph": with_strategy(find_unused_parameters=False, static_graph=True),
    "gradients_as_views_of_buckets": with_strategy(gradient_as_bucket_view=True),
    "small_buckets": with_strategy(bucket_cap_mb=0.0001),
    "buffers_left_alone": with_strategy(broadcast_buffers=False),
}


@case()
def logged_over_all_ranks(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("both", loss, on_step=True, on_epoch=True, sync_dist=True, prog_bar=True)
            self.log("largest", loss, on_step=False, on_epoch=True, sync_dist=True, reduce_fx="max")
            self.log("total", loss, on_step=False, on_epoch=True, sync_dist=True, reduce_fx="sum")
            self.log("own", loss, on_step=True, on_epoch=True)
            self.log("weighed", loss, on_epoch=True, sync_dist=True, batch_size=self.global_rank + 1)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch), sync_dist=True)
            self.log("val_least", self.loss(batch), reduce_fx="min", sync_dist=True)

        def on_validation_epoch_end(self):
            self.log("rank", float(self.global_rank), sync_dist=True)

        def on_train_epoch_end(self):
            self.log("rank_plus_one", float(self.global_rank + 1), sync_dist=True, reduce_fx="sum")

    return Module


@case()
def metric_objects(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.error = torchmetrics.MeanSquaredError()
            self.mean = torchmetrics.MeanMetric()

        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.error(self(batch[0]), batch[1])
            self.log("error", self.error, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, batch_idx):
            self.mean.update(self.loss(batch))
            self.log("mean", self.mean)

    return Module


@case()
def batch_normalisation(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))

    return Module


@case()
def gathered_with_gradients(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            outputs = self.all_gather(self(batch[0]), sync_grads=True)
            targets = self.all_gather({"y": batch[1], "n": batch_idx})
            assert targets["n"].tolist() == [batch_idx] * 2
            return torch.nn.functional.mse_loss(outputs, targets["y"]) + self.loss(batch)

    return Module


@case()
def two_optimizers_by_hand(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.other = torch.nn.Linear(4, 1)

        def training_step(self, batch, batch_idx):
            first, second = self.optimizers()
            self.toggle_optimizer(first)
            loss = self.loss(batch)
            first.zero_grad()
            self.manual_backward(loss)
            first.step()
            self.untoggle_optimizer(first)
            self.toggle_optimizer(second)
            other = (self.other(batch[0]) - self(batch[0]).detach()).square().mean()
            second.zero_grad()
            self.manual_backward(other)
            second.step()
            self.untoggle_optimizer(second)
            self.log("other", other, sync_dist=True)

        def configure_optimizers(self):
            return torch.optim.SGD(self.net.parameters(), 0.1), torch.optim.Adam(self.other.parameters(), 0.01)

    return Module


@case(accumulate_grad_batches=4, max_epochs=3)
def accumulated_over_an_odd_rest_of_two(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.01)

        def train_dataloader(self):
            from twins import loader

            return loader(8)

    return Module


@case()
def unused_parameters(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Linear(3, 3)

    return Module


@case(
    max_epochs=8,
    more_callbacks=lambda library: [library.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.02)],
)
def stopped_early_together(library, Base):
    class Module(Base):
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch), sync_dist=True)

    return Module


@case()
def only_rank_zero_logs(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            if self.trainer.is_global_zero:
                self.log("first", loss, rank_zero_only=True)
            return loss

    return Module


@case()
def closure_of_an_overridden_step(library, Base):
    class Module(Base):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            optimizer.step(closure=optimizer_closure)
            for group in optimizer.param_groups:
                group["lr"] *= 0.9

    return Module
