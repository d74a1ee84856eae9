"""Where Leyden does not do what Lightning does, and why: the one list, each entry of which is tested."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One difference, in words.

    Attributes:
        lightning: What Lightning 2.6 does.
        leyden: What Leyden does.
        reason: Why.
    """

    lightning: str
    leyden: str
    reason: str


DIFFERENCES = {
    "short_window": Difference(
        lightning="the last, shorter accumulation window of an epoch is still divided by accumulate_grad_batches",
        leyden="every window is divided by its real size",
        reason="samples of the last window would weigh less than all others",
    ),
    "axis_of_evaluation_steps": Difference(
        lightning="values logged in validation steps with on_step=True stand on an axis of their own, from 0 on",
        leyden="they stand where the fit stands",
        reason="one axis that never runs backwards; some loggers drop rows that do",
    ),
    "axis_within_a_window": Difference(
        lightning="a validation in the middle of an accumulation window has the step of the coming update",
        leyden="it has the step of the latest update",
        reason="every row stands at the update whose weights it describes",
    ),
    "exact_resume": Difference(
        lightning="a checkpoint lacks random numbers, position in the data, metric states and waiting gradients",
        leyden="all are there: a fit stopped anywhere goes on as if it had not been stopped",
        reason="a result must not depend on when a job was interrupted",
    ),
    "several_automatic_optimizers": Difference(
        lightning="several optimizers need manual optimisation",
        leyden="training_step(self, batch, batch_idx, optimizer_idx) lets them take turns, as Lightning 1 did",
        reason="modules written for Lightning 1 run",
    ),
    "teardown_after_an_exception": Difference(
        lightning="the teardown hooks are not called after an exception",
        leyden="they are always called",
        reason="what setup opened must be closed",
    ),
    "keyboard_interrupt": Difference(
        lightning="an interruption from the keyboard ends the process with sys.exit(1)",
        leyden="KeyboardInterrupt is raised again",
        reason="who called fit decides what an interruption means",
    ),
    "sanity_check_on_resume": Difference(
        lightning="a fit that goes on from the end of an epoch does the sanity check, one from its middle does not",
        leyden="a fit that goes on does none",
        reason="it has been done when the fit began",
    ),
    "plateau_scheduler_on_resume": Difference(
        lightning="the step of a plateau scheduler that follows a checkpoint at the end of an epoch is lost on resume",
        leyden="it is made up for",
        reason="part of the exact resume",
    ),
    "steps_of_a_loader_without_length": Difference(
        lightning="estimated_stepping_batches is -1 where the loader has no length and max_steps is not set",
        leyden="it is inf",
        reason="the number is unknown, and -1 is read as a number",
    ),
    "length_of_a_combined_loader": Difference(
        lightning="len() of a CombinedLoader needs iter() to be called before",
        leyden="it is known from the start",
        reason="it depends on the loaders alone",
    ),
    "batches_of_loaders_side_by_side": Difference(
        lightning="num_val_batches counts each loader of a CombinedLoader, whatever its mode",
        leyden="loaders that are read side by side are counted as the one they make",
        reason="its sum is the number of batches that are run, which progress bars show",
    ),
    "random_numbers_before_the_first_batch": Difference(
        lightning="the first epoch's iterator, which draws a random number, is made before on_train_start",
        leyden="it is made after on_train_epoch_start, as that of every other epoch",
        reason="an epoch begins the same way whether it is the first one or not",
    ),
    "batches_of_no_training": Difference(
        lightning="num_training_batches is inf under limit_train_batches=0",
        leyden="it is 0",
        reason="that is what was asked for",
    ),
    "on_predict_model_train": Difference(
        lightning="on_predict_model_train is never called",
        leyden="it is called if overridden, as are its siblings for validation and test",
        reason="three stages, one rule",
    ),
    "predictions_of_no_batches": Difference(
        lightning="predict() returns None where there are no batches",
        leyden="it returns an empty list",
        reason="whoever loops over the predictions need not ask first",
    ),
    "misspelt_hooks": Difference(
        lightning="a method that misses the name of a hook by a letter is never called",
        leyden="it is refused, with the right spelling",
        reason="it would be dead code",
    ),
    "old_spellings": Difference(
        lightning="options of Lightning 1, such as gpus=0, are unknown",
        leyden="they are translated, with one warning that names the new spelling",
        reason="old scripts run",
    ),
    "weights_of_a_test_after_averaging": Difference(
        lightning="after a fit with WeightAveraging, a test of a checkpoint runs with the weights that were trained",
        leyden="it runs with the average, as a test in a new process does",
        reason="a score must not depend on which process it is taken in",
    ),
    "precision_of_an_average": Difference(
        lightning="under 64-true, WeightAveraging rounds the weights being trained to 32 bits at every validation",
        leyden="the average is kept in 64 bits, and a validation changes nothing",
        reason="64 bits were asked for",
    ),
    "epoch_of_batch_norm_statistics": Difference(
        lightning="the epoch that gathers statistics for the average may end with a step along left-over gradients",
        leyden="it changes no weights",
        reason="the average is what was asked for",
    ),
    "parameters_of_equal_value": Difference(
        lightning="a parameter that equals another one of the optimizer is not unfrozen by BaseFinetuning",
        leyden="it is unfrozen: parameters are told apart by what they are, not by their values",
        reason="biases that begin with zeros would never be trained",
    ),
    "frozen_parameters_on_resume": Difference(
        lightning="what BaseFinetuning has unfrozen is frozen again by a resume",
        leyden="it goes on being trained",
        reason="part of the exact resume",
    ),
    "validation_in_a_search": Difference(
        lightning="a search for a learning rate validates at the end of every epoch it sees",
        leyden="it does not validate",
        reason="nobody reads what such a validation says",
    ),
}
