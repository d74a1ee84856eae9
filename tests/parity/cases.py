"""The modules trained under both libraries: each function is user code, once for each library.

`case` takes the trainer's options. What a function returns is a class derived from
``Base``, the regression network of `twins`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torchmetrics
from torch.utils.data import DataLoader, IterableDataset
from twins import loader

CASES: dict[str, tuple[Callable[..., type], dict[str, Any]]] = {}


def case(**options: Any) -> Callable[[Callable[..., type]], Callable[..., type]]:
    """Add a case under the function's name."""

    def add(make: Callable[..., type]) -> Callable[..., type]:
        CASES[make.__name__] = make, options
        return make

    return add


def with_options(**options: Any) -> Callable[..., type]:
    """A case that is the base class itself, for options of the trainer."""

    def base(library, Base):
        return Base

    return base, options


# --- options of the trainer ---------------------------------------------------------------------

CASES |= {
    "plain": with_options(),
    "max_steps": with_options(max_epochs=-1, max_steps=8),
    "max_steps_within_epochs": with_options(max_epochs=5, max_steps=6),
    "min_epochs": with_options(min_epochs=2, max_epochs=3),
    "clip_by_norm": with_options(gradient_clip_val=0.05),
    "clip_by_value": with_options(gradient_clip_val=0.01, gradient_clip_algorithm="value"),
    "clip_zero": with_options(gradient_clip_val=0),
    "accumulate_evenly": with_options(accumulate_grad_batches=3),
    "accumulate_and_clip": with_options(accumulate_grad_batches=2, gradient_clip_val=0.05),
    "log_every_two_steps": with_options(log_every_n_steps=2),
    "log_never": with_options(log_every_n_steps=50),
    "accumulate_and_log_every_two": with_options(accumulate_grad_batches=2, log_every_n_steps=2),
    "validate_every_two_batches": with_options(val_check_interval=2),
    "validate_twice_an_epoch": with_options(val_check_interval=0.5),
    "validate_in_uneven_intervals": with_options(val_check_interval=4),
    "validate_every_second_epoch": with_options(check_val_every_n_epoch=2, max_epochs=5),
    "validate_across_epochs": with_options(check_val_every_n_epoch=None, val_check_interval=4, max_epochs=4),
    "limit_train_count": with_options(limit_train_batches=4),
    "limit_train_fraction": with_options(limit_train_batches=0.5),
    "limit_val_count": with_options(limit_val_batches=1),
    "limit_val_fraction": with_options(limit_val_batches=0.7),
    "no_validation": with_options(limit_val_batches=0),
    "no_sanity_check": with_options(num_sanity_val_steps=0),
    "full_sanity_check": with_options(num_sanity_val_steps=-1),
    "fast_dev_run": with_options(fast_dev_run=True, logger=False),
    "fast_dev_run_of_three": with_options(fast_dev_run=3, logger=False),
    "overfit_count": with_options(overfit_batches=2),
    "overfit_fraction": with_options(overfit_batches=0.5),
    "bf16_mixed": with_options(precision="bf16-mixed"),
    "bf16_true": with_options(precision="bf16-true"),
    "half_on_a_cpu": with_options(precision="16-mixed"),
    "short_precision": with_options(precision="bf16"),
    "double": with_options(precision="64-true"),
    "deterministic": with_options(deterministic=True),
    "anomalies": with_options(detect_anomaly=True),
}


# --- optimizers and schedulers ------------------------------------------------------------------


@case()
def adam(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)

    return Module


@case()
def optimizer_in_a_list(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            return [torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)]

    return Module


@case()
def one_dict_in_a_list(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.RMSprop(self.parameters(), lr=0.01)
            return [{"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)}]

    return Module


@case()
def optimizer_in_a_tuple(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1, nesterov=True, momentum=0.5)
            return (optimizer,)

    return Module


@case(max_epochs=3)
def two_lists(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]

    return Module


@case(max_epochs=2)
def scheduler_every_step(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, self.trainer.estimated_stepping_batches)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    return Module


@case(max_epochs=5)
def scheduler_every_second_epoch(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "frequency": 2}}

    return Module


@case(max_epochs=1)
def scheduler_every_fourth_step(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)
            return [optimizer], [{"scheduler": schedule, "interval": "step", "frequency": 4}]

    return Module


@case(accumulate_grad_batches=2)
def scheduler_with_accumulation(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)
            return [optimizer], [{"scheduler": schedule, "interval": "step", "frequency": 3}]

    return Module


@case()
def two_schedulers(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            by_step = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
            by_epoch = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
            return [optimizer], [
                {"scheduler": by_step, "interval": "step"},
                {"scheduler": by_epoch, "interval": "epoch"},
            ]

    return Module


@case(max_epochs=4)
def plateau(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.15)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
            return {"optimizer": optimizer, "lr_scheduler": schedule, "monitor": "val_loss"}

    return Module


@case(max_epochs=4)
def plateau_on_a_training_value(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.15)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=0.3)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "train_loss"}}

    return Module


@case(val_check_interval=2)
def plateau_every_step(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.15)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=0.2)
            found = {"scheduler": schedule, "monitor": "val_loss", "interval": "step", "frequency": 2}
            return {"optimizer": optimizer, "lr_scheduler": found}

    return Module


@case(max_epochs=3)
def plateau_without_its_metric(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.15)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "monitor": "nothing", "strict": False},
            }

    return Module


@case()
def no_optimizer(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            return None

    return Module


@case()
def lbfgs(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)

    return Module


@case(gradient_clip_val=0.1, accumulate_grad_batches=2)
def lbfgs_clipped(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)

    return Module


# --- overridden parts of the update ---------------------------------------------------------------


@case()
def own_optimizer_step(library, Base):
    class Module(Base):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            warmup = min(1.0, (self.trainer.global_step + 1) / 5)
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * warmup
            optimizer.step(closure=optimizer_closure)

    return Module


@case()
def own_optimizer_step_through_super(library, Base):
    class Module(Base):
        def optimizer_step(self, *args, **kwargs):
            super().optimizer_step(*args, **kwargs)
            self.log("after_step", float(self.trainer.global_step))

    return Module


@case()
def skipped_updates(library, Base):
    class Module(Base):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            if batch_idx % 2 == 0:
                optimizer.step(closure=optimizer_closure)
            else:
                optimizer_closure()

    return Module


@case()
def own_scheduler_step(library, Base):
    class Module(Base):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]

        def lr_scheduler_step(self, scheduler, metric):
            scheduler.step()
            scheduler.step()

    return Module


@case()
def own_backward(library, Base):
    class Module(Base):
        def backward(self, loss):
            (2 * loss).backward()

    return Module


@case(gradient_clip_val=0.05)
def own_clipping(library, Base):
    class Module(Base):
        def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
            if self.current_epoch == 0:
                self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    return Module


@case()
def own_clipping_alone(library, Base):
    class Module(Base):
        def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
            self.clip_gradients(optimizer, gradient_clip_val=0.02, gradient_clip_algorithm="norm")

    return Module


@case()
def own_zero_grad(library, Base):
    class Module(Base):
        def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
            if batch_idx % 2 == 0:
                optimizer.zero_grad(set_to_none=False)

    return Module


@case()
def gradients_changed_in_hooks(library, Base):
    class Module(Base):
        def on_after_backward(self):
            for parameter in self.parameters():
                parameter.grad.mul_(0.5)

        def on_before_optimizer_step(self, optimizer):
            self.log("grad_norm", sum(parameter.grad.norm() for parameter in self.parameters()))

    return Module


@case()
def steps_that_return_nothing(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            return None if batch_idx % 2 else super().training_step(batch, batch_idx)

    return Module


@case()
def steps_that_return_dicts(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            return {"loss": super().training_step(batch, batch_idx), "index": batch_idx, "x": batch[0]}

    return Module


@case()
def steps_without_an_index(library, Base):
    class Module(Base):
        def training_step(self, samples):
            return self.loss(samples)

        def validation_step(self, samples):
            self.log("val_loss", self.loss(samples))

    return Module


@case()
def epochs_cut_short(library, Base):
    class Module(Base):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 3 else None

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]

    return Module


@case(max_epochs=4)
def stops_itself(library, Base):
    class Module(Base):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            if self.current_epoch == 1 and batch_idx == 2:
                self.trainer.should_stop = True

    return Module


@case(max_epochs=4, min_epochs=3)
def stops_itself_too_early(library, Base):
    class Module(Base):
        def on_train_epoch_end(self):
            self.trainer.should_stop = True

    return Module


# --- logging ---------------------------------------------------------------------------------------


@case(log_every_n_steps=2)
def forked_names(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch), prog_bar=True)

    return Module


@case()
def reductions(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            for name in ("mean", "min", "max", "sum"):
                self.log(f"loss_{name}", loss, on_step=False, on_epoch=True, reduce_fx=name)
            self.log("largest", loss, on_epoch=True, reduce_fx=torch.max)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log_dict({"val_loss": self.loss(batch), "val_index": float(batch_idx)}, reduce_fx="max")

    return Module


@case()
def weighted_means(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("by_hand", loss, on_step=False, on_epoch=True, batch_size=batch_idx + 1)
            self.log("by_batch", loss, on_step=False, on_epoch=True)
            self.log("number", batch_idx / 7, on_step=True, on_epoch=True)
            return loss

        def train_dataloader(self):
            return DataLoader(loader(5, size=3).dataset, batch_size=4)

    return Module


@case()
def metric_objects(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.error = torchmetrics.MeanSquaredError()
            self.val_error = torchmetrics.MeanSquaredError()
            self.collection = torchmetrics.MetricCollection(
                {"mae": torchmetrics.MeanAbsoluteError(), "mse": torchmetrics.MeanSquaredError()}, prefix="val_"
            )

        def training_step(self, batch, batch_idx):
            self.error(self(batch[0]), batch[1])
            self.log("error", self.error, on_step=True, on_epoch=True)
            return self.loss(batch)

        def validation_step(self, batch, batch_idx):
            prediction = self(batch[0])
            self.val_error.update(prediction, batch[1])
            self.log("val_error", self.val_error)
            self.collection.update(prediction, batch[1])

        def on_validation_epoch_end(self):
            self.log_dict(self.collection.compute())
            self.collection.reset()

    return Module


@case()
def one_metric_object_for_two_loops(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.error = torchmetrics.MeanSquaredError()

        def training_step(self, batch, batch_idx):
            self.log("updates", float(self.error.update_count))
            self.error.update(self(batch[0]), batch[1])
            return self.loss(batch)

        def validation_step(self, batch, batch_idx):
            self.error(self(batch[0]), batch[1])
            self.log("val_error", self.error)

        def on_validation_end(self):
            self.extra = [*getattr(self, "extra", []), self.error.update_count]

        def on_train_epoch_end(self):
            self.log("updates_left", float(self.error.update_count))

    return Module


@case()
def metric_collection(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.collection = torchmetrics.MetricCollection(
                [torchmetrics.MeanAbsoluteError(), torchmetrics.MeanSquaredError()], prefix="train_"
            )

        def training_step(self, batch, batch_idx):
            self.collection(self(batch[0]), batch[1])
            self.log_dict(self.collection, on_step=True, on_epoch=True)
            return self.loss(batch)

    return Module


@case()
def logs_in_every_hook(library, Base):
    class Module(Base):
        def on_train_start(self):
            self.log("train_start", 1.0)

        def on_train_epoch_start(self):
            self.log("train_epoch_start", float(self.current_epoch))

        def on_train_batch_start(self, batch, batch_idx):
            self.log("train_batch_start", float(batch_idx))

        def on_before_zero_grad(self, optimizer):
            self.log("before_zero_grad", 2.0)

        def on_before_backward(self, loss):
            self.log("before_backward", loss)

        def on_after_backward(self):
            self.log("after_backward", 3.0, on_epoch=True)

        def on_before_optimizer_step(self, optimizer):
            self.log("before_optimizer_step", 4.0)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.log("train_batch_end", outputs["loss"], on_epoch=True)

        def on_validation_start(self):
            self.log("validation_start", 5.0)

        def on_validation_epoch_start(self):
            self.log("validation_epoch_start", 6.0)

        def on_validation_batch_start(self, batch, batch_idx, dataloader_idx=0):
            self.log("validation_batch_start", float(batch_idx))

        def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
            self.log("validation_batch_end", float(batch_idx), reduce_fx="max")

        def on_validation_epoch_end(self):
            self.log("validation_epoch_end", 7.0)

        def on_train_epoch_end(self):
            self.log("train_epoch_end", float(self.global_step))

    return Module


@case()
def one_name_from_two_hooks(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("value", loss, on_step=True, on_epoch=True)
            return loss

        def on_train_epoch_end(self):
            self.log("value", 5.0)

        def on_validation_epoch_end(self):
            self.log("value", 6.0)

    return Module


@case()
def several_validation_loaders(library, Base):
    class Module(Base):
        def val_dataloader(self):
            return [loader(2, seed=5), loader(3, seed=6)]

        def validation_step(self, batch, batch_idx, dataloader_idx):
            self.log("val_loss", self.loss(batch))
            self.log(f"own_{dataloader_idx}", self.loss(batch), add_dataloader_idx=False)

        def on_validation_epoch_end(self):
            self.log("all", 1.0)

    return Module


@case()
def keys_of_their_own(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("loss", loss)
            self.log("step", float(100 + batch_idx))
            self.log("unseen", loss, logger=False)
            self.log("bar_only", loss, logger=False, prog_bar=True)
            return loss

        def on_validation_epoch_end(self):
            self.log("epoch", 42.0)

    return Module


@case()
def numbers_of_every_kind(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("integer", batch_idx, on_epoch=True)
            self.log("float", batch_idx / 3, on_epoch=True)
            self.log("double", loss.double(), on_epoch=True)
            self.log("half", loss.detach().half(), on_epoch=True)
            self.log("count", torch.tensor(batch_idx), on_epoch=True)
            self.log("one_element", loss.reshape(1), on_epoch=True)
            return loss

    return Module


@case()
def dropped_keys(library, Base):
    class Module(Base):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            if batch_idx % 3 == 0:
                self.log("sometimes", loss, on_step=True, on_epoch=True)
            return loss

    return Module


# --- data ---------------------------------------------------------------------------------------------


@case()
def shuffled(library, Base):
    class Module(Base):
        def on_train_batch_start(self, batch, batch_idx):
            self.extra = [*getattr(self, "extra", []), float(torch.rand(1))]

        def on_validation_epoch_start(self):
            torch.rand(1)

        def on_train_epoch_end(self):
            torch.rand(1)

        def train_dataloader(self):
            return loader(shuffle=True)

    return Module


class Stream(IterableDataset):
    """A data set without a length."""

    def __iter__(self):
        generator = torch.Generator().manual_seed(3)
        for _ in range(5):
            inputs = torch.randn(4, generator=generator)
            yield inputs, inputs[:1]


@case(max_steps=100)
def without_length(library, Base):
    class Module(Base):
        def train_dataloader(self):
            return DataLoader(Stream(), batch_size=2)

    return Module


@case(limit_train_batches=2, val_check_interval=2)
def without_length_limited(library, Base):
    return without_length(library, Base)


@case(max_epochs=-1, max_steps=7, val_check_interval=2, check_val_every_n_epoch=None)
def without_length_by_steps(library, Base):
    return without_length(library, Base)


@case()
def a_loader_of_another_kind(library, Base):
    class Batches:
        def __init__(self, seed):
            self.seed = seed

        def __iter__(self):
            generator = torch.Generator().manual_seed(self.seed)
            return iter([torch.randn(2, 5, generator=generator).split([4, 1], dim=1) for _ in range(4)])

        def __len__(self):
            return 4

    class Module(Base):
        def train_dataloader(self):
            return Batches(1)

        def val_dataloader(self):
            return Batches(2)

    return Module


@case()
def transfer_hooks(library, Base):
    class Module(Base):
        def on_before_batch_transfer(self, batch, dataloader_idx):
            return [batch[0] * 2, batch[1]]

        def transfer_batch_to_device(self, batch, device, dataloader_idx):
            return [each.to(device) + 1 for each in batch]

        def on_after_batch_transfer(self, batch, dataloader_idx):
            return [batch[0], batch[1] + torch.rand(1)]

    return Module


@case()
def datamodule(library, Base):
    class Data(library.LightningDataModule):
        def setup(self, stage):
            self.stage = stage

        def train_dataloader(self):
            return loader(4, seed=8, shuffle=True)

        def val_dataloader(self):
            return loader(2, seed=9)

        def on_after_batch_transfer(self, batch, dataloader_idx):
            return [batch[0] - 1, batch[1]]

    class Module(Base):
        def make_datamodule(self):
            return Data()

    return Module


# --- manual optimisation ---------------------------------------------------------------------------------


@case()
def manual(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            loss = self.loss(batch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            self.clip_gradients(optimizer, gradient_clip_val=0.1, gradient_clip_algorithm="norm")
            optimizer.step()
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss

    return Module


@case()
def manual_with_a_closure(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()

            def closure():
                optimizer.zero_grad()
                loss = self.loss(batch)
                self.manual_backward(loss)
                return loss

            optimizer.step(closure=closure)

    return Module


@case()
def two_networks(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.critic = torch.nn.Linear(1, 1)

        def training_step(self, batch, batch_idx):
            first, second = self.optimizers()
            schedule = self.lr_schedulers()
            self.toggle_optimizer(first)
            fooled = self.critic(self(batch[0])).square().mean()
            first.zero_grad()
            self.manual_backward(fooled)
            first.step()
            self.untoggle_optimizer(first)
            with second.toggle_model():
                caught = (self.critic(batch[1]) - 1).square().mean() + self.critic(
                    self(batch[0]).detach()
                ).square().mean()
                second.zero_grad()
                self.manual_backward(caught)
                second.step()
            if self.trainer.is_last_batch:
                schedule.step()
            self.log_dict({"fooled": fooled, "caught": caught}, prog_bar=True)

        def configure_optimizers(self):
            first = torch.optim.Adam(self.net.parameters(), lr=0.01)
            second = torch.optim.SGD(self.critic.parameters(), lr=0.01)
            return [first, second], [torch.optim.lr_scheduler.ExponentialLR(first, 0.5)]

    return Module


# --- callbacks --------------------------------------------------------------------------------------------


def _stopping(library):
    return [library.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.05)]


@case(max_epochs=10, more_callbacks=_stopping)
def early_stopping(library, Base):
    return Base


@case(max_epochs=10, more_callbacks=_stopping, val_check_interval=0.5)
def early_stopping_within_epochs(library, Base):
    return Base


@case(max_epochs=3)
def logs_from_a_callback(library, Base):
    class Logs(library.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.log("from_callback", float(batch_idx), on_step=True, on_epoch=True)

        def on_validation_epoch_end(self, trainer, pl_module):
            self.log_dict({"a": 1.0, "b": 2.0})

    class Module(Base):
        def configure_callbacks(self):
            self.extra = self.trainer.max_epochs
            return Logs()

    return Module


@case()
def a_callback_returns_minus_one(library, Base):
    class Refuses(library.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            return -1

    class Module(Base):
        def configure_callbacks(self):
            return [Refuses()]

    return Module


@case()
def frozen_parts(library, Base):
    class Module(Base):
        def __init__(self):
            super().__init__()
            self.net[0].requires_grad_(False)
            self.net[2].eval()

        def on_train_start(self):
            self.extra = [child.training for child in self.modules()]

    return Module


@case()
def asks_the_trainer(library, Base):
    class Module(Base):
        def on_train_start(self):
            trainer = self.trainer
            self.extra = [trainer.num_training_batches, trainer.num_val_batches, trainer.num_sanity_val_batches]
            self.extra += [trainer.training, trainer.sanity_checking, trainer.state.fn, trainer.state.stage]
            self.extra += [trainer.world_size, trainer.global_rank, trainer.is_global_zero, trainer.num_devices]
            self.extra += [trainer.max_steps, trainer.max_epochs, trainer.log_dir is None, trainer.enable_validation]

        def validation_step(self, batch, batch_idx):
            trainer = self.trainer
            self.extra = [*getattr(self, "extra", []), trainer.sanity_checking, trainer.validating, trainer.state.stage]
            self.extra += [self.global_step, self.current_epoch, torch.is_grad_enabled(), self.training]

    return Module
