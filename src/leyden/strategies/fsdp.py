"""Fully sharded data parallelism: every rank holds a part of each parameter, gradient and optimizer state.

    forward    all parts of a unit are fetched ─► its layers run ─► others' parts are dropped again
    backward   fetched ─► gradients ─► each rank is sent the mean of its own part ─► dropped
    update     every rank, of its own part

A *unit* is what is fetched at once: what `auto_wrap_policy` names, and all that is left over together.

See Zhao et al., PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel, VLDB 2023; this is torch's second
implementation of it, `torch.distributed.fsdp.fully_shard`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffload,
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)
from torch.nn.modules.batchnorm import _NormBase

from leyden.errors import ConfigurationError
from leyden.module import LightningModule
from leyden.precision import Precision
from leyden.strategies.calling import called
from leyden.strategies.distributed import DEFAULT_TIMEOUT
from leyden.strategies.sharded import Sharded
from leyden.strategies.units import chosen, make_ready, policy_of, recomputed

_RESHARDS = {"FULL_SHARD": True, "SHARD_GRAD_OP": False, "HYBRID_SHARD": True, "_HYBRID_SHARD_ZERO2": False}
_HALF = {
    "bf16-mixed": torch.bfloat16, "bf16-true": torch.bfloat16, "16-mixed": torch.float16, "16-true": torch.float16
}  # fmt: skip
_MIXED = ("bf16-mixed", "16-mixed")


class FSDPStrategy(Sharded):
    """Divide parameters, gradients and optimizer states among all ranks.

    Args:
        auto_wrap_policy: Which modules are units: layer classes or their names, a function of a module, or a policy
            of `torch.distributed.fsdp.wrap`. Without one the whole module is a single unit.
        cpu_offload: Whether parts wait on the CPU, where they are updated, too; or a `CPUOffloadPolicy`.
        mixed_precision: A `MixedPrecisionPolicy`; by default what the trainer's precision means: parameters are
            fetched in 16 bits, gradients are added up in 32.
        activation_checkpointing_policy: Which modules compute their activations twice, to keep none: as
            *auto_wrap_policy*.
        activation_checkpointing: Likewise, the older name.
        sharding_strategy: ``"FULL_SHARD"``; ``"SHARD_GRAD_OP"`` keeps parameters from forward to backward;
            ``"HYBRID_SHARD"`` divides among the ranks of a machine, each of which has a whole copy.
        reshard_after_forward: Whether others' parts are dropped between forward and backward; or among how many ranks
            they stay divided. Wins over *sharding_strategy*.
        state_dict_type: ``"full"`` saves one file, as a single process does; ``"sharded"`` a folder of which each
            rank writes a part.
        device_mesh: For ``"HYBRID_SHARD"``: how many copies, and among how many ranks each is divided; or a
            `DeviceMesh`.
        process_group_backend: See `Distributed`.
        timeout: See `Distributed`.
        start_method: How ranks are started where nobody has: ``"spawn"``.
        **kwargs: Refused: arguments of torch's first implementation have no meaning here.

    Raises:
        ConfigurationError: If an argument has another value than these.
    """

    strategy_name = "fsdp"

    def __init__(
        self,
        *,
        auto_wrap_policy: Any = None,
        cpu_offload: bool | CPUOffloadPolicy | CPUOffload | None = None,
        mixed_precision: MixedPrecisionPolicy | None = None,
        activation_checkpointing_policy: Any = None,
        activation_checkpointing: Any = None,
        sharding_strategy: Any = "FULL_SHARD",
        reshard_after_forward: bool | int | None = None,
        state_dict_type: Literal["full", "sharded"] = "full",
        device_mesh: DeviceMesh | tuple[int, int] | None = None,
        process_group_backend: str | None = None,
        timeout: timedelta | float | None = DEFAULT_TIMEOUT,
        start_method: str = "spawn",
        **kwargs: Any,
    ) -> None:
        _refuse(kwargs)
        if state_dict_type not in ("full", "sharded"):
            raise ConfigurationError(
                f"FSDPStrategy(state_dict_type={state_dict_type!r}): expected 'full', one file, or 'sharded', a folder."
            )
        super().__init__(state_dict_type == "sharded", process_group_backend, timeout)
        self.start_method = start_method
        self._units = policy_of(auto_wrap_policy, "auto_wrap_policy")
        twice = activation_checkpointing_policy if activation_checkpointing is None else activation_checkpointing
        self._recomputed = policy_of(twice, "activation_checkpointing_policy")
        self._offload = cpu_offload
        self._mixed = _checked_precision(mixed_precision)
        self._casts_batches = self._mixed is not None
        name = _sharding(sharding_strategy)
        self._hybrid = "HYBRID" in name
        self._reshards = _RESHARDS[name] if reshard_after_forward is None else reshard_after_forward
        self._mesh = device_mesh

    def open(self) -> None:
        """Meet the other ranks, and settle who holds what."""
        super().open()
        if self.device_mesh is None:
            self.device_mesh = self._made_mesh()

    def _made_mesh(self) -> DeviceMesh:
        kind = self.root_device.type
        if isinstance(self._mesh, DeviceMesh):
            return self._mesh
        if not self._hybrid and self._mesh is None:
            return init_device_mesh(kind, (self.world_size,))
        copies, parts = self._mesh or (self.num_nodes, self.num_processes)
        if copies * parts != self.world_size:
            raise ConfigurationError(
                f"FSDPStrategy(device_mesh={self._mesh!r}): {copies} copies divided among {parts} ranks each are "
                f"{copies * parts} ranks, but there are {self.world_size}. The product has to be their number."
            )
        return init_device_mesh(kind, (copies, parts), mesh_dim_names=("replicate", "shard"))

    def setup(self, module: LightningModule) -> None:
        """Divide *module*, if it is not divided yet."""
        if not isinstance(module, FSDPModule):
            self._divide(module)
        self._begin(module)

    def _divide(self, module: LightningModule) -> None:
        for each in chosen(module, self._recomputed):
            recomputed(each)
        precision = module.trainer.precision_plugin
        loading = module.trainer.ckpt_path is not None
        children = list(module.children()) if not module.automatic_optimization else []
        statistics = _keeping_statistics(module) if self._mixed is None and precision.name in _MIXED else []
        for unit in statistics:
            self._divide_unit(unit, loading, mp_policy=MixedPrecisionPolicy(), reshard_after_forward=self._reshards)
        units = [each for each in chosen(module, self._units) if each not in statistics]
        units += [each for each in children if each not in units and _runs(each)]
        for unit in units:
            policy = _precision_of(self._mixed, precision, outermost=False)
            self._divide_unit(unit, loading, mp_policy=policy, reshard_after_forward=self._reshards)
        policy = _precision_of(self._mixed, precision, outermost=True)
        self._divide_unit(module, loading, mp_policy=policy, reshard_after_forward=False)
        called(module, lambda: None)  # torch takes the first module that runs for the outermost one
        for each in module.modules():
            if isinstance(each, FSDPModule):
                each.unshard()
                each.reshard()

    def _divide_unit(self, unit: nn.Module, loading: bool, **options: Any) -> None:
        make_ready(unit, self.root_device, loading)
        try:
            fully_shard(unit, mesh=self.device_mesh, offload_policy=self._offload_policy(), **options)
        except ValueError as error:
            raise ConfigurationError(f"{type(unit).__name__} cannot be divided among ranks: {error}") from error

    def _offload_policy(self) -> OffloadPolicy:
        given = self._offload
        if isinstance(given, OffloadPolicy):
            return given
        wanted = given.offload_params if isinstance(given, CPUOffload) else bool(given)
        return CPUOffloadPolicy(pin_memory=self.root_device.type == "cuda") if wanted else OffloadPolicy()


def _keeping_statistics(module: nn.Module) -> list[nn.Module]:
    """Return the layers that cannot compute in 16 bits while they keep statistics in 32."""
    kept = [each for each in module.modules() if isinstance(each, _NormBase) and each.track_running_stats]
    return [each for each in kept if each.affine]


def _runs(module: nn.Module) -> bool:
    """Whether *module* can be a unit: has parameters, and a forward to fetch them for."""
    own = type(module).forward is not nn.Module.forward and not isinstance(module, (nn.ModuleList, nn.ModuleDict))
    return own and any(True for _ in module.parameters())


def _precision_of(given: MixedPrecisionPolicy | None, precision: Precision, outermost: bool) -> MixedPrecisionPolicy:
    """Return what torch is told of the number formats.

    Under autocast inputs are cast by the operations that want it; only what calls the module from outside of a step
    has nobody else to do it.
    """
    if given is not None:
        return given
    half = _HALF.get(precision.name)
    if half is None:
        return MixedPrecisionPolicy()
    return MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=outermost)


def _checked_precision(given: Any) -> MixedPrecisionPolicy | None:
    if given is None or isinstance(given, MixedPrecisionPolicy):
        return given
    raise ConfigurationError(
        f"FSDPStrategy(mixed_precision={given!r:.200}): expected a torch.distributed.fsdp.MixedPrecisionPolicy, say "
        "MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32); MixedPrecision belongs to "
        "torch's first implementation. Or leave it out, and set Trainer(precision='bf16-mixed')."
    )


def _sharding(given: Any) -> str:
    name = given if isinstance(given, str) else getattr(given, "name", repr(given))
    if name in _RESHARDS:
        return str(name)
    hint = " Use strategy='ddp', where every rank has everything." if name == "NO_SHARD" else ""
    known = ", ".join(each for each in _RESHARDS if not each.startswith("_"))
    raise ConfigurationError(f"FSDPStrategy(sharding_strategy={given!r}): expected one of {known}.{hint}")


_ALWAYS = "it is always so: leave it out"
_FIRST = {
    "use_orig_params": _ALWAYS,
    "sync_module_states": _ALWAYS,
    "limit_all_gathers": _ALWAYS,
    "forward_prefetch": "torch fetches ahead by itself: leave it out",
    "backward_prefetch": "torch fetches ahead by itself: leave it out",
    "param_init_fn": "layers on the meta device are filled by their reset_parameters: define it",
    "ignored_modules": "choose the units with auto_wrap_policy",
    "ignored_parameters": "choose the units with auto_wrap_policy",
    "ignored_states": "choose the units with auto_wrap_policy",
    "device_id": "ranks know their device: leave it out",
    "process_group": "give a device_mesh",
}


def _refuse(kwargs: dict[str, Any]) -> None:
    for name, value in kwargs.items():
        why = _FIRST.get(name)
        told = f"belongs to torch's first FSDP; here {why}" if why else "is unknown"
        raise ConfigurationError(f"FSDPStrategy({name}={value!r:.80}) {told}. Leyden divides with fully_shard (FSDP2).")
