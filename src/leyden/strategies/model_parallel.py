"""A module divided by its own hand, over a mesh of two dimensions.

    rank   0 1 2 3      device_mesh["data_parallel"]      rows: each its own part of every batch
           4 5 6 7      device_mesh["tensor_parallel"]    columns: one batch, each its part of the layers

`configure_model` applies `torch.distributed.tensor.parallel.parallelize_module` along the one, and
`torch.distributed.fsdp.fully_shard` along the other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from leyden.divided import is_divided
from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.strategies.distributed import DEFAULT_TIMEOUT
from leyden.strategies.sharded import Sharded
from leyden.strategies.units import make_ready

Size = int | Literal["auto"]


class ModelParallelStrategy(Sharded):
    """Give a module a `device_mesh`, over which its `configure_model` divides it.

    Args:
        data_parallel_size: Into how many parts each batch is divided; by default the number of machines, or what the
            other size leaves.
        tensor_parallel_size: Over how many ranks layers are divided; by default the ranks of a machine, or what the
            other size leaves.
        save_distributed_checkpoint: Whether a checkpoint is a folder of which each rank writes a part; else one file,
            as a single process saves it.
        process_group_backend: See `Distributed`.
        timeout: See `Distributed`.
        start_method: How ranks are started where nobody has: ``"spawn"``.

    Raises:
        ConfigurationError: If a size is neither a positive number nor ``"auto"``.
    """

    strategy_name = "model_parallel"

    def __init__(
        self,
        data_parallel_size: Size = "auto",
        tensor_parallel_size: Size = "auto",
        save_distributed_checkpoint: bool = True,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
        start_method: str = "spawn",
    ) -> None:
        super().__init__(save_distributed_checkpoint, process_group_backend, timeout)
        self.start_method = start_method
        self._extents = (_size(data_parallel_size, "data"), _size(tensor_parallel_size, "tensor"))
        self._casts_batches = True  # as the user's own policies say

    @property
    def sizes(self) -> tuple[int, int]:
        """Extent of the mesh: data parallel, tensor parallel.

        Raises:
            ConfigurationError: If their product is not the number of ranks.
        """
        data, tensor = self._extents
        if data is None and tensor is None:
            data, tensor = self.num_nodes, self.num_processes
        data = self.world_size // (tensor or 1) if data is None else data
        tensor = self.world_size // data if tensor is None else tensor
        if data * tensor != self.world_size:
            raise ConfigurationError(
                f"ModelParallelStrategy: {data} (data_parallel_size) times {tensor} (tensor_parallel_size) are "
                f"{data * tensor} ranks, but there are {self.world_size}. The product has to be their number."
            )
        return data, tensor

    @property
    def share(self) -> tuple[int, int]:
        """Which part of the data is for this process: ranks of one row have the same."""
        data, tensor = self.sizes
        return self.global_rank // tensor, data

    def open(self) -> None:
        """Meet the other ranks, and lay the mesh."""
        super().open()
        if self.device_mesh is None:
            names = ("data_parallel", "tensor_parallel")
            self.device_mesh = init_device_mesh(self.root_device.type, self.sizes, mesh_dim_names=names)

    def setup(self, module: LightningModule) -> None:
        """Fill what was made on the meta device, and make sure that *module* has been divided.

        Raises:
            ConfigurationError: If it has not.
        """
        make_ready(module, self.root_device, loading=module.trainer.ckpt_path is not None)
        self._check(module)
        self._begin(module)

    def _check(self, module: LightningModule) -> None:
        data, tensor = self.sizes
        for name, parameter in module.named_parameters():
            if data > 1 and parameter.requires_grad and not _spans_rows(parameter, tensor):
                raise ConfigurationError(
                    f"the parameter {name} is not divided over the {data} parts of the data, so that every part would "
                    f"train one of its own. In {type(module).__name__}.configure_model, apply fully_shard(layer, "
                    'mesh=self.device_mesh["data_parallel"]) to every layer, or take data_parallel_size=1.'
                )
        if tensor > 1 and not any(map(is_divided, module.parameters())):
            raise ConfigurationError(
                f"{type(module).__name__} is not divided: {tensor} ranks would compute the same. Apply "
                'parallelize_module(layer, self.device_mesh["tensor_parallel"], plan) in its configure_model.'
            )

    def reduce(self, tensor: Tensor, op: str = "mean", group: Any = None) -> Tensor:
        """Reduce *tensor* over all ranks; in a sum every part of the data counts once.

        Args:
            tensor: Of the same shape on every rank.
            op: ``mean``, ``sum``, ``min`` or ``max``.
            group: Of ranks; None for all.
        """
        if group is None and str(op).lower() == "sum":
            group = self.device_mesh.get_group("data_parallel")
        return super().reduce(tensor, op, group)


def _size(given: Size, which: str) -> int | None:
    if given == "auto":
        return None
    if type(given) is int and given > 0:
        return given
    raise ConfigurationError(
        f"ModelParallelStrategy({which}_parallel_size={given!r}): expected a positive number of ranks, or 'auto'."
    )


def _spans_rows(parameter: Tensor, tensor_parallel_size: int) -> bool:
    """Whether ranks of more than one row hold a part of *parameter*, or agree on its gradient."""
    divided: Any = parameter
    if not is_divided(parameter):
        return False
    ranks: Tensor = divided.device_mesh.mesh
    return len(torch.unique(ranks // tensor_parallel_size)) > 1
