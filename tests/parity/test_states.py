"""In every hook, trainer and module tell the same about themselves under Lightning and under Leyden."""

from __future__ import annotations

import pytest
import torch
from twins import CONTRACTS, LEYDEN, LIGHTNING, MATTER_BY_EXISTING, RECORDED, quiet, regression, silence

from leyden.testing import describe

FACTS = {
    "stage": lambda trainer: trainer.state.stage,
    "fn": lambda trainer: trainer.state.fn,
    "loops": lambda trainer: (trainer.training, trainer.validating, trainer.testing, trainer.predicting),
    "evaluating": lambda trainer: (trainer.evaluating, trainer.sanity_checking),
    "modes": lambda trainer: [child.training for child in trainer.lightning_module.modules()],
    "counters": lambda trainer: (trainer.global_step, trainer.current_epoch),
    "module_counters": lambda trainer: (trainer.lightning_module.global_step, trainer.lightning_module.current_epoch),
    "stops": lambda trainer: trainer.should_stop,
    "grad": lambda trainer: (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    "gradients": lambda trainer: [each.grad is None for each in trainer.lightning_module.parameters()],
    "callback_metrics": lambda trainer: describe(dict(trainer.callback_metrics)),
    "logged_metrics": lambda trainer: describe(dict(trainer.logged_metrics)),
    "bar_metrics": lambda trainer: describe(dict(trainer.progress_bar_metrics)),
    "rates": lambda trainer: [group["lr"] for each in trainer.optimizers for group in each.param_groups],
    "device": lambda trainer: str(trainer.lightning_module.device),
}
OF_A_FIT = {
    "last": lambda trainer: trainer.is_last_batch,
    "batches": lambda trainer: (trainer.num_training_batches, trainer.num_val_batches, trainer.num_sanity_val_batches),
    "estimate": lambda trainer: trainer.estimated_stepping_batches,
    "interval": lambda trainer: (trainer.val_check_batch, trainer.check_val_every_n_epoch, trainer.log_every_n_steps),
}


def noting(library, owner, base, seen, look):
    """A subclass of *base* that notes in every hook what *look* says about the trainer."""
    contract = getattr(library, CONTRACTS[owner])

    def note(name):
        method = getattr(base, name)

        def noted(self, *args, **kwargs):
            trainer = self.trainer if owner == "LM" else args[0] if args else None
            if trainer is not None:
                seen.append((f"{owner}.{name}", look(trainer)))
            return method(self, *args, **kwargs)

        return noted

    hooks = [
        name
        for name in RECORDED[owner]
        if hasattr(getattr(LIGHTNING, CONTRACTS[owner]), name)
        and name not in ("state_dict", "load_state_dict", "configure_callbacks")
        and (name not in MATTER_BY_EXISTING or getattr(base, name) is not getattr(contract, name, None))
        and not name.endswith("_step")
    ]
    return type(owner, (base,), {name: note(name) for name in hooks})


def seen_by(library, tmp_path, stage, look, **options):
    """Run *stage* after a fit or as a fit; return what every hook saw."""

    class Module(regression(library)):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
            return loss

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    seen = []
    torch.manual_seed(0)
    with silence():
        module = noting(library, "LM", Module, seen, look)()
        callback = noting(library, "cb", library.Callback, seen, look)()
        trainer = quiet(
            library,
            tmp_path,
            **{
                "callbacks": [callback],
                "max_epochs": 2,
                "limit_train_batches": 3,
                "limit_val_batches": 2,
                "limit_test_batches": 2,
                "limit_predict_batches": 2,
                **options,
            },
        )
        if stage != "fit":
            trainer.fit(module)
            seen.clear()
        getattr(trainer, stage)(module)
    return seen


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("fact", FACTS)
def test_every_hook_sees_the_same(tmp_path, stage, fact):
    theirs = seen_by(LIGHTNING, tmp_path, stage, FACTS[fact])
    ours = seen_by(LEYDEN, tmp_path, stage, FACTS[fact])

    assert ours == theirs


@pytest.mark.parametrize("fact", OF_A_FIT)
def test_every_hook_of_a_training_batch_sees_the_same(tmp_path, fact):
    theirs = [each for each in seen_by(LIGHTNING, tmp_path, "fit", OF_A_FIT[fact]) if "train_batch" in each[0]]
    ours = [each for each in seen_by(LEYDEN, tmp_path, "fit", OF_A_FIT[fact]) if "train_batch" in each[0]]

    assert ours == theirs
