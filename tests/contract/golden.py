"""The order of every hook, written down once: what a module, a callback and a data module can rely on.

``LM`` is the module, ``DM`` the data module, ``cb`` a callback, ``ck`` a callback that
saves checkpoints, and so runs last and monitors. ``*`` stands for ``cb``, ``ck`` and ``LM``,
in this order; ``c*`` for the two callbacks.
"""

from __future__ import annotations


def calls(*texts: str) -> list[str]:
    """Write out the calls of *texts*: ``*.hook`` becomes ``cb.hook``, ``ck.hook``, ``LM.hook``."""
    short = {"*": ("cb", "ck", "LM"), "c*": ("cb", "ck")}
    split = [word.split(".") for text in texts for word in text.split()]
    return [f"{owner}.{hook}" for owners, hook in split for owner in short.get(owners, (owners,))]


# --- pieces --------------------------------------------------------------------------------------

PREPARED = """
    LM.configure_callbacks
    DM.prepare_data LM.prepare_data
    DM.setup c*.setup LM.setup
    LM.configure_model
"""
LOADED = "LM.on_load_checkpoint DM.load_state_dict c*.on_load_checkpoint c*.load_state_dict"
CONFIGURED = "LM.configure_optimizers *.on_fit_start"
TRANSFERRED = "LM.on_before_batch_transfer LM.transfer_batch_to_device LM.on_after_batch_transfer"
TORN_DOWN = "DM.teardown c*.teardown LM.teardown"

VALIDATION = f"""
    LM.on_validation_model_eval
    *.on_validation_start
    *.on_validation_epoch_start
    {TRANSFERRED}
    *.on_validation_batch_start
    LM.validation_step
    *.on_validation_batch_end
    *.on_validation_epoch_end
    *.on_validation_end
    LM.on_validation_model_train
"""
VALIDATED = f"LM.on_validation_model_zero_grad {VALIDATION}"
SANITY_CHECKED = f"c*.on_sanity_check_start DM.val_dataloader {VALIDATION} c*.on_sanity_check_end"

STARTED = f"{TRANSFERRED} *.on_train_batch_start"
STEPPED = "LM.training_step"
CLEARED = "*.on_before_zero_grad LM.optimizer_zero_grad"
DIFFERENTIATED = "*.on_before_backward LM.backward *.on_after_backward"
UPDATED = "*.on_before_optimizer_step LM.configure_gradient_clipping"
ENDED = "*.on_train_batch_end"
SCHEDULED = "LM.lr_scheduler_step"

BATCH = f"{STARTED} LM.optimizer_step {STEPPED} {CLEARED} {DIFFERENTIATED} {UPDATED} {ENDED}"
LAST_BATCH = f"{STARTED} LM.optimizer_step {STEPPED} {CLEARED} {DIFFERENTIATED} {UPDATED} {SCHEDULED} {ENDED}"

SAVED = "c*.state_dict DM.state_dict c*.on_save_checkpoint LM.on_save_checkpoint"
EPOCH_ENDED = "cb.on_train_epoch_end LM.on_train_epoch_end ck.on_train_epoch_end"
EPOCH = f"*.on_train_epoch_start {BATCH} {LAST_BATCH} {VALIDATED} {EPOCH_ENDED}"
FINISHED = f"*.on_train_end *.on_fit_end {TORN_DOWN}"

# --- whole runs ------------------------------------------------------------------------------------

FIT = calls(
    PREPARED,
    CONFIGURED,
    SANITY_CHECKED,
    "DM.train_dataloader *.on_train_start",
    *(EPOCH, SAVED),
    *(EPOCH, SAVED),
    FINISHED,
)

VALIDATE = calls(PREPARED, "DM.val_dataloader", VALIDATION, TORN_DOWN)
TEST = [call.replace("validation", "test").replace("val_", "test_") for call in VALIDATE]
PREDICT = [call.replace("validation", "predict").replace("val_", "predict_") for call in VALIDATE]

# Three batches in windows of two: the gradients of the first wait for the second, the third is alone.
ACCUMULATION = calls(
    PREPARED,
    CONFIGURED,
    "DM.train_dataloader *.on_train_start *.on_train_epoch_start",
    *(STARTED, STEPPED, CLEARED, DIFFERENTIATED, ENDED),
    *(STARTED, "LM.optimizer_step", STEPPED, DIFFERENTIATED, UPDATED, ENDED),
    *(STARTED, "LM.optimizer_step", STEPPED, CLEARED, DIFFERENTIATED, UPDATED, SCHEDULED, ENDED),
    EPOCH_ENDED,
    SAVED,
    FINISHED,
)

# The module calls manual_backward and the optimizer's step itself.
MANUAL = calls(
    PREPARED,
    CONFIGURED,
    "DM.train_dataloader *.on_train_start *.on_train_epoch_start",
    *(STARTED, STEPPED, DIFFERENTIATED, "*.on_before_optimizer_step", ENDED),
    *(STARTED, STEPPED, DIFFERENTIATED, "*.on_before_optimizer_step", ENDED),
    EPOCH_ENDED,
    SAVED,
    FINISHED,
)

# training_step raises in the first batch.
EXCEPTION = calls(
    PREPARED,
    CONFIGURED,
    "DM.train_dataloader *.on_train_start *.on_train_epoch_start",
    *(STARTED, "LM.optimizer_step", STEPPED),
    "c*.on_exception DM.on_exception",
    TORN_DOWN,
)

# The checkpoint was written at the end of the first of two epochs.
RESUMED_AT_AN_EPOCH = calls(
    PREPARED,
    LOADED,
    CONFIGURED,
    "DM.train_dataloader DM.val_dataloader *.on_train_start",
    *(EPOCH, SAVED),
    FINISHED,
)

# The checkpoint was written after the first of two batches, in on_train_batch_end.
RESUMED_WITHIN_AN_EPOCH = calls(
    PREPARED,
    LOADED,
    CONFIGURED,
    "DM.train_dataloader DM.val_dataloader *.on_train_start",
    *(LAST_BATCH, VALIDATED, EPOCH_ENDED),
    FINISHED,
)
