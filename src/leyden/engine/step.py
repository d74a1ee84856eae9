"""One batch, from its tensors to updated weights.

This is the only place in the package that runs forward, backward and update.
Read it top to bottom; everything else exists to call it or to surround it.

    batch ─► training_step ─► loss ─► zero_grad ─► backward ─► unscale ─► clip ─► optimizer.step
             precision context        first of     scaled      └─ on the last micro-batch of a window only
                                      a window

A *window* is what makes one update: `accumulate_grad_batches` micro-batches, fewer at the
end of an epoch. The loss of each is divided by the window's real size.

Four ways through, chosen once when the session opens:

    automatic_step     one optimizer: the straight line above
    closure_step       the module overrides `optimizer_step`, or the optimizer evaluates the loss itself (L-BFGS)
    alternating_step   several optimizers, told apart by the step's `optimizer_idx`
    manual_step        the module does it all (``automatic_optimization = False``)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from leyden import divided, updates
from leyden.engine.hooks import is_overridden
from leyden.engine.optimization import Optimization
from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.optimizer import LightningOptimizer
from leyden.rounding import single

if TYPE_CHECKING:
    from leyden.engine.session import Session

Step = Callable[["Session", Any, int], Any]


def choose_step(module: LightningModule, optimization: Optimization) -> Step:
    """Return the way through that fits the module and its optimizers.

    Raises:
        ConfigurationError: If there are several optimizers and nothing tells which one a step is for.
    """
    if not module.automatic_optimization:
        return manual_step
    wants_index = "optimizer_idx" in inspect.signature(module.training_step).parameters
    if len(optimization.optimizers) > 1 and not wants_index:
        raise ConfigurationError(
            f"{type(module).__name__}.configure_optimizers returned {len(optimization.optimizers)} optimizers, "
            "but nothing "
            "tells which one a training step is for. Either take it as an argument, training_step(self, batch, "
            "batch_idx, "
            "optimizer_idx), and the optimizers take turns on each batch; or set self.automatic_optimization = "
            "False and "
            "step them yourself."
        )
    if wants_index:
        return alternating_step
    needs_closure = any(map(_needs_closure, optimization.optimizers))
    if needs_closure or is_overridden(module, "optimizer_step", LightningModule):
        return closure_step
    return automatic_step


def automatic_step(session: Session, batch: Any, batch_idx: int) -> dict[str, Any]:
    """Run forward and backward on one micro-batch; update if it is the last one of its window."""
    optimizer = session.optimizers[0]
    _, ends, size = window(session)
    _, outputs = differentiate(session, batch, batch_idx, optimizer)
    if ends:
        update(session, optimizer, size)
    return outputs


def closure_step(session: Session, batch: Any, batch_idx: int) -> dict[str, Any]:
    """Hand forward and backward to the optimizer as a closure, through the module's `optimizer_step`."""
    optimizer = session.optimizers[0]
    _, ends, size = window(session)
    outputs: dict[str, Any] = {}

    def closure() -> Tensor | None:
        outputs.clear()
        loss, found = differentiate(session, batch, batch_idx, optimizer)
        outputs.update(found)
        return loss

    if not ends:
        closure()
        return outputs
    wrapped = LightningOptimizer(
        optimizer, lambda inner, own, **kwargs: _closed_step(session, inner, own, size, kwargs)
    )
    session.metrics.hook = "optimizer_step"
    session.module.optimizer_step(session.progress.epochs, batch_idx, wrapped, closure)  # type: ignore[arg-type]
    session.progress.updates += 1
    return outputs


def alternating_step(session: Session, batch: Any, batch_idx: int) -> list[dict[str, Any]]:
    """Give the batch to one optimizer after the other, gradients flowing only into its own parameters."""
    module, outputs = session.module, []
    _, ends, size = window(session)
    for index in active_optimizers(session.frequencies, len(session.optimizers), batch_idx):
        optimizer = session.optimizers[index]
        module.toggle_optimizer(optimizer)
        try:
            _, found = differentiate(session, batch, batch_idx, optimizer, index)
            if ends:
                update(session, optimizer, size)
        finally:
            module.untoggle_optimizer(optimizer)
        outputs.append(found)
    return outputs


def manual_step(session: Session, batch: Any, batch_idx: int) -> dict[str, Any]:
    """Let the module do forward, backward and update itself."""
    session.metrics.hook = "training_step"
    output = session.forward(batch, batch_idx)
    if output is None:
        return {}
    if isinstance(output, Tensor):
        return {"loss": output.detach()}
    if isinstance(output, Mapping):
        return {key: value.detach() if key == "loss" else value for key, value in output.items()}
    raise _unusable(session.module, output)


def forward_step(session: Session, batch: Any, batch_idx: int) -> dict[str, Any]:
    """Run the step of a module without backward and update: an epoch that only gathers statistics."""
    session.metrics.hook = "training_step"
    _, outputs = read_output(session.forward(batch, batch_idx), 1)
    return outputs


def differentiate(
    session: Session, batch: Any, batch_idx: int, optimizer: Optimizer, optimizer_idx: int | None = None
) -> tuple[Tensor | None, dict[str, Any]]:
    """Run forward, clear the gradients at the start of a window, and run backward."""
    hooks, precision = session.hooks, session.precision
    starts, ends, size = window(session)
    with session.strategy.sync_gradients(ends):
        session.metrics.hook = "training_step"
        if optimizer_idx is None:
            output = session.forward(batch, batch_idx)
        else:
            output = session.forward(batch, batch_idx, optimizer_idx=optimizer_idx)
        loss, outputs = read_output(output, size)
        if starts:
            hooks.call("on_before_zero_grad", optimizer)
            session.module.optimizer_zero_grad(session.progress.epochs, batch_idx, optimizer)
        if loss is not None:
            loss = precision.scale(loss)
            hooks.call("on_before_backward", loss)
            session.backward(loss)
            hooks.call("on_after_backward")
        elif session.strategy.world_size > 1:
            raise _skipped(session)
    return loss, outputs


def update(session: Session, optimizer: Optimizer, size: int) -> None:
    """Finish the gradients of a window of *size* micro-batches and change the weights."""
    finish_gradients(session, optimizer, size)
    session.precision.step(optimizer)
    session.progress.updates += 1


def finish_gradients(session: Session, optimizer: Optimizer, size: int) -> None:
    """Bring accumulated gradients to their final size: mean over the window, unscaled, clipped."""
    waiting = session.progress.pending + 1
    if waiting < size:  # the epoch ended early, which only a loader whose length is not certain can do to us
        for parameter in _parameters(optimizer):
            if parameter.grad is not None:
                parameter.grad.mul_(size / waiting)
    session.precision.unscale(optimizer)
    session.hooks.call("on_before_optimizer_step", optimizer)
    trainer = session.trainer
    if (trainer.gradient_clip_val is not None or trainer._clips) and not session.strategy.owns_update:
        _check_clip(session, optimizer)
        session.metrics.hook = "configure_gradient_clipping"
        session.module.configure_gradient_clipping(
            optimizer,
            gradient_clip_val=trainer.gradient_clip_val,
            gradient_clip_algorithm=trainer.gradient_clip_algorithm,
        )


def window(session: Session) -> tuple[bool, bool, int]:
    """Tell whether this micro-batch starts its window, whether it ends it, and the window's size."""
    progress, size = session.progress, session.trainer.accumulate_grad_batches
    waiting = progress.pending
    if size == 1:
        return True, True, 1
    left = _end_of_epoch(session) - (progress.batch - waiting)
    size = int(min(size, left)) if left > 0 else size
    return waiting == 0, waiting + 1 >= size or progress.last, size


def _end_of_epoch(session: Session) -> float:
    """Return how many batches the epoch has, as far as that is certain; ``inf`` where its end is seen when it comes."""
    trainer = session.trainer
    if session.strategy.owns_update or trainer._train_loader is None:  # it takes the size of a window in advance
        return trainer.num_training_batches
    return trainer._train_loader.end


def read_output(output: Any, size: int) -> tuple[Tensor | None, dict[str, Any]]:
    """Split what a step returned into the loss to differentiate and what `on_train_batch_end` gets."""
    if isinstance(output, Tensor):
        loss = output / size if size > 1 else output
        return loss, {"loss": loss.detach()}
    if output is None:
        return None, {}
    if isinstance(output, Mapping) and isinstance(output.get("loss"), Tensor):
        loss = output["loss"] / size if size > 1 else output["loss"]
        return loss, {**output, "loss": loss.detach()}
    raise _unusable(None, output)


def active_optimizers(frequencies: tuple[int, ...], count: int, batch_idx: int) -> list[int]:
    """Return which of several optimizers take *batch_idx*: all, or one by its frequency.

    With frequencies ``(2, 1)`` the first takes two batches in a row, then the second one.
    """
    if not frequencies:
        return list(range(count))
    place = batch_idx % sum(frequencies)
    for index, frequency in enumerate(frequencies):
        if place < frequency:
            return [index]
        place -= frequency
    return []


def clip(optimizer: Optimizer, value: float | None, algorithm: str | None) -> None:
    """Clip the gradients of *optimizer* in place, by total 2-norm or by absolute value."""
    if not value:
        return
    parameters = _parameters(optimizer)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    kinds = {(type(gradient), gradient.layout, gradient.device, gradient.dtype) for gradient in gradients}
    by_value = algorithm == "value"
    if len(kinds) == 1 and next(iter(kinds))[:2] == (Tensor, torch.strided) and not by_value:
        clip_norm(gradients, value)
    elif any(map(divided.is_divided, gradients)):
        (divided.clip_value if by_value else divided.clip_norm)(parameters, value)
    else:
        (torch.nn.utils.clip_grad_value_ if by_value else torch.nn.utils.clip_grad_norm_)(parameters, value)


def clip_norm(gradients: list[Tensor], largest: float) -> None:
    """Scale *gradients* in place so that their total 2-norm is at most *largest*.

    What `torch.nn.utils.clip_grad_norm_` does, bit for bit, in less than half the time of a small
    model's: gradients of one kind need not be sorted into groups first, and on the CPU the factor
    is computed in Python, where it can be seen that there is nothing to scale.
    """
    norms = torch._foreach_norm(gradients, 2.0)
    total = torch.linalg.vector_norm(torch.stack(norms), 2.0)
    if not total.is_cpu or total.dtype is not torch.float32:
        torch._foreach_mul_(gradients, torch.clamp(largest / (total + 1e-6), max=1.0))
        return
    inverse = single(1.0 / single(total.item() + single(1e-6)))
    factor = min(single(inverse * single(largest)), 1.0)
    if factor != 1.0 or any(map(torch._debug_has_internal_overlap, gradients)):  # of an expanded one, torch raises
        torch._foreach_mul_(gradients, factor)


def manual_update(session: Session, optimizer: Optimizer, closure: Callable[[], Any] | None, **kwargs: Any) -> Any:
    """Do what ``optimizer.step()`` means in manual optimisation."""
    result = None
    if closure is not None and not _needs_closure(optimizer):
        with torch.enable_grad():
            result = closure()
        closure = None
    session.precision.unscale(optimizer)
    hook = session.metrics.hook
    session.hooks.call("on_before_optimizer_step", optimizer)
    session.metrics.hook, done = hook, session.progress.updates
    stepped = session.precision.step(optimizer, **({"closure": closure} if closure is not None else {}), **kwargs)
    session.progress.updates = done + 1
    return stepped if result is None else result


@contextmanager
def counting_own_steps(session: Session) -> Iterator[None]:
    """Count the steps that a module in manual optimisation makes with the bare optimizers, without the engine."""

    def count() -> None:
        session.progress.updates += 1

    bare = [each for each in session.optimizers if not updates.is_counted(each)]
    counted = [] if session.module.automatic_optimization else bare
    handles = [optimizer.register_step_post_hook(updates.Counted(count)) for optimizer in counted]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def manual_backward(session: Session, loss: Tensor, *args: Any, **kwargs: Any) -> None:
    """Do what ``self.manual_backward(loss)`` means."""
    hook = session.metrics.hook
    loss = session.precision.scale(loss)
    session.hooks.call("on_before_backward", loss)
    session.strategy.before_backward(loss)
    session.module.backward(loss, *args, **kwargs)
    session.hooks.call("on_after_backward")
    session.metrics.hook = hook


def _closed_step(
    session: Session, optimizer: Optimizer, closure: Callable[[], Any] | None, size: int, kwargs: dict[str, Any]
) -> Any:
    """Step with a closure, and treat the gradients between it and the update."""
    if closure is None:
        finish_gradients(session, optimizer, size)
        return session.precision.step(optimizer, **kwargs)

    def closed() -> Any:
        loss = closure()
        finish_gradients(session, optimizer, size)
        return loss

    if session.precision.scales:  # a scaled update cannot evaluate the loss in the middle
        loss = closed()
        session.precision.step(optimizer, **kwargs)
        return loss
    return session.precision.step(optimizer, closure=closed, **kwargs)


def _check_clip(session: Session, optimizer: Optimizer) -> None:
    if not session.precision.can_clip(optimizer):
        raise ConfigurationError(
            f"gradients of a fused {type(optimizer).__name__} cannot be clipped in precision {session.precision.name}: "
            "it unscales them only while it steps. Pass fused=False, use bf16-mixed, or clip nothing."
        )


def _needs_closure(optimizer: Optimizer) -> bool:
    parameter = inspect.signature(type(optimizer).step).parameters.get("closure")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _skipped(session: Session) -> ConfigurationError:
    return ConfigurationError(
        f"training_step returned None on rank {session.strategy.global_rank} of {session.strategy.world_size}: the "
        "others would wait for its gradients for ever. Return a loss that is 0 times the output, so that the batch "
        "counts for nothing."
    )


def _unusable(module: LightningModule | None, output: Any) -> ConfigurationError:
    keys = f" with the keys {', '.join(map(str, output))}" if isinstance(output, Mapping) else ""
    return ConfigurationError(
        f"training_step returned a {type(output).__name__}{keys}: {output!r:.80}. Expected the loss as a "
        "tensor, a dict "
        "whose key 'loss' holds it, or None to skip the batch."
    )
