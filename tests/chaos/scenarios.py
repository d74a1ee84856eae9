"""The kinds of runs that are killed."""

from __future__ import annotations

from dataclasses import dataclass

RUN = "runs/run"
SWEEP = "runs/sweep"
_COMMON = (
    "name=chaos", "data=loaders", "model.in_features=8", "model.hidden=[8]", "model.classes=4", "model.dropout=0.2",
    "logger=csv", "callbacks=[model_checkpoint,marks]", "trainer.accelerator=cpu", "trainer.max_epochs=3",
    "trainer.log_every_n_steps=1", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false",
)  # fmt: skip
_EACH, _EVERY_OTHER, _OFTEN = (f"callbacks.model_checkpoint.every_n_train_steps={steps}" for steps in (1, 2, 3))
_BEST = (
    "callbacks.model_checkpoint.save_top_k=2", "callbacks.model_checkpoint.monitor=val_loss",
    "trainer.val_check_interval=3", "optimizer.lr=0.1",
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """One kind of run.

    Args:
        name: Of it.
        changes: To the config that all have in common.
        victims: Who is killed; one of these each time.
        weight: Share of the kills.
        several: Whether it is a queue of several runs.
    """

    name: str
    changes: tuple[str, ...] = ()
    victims: tuple[str, ...] = ("group",)
    weight: float = 1.0
    several: bool = False

    @property
    def words(self) -> list[str]:
        """The command line that begins it."""
        common = [
            word for word in _COMMON if not ("model=two_optimizers" in self.changes and word.startswith("model."))
        ]
        if self.several:
            return ["train", "-m", *common, *self.changes, f"hydra.sweep.dir={SWEEP}"]
        return ["train", *common, *self.changes, f"paths.run_dir={RUN}"]

    @property
    def resume(self) -> list[str]:
        """The command line that goes on with it."""
        return ["queue", SWEEP] if self.several else ["run", RUN]


SCENARIOS = [
    Scenario("default"),
    Scenario("often", (_OFTEN,)),
    Scenario("accumulation", ("trainer.accumulate_grad_batches=3", _EACH)),
    Scenario("workers-0-drawing", ("data.noise=0.5", _OFTEN)),
    Scenario("workers-1", ("data.workers=1", _OFTEN), ("group", "process")),
    Scenario("workers-2", ("data.workers=2", _OFTEN), ("group", "process")),
    Scenario("workers-1-persistent", ("data.workers=1", "data.persistent=true", _OFTEN), ("group", "process")),
    Scenario("workers-2-persistent", ("data.workers=2", "data.persistent=true", _OFTEN), ("group", "process")),
    Scenario("workers-2-drawing", ("data.workers=2", "data.persistent=true", "data.noise=0.5", _OFTEN), ("group",)),
    Scenario("deterministic", ("deterministic=true", "data.workers=1", "data.noise=0.5", _OFTEN), ("group",)),
    Scenario("asynchronous", ("trainer.plugins=async_checkpoint_io", _EVERY_OTHER)),
    Scenario("top-k", (*_BEST, _OFTEN)),
    Scenario("top-k-asynchronous", (*_BEST, _OFTEN, "trainer.plugins=async_checkpoint_io")),
    Scenario("linked-last", (*_BEST, _OFTEN, "callbacks.model_checkpoint.save_last=link")),
    Scenario("validation-inside", ("trainer.val_check_interval=4", "callbacks.model_checkpoint.save_top_k=-1",
                                   "callbacks.model_checkpoint.monitor=val_loss")),
    Scenario("manual", ("model=two_optimizers", "optimizer=none", _OFTEN)),
    Scenario("two-ranks", ("trainer=ddp_sim", _OFTEN), ("all", "starter", "process"), 0.6),
    Scenario("queue", ("seed=1,2,3", "hydra.launcher.slots=2", _OFTEN), ("all", "starter", "process"), 0.6, True),
]  # fmt: skip
