"""The plugin of ``hydra/launcher=local``: its options, and nothing else. See `leyden.launch.local`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge

from leyden.config.launchers import LauncherPlugin


class LocalLauncher(LauncherPlugin):
    """Executes runs in processes of this machine, a few at a time.

    Args:
        slots: Runs at a time; None is as many as the GPUs allow, or one per four cores.
        gpus_per_job: GPUs that a run is lent; None is what ``trainer.devices`` asks for.
        detach: Leave the queue running in the background; ``leyden queue`` follows it.
    """

    def __init__(
        self,
        slots: Annotated[int, Ge(1)] | None = None,
        gpus_per_job: Annotated[int, Ge(0)] | None = None,
        detach: bool = False,
    ) -> None:
        self.slots, self.gpus_per_job, self.detach = slots, gpus_per_job, detach

    def launcher(self, wait: bool = False, trusted: Sequence[str] = ()) -> Any:
        """Return the queue; see `LauncherPlugin.launcher`."""
        from leyden.launch.local.launcher import LocalQueue

        return LocalQueue(self.slots, self.gpus_per_job, self.detach and not wait, trusted)
