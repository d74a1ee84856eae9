"""What all strategies of several processes have in common: how the ranks meet and talk.

    ranks.current() ─► open ─► process group: gloo between CPUs, the accelerator's own between accelerators
                               reduce, all_gather, broadcast, barrier

Decisions (which checkpoint, whether to stop) travel between CPUs, so that no rank waits for its accelerator.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import HashStore
from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from leyden import ranks
from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.strategies import roll_call
from leyden.strategy import Strategy
from leyden.tree import map_children
from leyden.warnings import warn_once

_OPS = {"mean": dist.ReduceOp.SUM, "avg": dist.ReduceOp.SUM, "sum": dist.ReduceOp.SUM, "min": dist.ReduceOp.MIN,
        "max": dist.ReduceOp.MAX}  # fmt: skip
_LETTING_GO = 0.05  # seconds; what it takes is microseconds
DEFAULT_TIMEOUT = timedelta(minutes=30)


class Distributed(Strategy):
    """Abstract: several processes, each with a device of its own.

    Args:
        process_group_backend: ``"gloo"``, ``"nccl"`` ...; None takes gloo for CPUs and what belongs to the accelerator.
        timeout: How long a rank waits for the others before it gives up: a timedelta or seconds; None for half an hour.

    Raises:
        ConfigurationError: If *timeout* is no time to wait.
    """

    strategy_name = "distributed"

    def __init__(
        self, process_group_backend: str | None = None, timeout: timedelta | float | None = DEFAULT_TIMEOUT
    ) -> None:
        self._process_group_backend = process_group_backend
        self._timeout = _waiting_time(timeout)
        self._wanted: tuple[str, Sequence[int], int, bool] = ("cpu", [0], 1, False)
        self._device = torch.device("cpu")
        self.num_nodes = 1
        self.num_processes = 1

    def place(self, kind: str, devices: Sequence[int], num_nodes: int, asked: bool = True) -> None:
        """Settle on which devices the ranks are, and which rank this process is, if it is one already.

        Args:
            kind: Of device, ``"cpu"`` or what torch calls the accelerator.
            devices: Indices of those on this machine, one for each rank.
            num_nodes: Number of machines.
            asked: Whether somebody has asked for so many.
        """
        found = ranks.current()
        self._wanted = (kind, devices, num_nodes, asked)
        self.num_nodes, self.num_processes = num_nodes, len(devices)
        self.world_size = len(devices) * num_nodes
        if found is None:
            self.to_start = self.world_size if self.world_size > 1 else 0
            self._device = _device(kind, devices, 0)
            return
        if asked and found.world_size != self.world_size:
            warn_once(
                f"Trainer(devices={len(devices)}, num_nodes={num_nodes}) asks for {self.world_size} ranks, but "
                f"{found.world_size} were started: {found.world_size} it is."
            )
        self.to_start = 0
        self.world_size, self.global_rank = found.world_size, found.rank
        self.local_rank, self.node_rank = found.local_rank, found.node_rank
        self.num_processes = found.local_world_size
        self.num_nodes = max(1, found.world_size // max(1, found.local_world_size))
        self._device = _device(kind, devices, found.local_rank)

    def place_again(self) -> None:
        """Settle on the same devices in a process that has been started as one of the ranks."""
        self.place(*self._wanted)

    @property
    def root_device(self) -> torch.device:
        """The device of this process."""
        return self._device

    @property
    def process_group_backend(self) -> str:
        """Name of what carries the tensors."""
        return self._process_group_backend or _backend(self._device)

    @property
    def store(self) -> Any:
        """Store that rank 0 keeps."""
        if self.world_size == 1 or not dist.is_initialized():
            return None
        return PrefixStore("beside", _get_default_store())

    def open(self) -> None:
        """Meet the other ranks, once in a process.

        Raises:
            ConfigurationError: If nobody has started them, or another number of them.
        """
        if self._device.type != "cpu":
            torch.accelerator.set_device_index(self._device.index or 0)
        if not dist.is_initialized():
            found = ranks.current()
            if found is None and self.world_size > 1:
                raise ConfigurationError(
                    f"{type(self).__name__} needs {self.world_size} ranks, and this process is none of several. "
                    "Start them with Trainer(devices=N), leyden train trainer.devices=N, torchrun or srun."
                )
            dist.init_process_group(
                self.process_group_backend,
                store=HashStore() if found is None else PrefixStore("leyden", ranks.lasting_store(self._timeout)),
                rank=self.global_rank,
                world_size=self.world_size if found is None else found.world_size,
                timeout=self._timeout,
            )
            atexit.register(_close)
        roll_call.begin()
        if dist.get_world_size() != self.world_size:
            raise ConfigurationError(
                f"the ranks of this process group are {dist.get_world_size()}, but {type(self).__name__} was made for "
                f"{self.world_size}. Make the Trainer in the processes that were started, not before."
            )

    def setup(self, module: LightningModule) -> None:
        """Move *module* to the device of this process."""
        module.to(self._device)

    def teardown(self, module: LightningModule) -> None:
        """Bring *module* back to the CPU; the ranks stay together for the next stage."""
        if self._device.type != "cpu":
            module.cpu()

    def reduce(self, tensor: Tensor, op: str = "mean", group: Any = None) -> Tensor:
        """Reduce *tensor* over all ranks; it is not changed.

        Args:
            tensor: Of the same shape on every rank.
            op: ``mean``, ``sum``, ``min`` or ``max``.
            group: Of ranks; None for all.
        """
        name = str(op).lower()
        found = tensor.detach().clone()
        if name in ("mean", "avg") and not found.is_floating_point():
            found = found.float()
        dist.all_reduce(found, op=_OPS[name], group=group)
        return found / dist.get_world_size(group) if name in ("mean", "avg") else found

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """Gather the tensors in *data* from all ranks, each stacked in a new first dimension.

        Args:
            data: A tensor or a number, or a collection of them; of the same shapes on every rank.
            group: Of ranks; None for all.
            sync_grads: Whether gradients flow back to the ranks the tensors come from.
        """
        if isinstance(data, (bool, int, float)):
            data = torch.tensor(data, device=self._device)
        if isinstance(data, Tensor):
            return self._gathered(data, group, sync_grads)
        return map_children(data, lambda each: self.all_gather(each, group, sync_grads))

    def _gathered(self, tensor: Tensor, group: Any, sync_grads: bool) -> Tensor:
        tensor = tensor.contiguous()
        if sync_grads and torch.is_grad_enabled():
            from torch.distributed.nn.functional import all_gather

            gathered: Any = all_gather(tensor, group if group is not None else dist.group.WORLD)  # type: ignore[no-untyped-call]
            return torch.stack(list(gathered))
        found = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
        dist.all_gather(found, tensor.detach(), group=group)
        return torch.stack(found)

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """Return rank *src*'s *value* on every rank."""
        sent = [value]
        dist.broadcast_object_list(sent, src)
        return sent[0]

    def gather_objects(self, value: Any) -> list[Any]:
        """Return every rank's *value* on rank 0, in their order."""
        found: list[Any] = [None] * self.world_size
        dist.gather_object(value, found if self.global_rank == 0 else None)
        return found

    def explained(self, error: BaseException) -> BaseException:
        """Tell the other ranks of *error*, or find out from them what it comes from."""
        if self.world_size == 1 or not dist.is_initialized():
            return error
        return roll_call.explained(error, self.global_rank, self.world_size, self._timeout)

    def barrier(self, name: str | None = None) -> None:
        """Wait for all ranks."""
        dist.barrier()


def _device(kind: str, devices: Sequence[int], place: int) -> torch.device:
    """Return the device of a local rank; where each rank sees but one, that one."""
    return torch.device(kind) if kind == "cpu" else torch.device(kind, devices[place % len(devices)])


def _backend(device: torch.device) -> str:
    if device.type == "cpu":
        return "gloo"
    return f"cpu:gloo,{device.type}:{dist.get_default_backend_for_device(device)}"


def _waiting_time(timeout: timedelta | float | None) -> timedelta:
    if timeout is None:
        return DEFAULT_TIMEOUT
    found: object = timeout
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        found = timedelta(seconds=timeout)
    if not isinstance(found, timedelta) or found <= timedelta():
        raise ConfigurationError(
            f"timeout={timeout!r} of a strategy: expected how long a rank waits for the others, a timedelta or a "
            "number of seconds above 0. Leave it out for half an hour."
        )
    return found


def _close() -> None:
    """Leave the group before the interpreter ends: some backends complain otherwise.

    A thread of gloo lets go of the tensors of its last operation after the ranks have got their results, and needs
    the interpreter's lock for it. One that waits for the lock while the interpreter ends takes the process down with
    an abort. Where something still holds the group, a device mesh for instance, nothing joins these threads, so the
    lock is theirs for a moment here.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
        time.sleep(_LETTING_GO)
