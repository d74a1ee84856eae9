"""Where Leyden does not do what Lightning does, and why: the one list, each entry of which is tested.

Its tables are shown in ``src/leyden/lightning/README.md``; ``python -m tests.parity.differences`` writes them there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "src" / "leyden" / "lightning" / "README.md"
COMMAND = "python -m tests.parity.differences"


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


class Refusal(NamedTuple):
    """Something that Leyden refuses with a clear error, in words.

    Attributes:
        written: What a program for Lightning says.
        instead: What to do instead.
    """

    written: str
    instead: str


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
    "version_that_is_a_name": Difference(
        lightning="the bar shows the last four letters of a logger's version, whatever it is: `v_num: oard`",
        leyden="a version without a digit is not shown",
        reason="it is the name of a folder, the same for all runs",
    ),
    "exact_resume": Difference(
        lightning="a checkpoint lacks random numbers, position in the data, metric states and waiting gradients",
        leyden="all are there: a fit stopped anywhere goes on as if it had not been stopped",
        reason="a result must not depend on when a job was interrupted",
    ),
    "secret_hyperparameters": Difference(
        lightning="hyper-parameters that hold a password or token are in checkpoints and logs",
        leyden="they are left out, with a warning: load_from_checkpoint(path, api_key=...)",
        reason="files are shared more widely than keys should be",
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
    "epoch_of_a_wrong_length": Difference(
        lightning="a loader that yields fewer batches than len() says ends an epoch without its validation, its epoch "
        "schedulers and its last window; batches beyond len() are left out",
        leyden="the epoch ends where the loader does, with all of these; that the two differ is said once",
        reason="a length is an estimate of whoever wrote the loader; the data are what there is to train on",
    ),
    "batches_of_an_uncertain_length": Difference(
        lightning="a training loader with a length of the user's own (an iterable data set, a sampler) is asked for a "
        "batch when the step needs it",
        leyden="it is read one batch ahead, as both do where there is no length; what torch counts itself is not",
        reason="the last batch of an epoch has to be known while it is being used",
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
    "first_size_of_a_search": Difference(
        lightning="a search for a batch size in a fit first tries the size that the module has, and calls it init_val",
        leyden="it first tries init_val",
        reason="a size that the module brings may be far too large, or far too small",
    ),
    "size_that_a_search_returns": Difference(
        lightning="a search that ends at max_val or with all data in a batch may return a size that does not fit",
        leyden="the size returned has been tried, and fits",
        reason="that is what the search is for",
    ),
    "limit_of_a_search": Difference(
        lightning="a search in mode power ends with the first power above max_val",
        leyden="it ends with max_val",
        reason="that is what was asked for",
    ),
    "random_numbers_after_a_search": Difference(
        lightning="a search for a batch size takes random numbers from the fit that follows it",
        leyden="it leaves them as they were",
        reason="the fit is the one that begins with the size that was found",
    ),
    "loader_given_to_a_search": Difference(
        lightning="a search in a test takes a loader that is passed to it, of which it cannot change the batch size",
        leyden="it is refused, as it is in a fit",
        reason="the size found would mean nothing",
    ),
    "several_loaders_in_a_search": Difference(
        lightning="a search in a test refuses several loaders",
        leyden="batches of each of them are tried",
        reason="there is nothing against it",
    ),
    "options_on_resume": Difference(
        lightning="options of optimizers that are given anew are ignored by a resume: those of the checkpoint count",
        leyden="what is given now counts; what training has changed goes on",
        reason="what was typed wins, and what does not is said: see Going on from a checkpoint",
    ),
    "schedule_on_longer_resume": Difference(
        lightning="a schedule keeps the length it had in the checkpoint, also if max_epochs has grown",
        leyden="it goes on as the schedule of the length given now",
        reason="the rates are those of a run that was to be so long from the start",
    ),
    "patience_on_resume": Difference(
        lightning="the patience of EarlyStopping is the checkpoint's",
        leyden="it is the one given now",
        reason="what was typed wins",
    ),
    "batch_size_on_resume": Difference(
        lightning="another batch size in the middle of an epoch shows samples twice, or not at all",
        leyden="it is refused there, and taken between two epochs",
        reason="an epoch is one pass over the data",
    ),
    "score_of_a_step": Difference(
        lightning="within an epoch ModelCheckpoint saves before the validation of its step, ranked by the one before",
        leyden="it saves after it: a file has the score of its own step",
        reason="the best file is the one with the best score",
    ),
    "validation_after_every_batch": Difference(
        lightning="callbacks take val_check_interval=1, one batch, for 1.0, one epoch, and look once per epoch",
        leyden="ModelCheckpoint and EarlyStopping look at every validation",
        reason="an int counts batches, as everywhere else",
    ),
    "epochs_without_validation": Difference(
        lightning="under check_val_every_n_epoch=2 ModelCheckpoint saves nothing in a fit that does not validate",
        leyden="it saves at the end of every epoch",
        reason="the option is about validations, of which there are none to wait for",
    ),
    "frequency_of_a_scheduler": Difference(
        lightning="the frequency of a step scheduler counts batches, anew in every epoch",
        leyden="it counts updates over the whole fit",
        reason="a frequency beyond the length of an epoch would mean never, and one under accumulation another number",
    ),
    "schedule_of_a_refused_batch": Difference(
        lightning="a step scheduler is stepped for a batch that on_train_batch_start has refused",
        leyden="it is stepped after updates only",
        reason="no update was made",
    ),
    "stop_before_it_is_allowed": Difference(
        lightning="a stop for which EarlyStopping asked before min_epochs or min_steps waits until they are reached",
        leyden="the latest check before they are reached decides",
        reason="a metric that is at its best by then is no reason to stop",
    ),
    "plateau_before_a_validation": Difference(
        lightning="a ReduceLROnPlateau scheduler that is due before the first validation is an error",
        leyden="it waits for it; what that validation does not log is an error",
        reason="the metric is yet to come",
    ),
    "check_before_a_validation": Difference(
        lightning="EarlyStopping(check_on_train_epoch_end=True) raises an error before the first validation",
        leyden="it waits for it",
        reason="the metric is yet to come",
    ),
    "steps_of_a_bare_optimizer": Difference(
        lightning="in manual optimisation a step of the bare torch optimizer is not counted, and nothing is saved",
        leyden="every step of an optimizer from configure_optimizers is counted",
        reason="global_step is the number of optimizer steps",
    ),
    "multiples_that_are_passed": Difference(
        lightning="every_n_train_steps=3 saves every 6 steps where a batch steps two optimizers",
        leyden="it saves after each batch in which a multiple of 3 is reached or passed",
        reason="so many steps are asked for, not their least common multiple",
    ),
    "deferred_without_a_validation": Difference(
        lightning="ModelCheckpoint lets a save at the end of an epoch wait for a validation, even if none comes",
        leyden="it waits only for one that comes right after the batch",
        reason="the save would be lost, or be made in the middle of the next epoch",
    ),
    "exception_before_training": Difference(
        lightning="OnExceptionCheckpoint saves whatever breaks, be it before the first batch",
        leyden="it saves from the start of training on",
        reason="the file a fit is resumed from must not be replaced by one that could not even start",
    ),
    "exception_in_a_dry_run": Difference(
        lightning="OnExceptionCheckpoint saves in a fast_dev_run, too",
        leyden="it does not",
        reason="a fast_dev_run writes no files",
    ),
    "test_beside_a_checkpoint_of_an_exception": Difference(
        lightning="every stage that ends well removes the file of OnExceptionCheckpoint, a test as well",
        leyden="a fit that ends well removes it",
        reason="whoever tests what is left of a broken fit wants to go on with it",
    ),
    "clock_of_a_second_fit": Difference(
        lightning="in a second fit of one Timer, the time elapsed is negative until the fit ends",
        leyden="it is counted from the start of that fit",
        reason="a fit could not run out of time",
    ),
    "schedule_that_was_given": Difference(
        lightning="GradientAccumulationScheduler adds an epoch 0 to the dict it is given",
        leyden="the dict stays as it is",
        reason="it belongs to the caller",
    ),
    "epochs_as_text": Difference(
        lightning="GradientAccumulationScheduler refuses epochs that are texts",
        leyden="it reads them",
        reason="keys of a config are texts",
    ),
    "second_fit_of_a_schedule": Difference(
        lightning="GradientAccumulationScheduler leaves its last number in the trainer, which refuses to fit again",
        leyden="the trainer gets its own number back",
        reason="it can fit again",
    ),
    "steps_of_a_schedule": Difference(
        lightning="estimated_stepping_batches takes GradientAccumulationScheduler's current number for all epochs",
        leyden="it counts each epoch with its own",
        reason="schedulers of learning rates are made from it",
    ),
    "schedule_on_resume": Difference(
        lightning="a fit resumed within an epoch accumulates nothing until the next one, whatever the schedule says",
        leyden="it goes on with the epoch's number",
        reason="part of the exact resume",
    ),
    "rows_of_a_sanity_check": Difference(
        lightning="DeviceStatsMonitor logs rows of the sanity check",
        leyden="it does not",
        reason="the sanity check leaves no trace",
    ),
    "samples_of_a_batch": Difference(
        lightning="ThroughputMonitor has to be told how many samples a batch has",
        leyden="without batch_size_fn it finds out as self.log does",
        reason="most batches tell",
    ),
    "axis_of_throughput": Difference(
        lightning="in a fit, ThroughputMonitor counts the batches of each validation on an axis of their own",
        leyden="its rows stand where the fit stands",
        reason="one axis that never runs backwards",
    ),
    "throughput_of_a_second_test": Difference(
        lightning="ThroughputMonitor goes on with the counts of an earlier test",
        leyden="each test is counted by itself",
        reason="the counts of a test are its own",
    ),
    "pictures_of_a_bar": Difference(
        lightning="TQDMProgressBar reads its metrics and asks tqdm to draw after every refresh_rate batches",
        leyden="it draws ten times a second at most",
        reason="reading metrics waits for the device, and nobody reads faster",
    ),
    "stream_of_a_bar": Difference(
        lightning="TQDMProgressBar draws its training bar on standard output",
        leyden="all its bars are drawn on standard error",
        reason="standard output is for results",
    ),
    "columns_of_a_summary": Difference(
        lightning="RichModelSummary has columns of operations and sizes, measured with example_input_array",
        leyden="it has none, and runs nothing",
        reason="a table of layers must not cost a forward pass",
    ),
    "errors_of_hyperparameters": Difference(
        lightning="save_hyperparameters raises a KeyError for a name that is no argument",
        leyden="it raises a ConfigurationError, which is a ValueError, and lists the arguments",
        reason="what a user did wrong is one kind of error everywhere",
    ),
    "objects_among_hyperparameters": Difference(
        lightning="a checkpoint with an object among its hyper-parameters cannot be read without trusting it",
        leyden="it is read without that object",
        reason="loading executes nothing, and the weights need no object",
    ),
    "iterators_of_a_reloaded_loader": Difference(
        lightning="with reload_dataloaders_every_n_epochs a new loader is iterated twice, and two seeds are drawn",
        leyden="one is made",
        reason="workers start once, and an epoch begins the same way whether the loader is new or not",
    ),
    "place_of_a_checkpoint_of_lightning": Difference(
        lightning="a fit resumed within an epoch counts on from there, but sees the first batches of the epoch again",
        leyden="it sees the batches that are left, also if Lightning wrote the checkpoint",
        reason="an epoch is one pass over the data",
    ),
    "storage_options": Difference(
        lightning="save_checkpoint refuses storage_options with a TypeError",
        leyden="it refuses them with a ConfigurationError",
        reason="what a user did wrong is one kind of error everywhere",
    ),
    "files_in_flight": Difference(
        lightning="with AsyncCheckpointIO a logger hears of a file, and the one before is deleted, while it is written",
        leyden="both wait until it is on disk",
        reason="there is always a file to go on from, and one to upload",
    ),
    "options_of_the_environment": Difference(
        lightning="PL_TRAINER_MAX_EPOCHS and its like in the environment are options of every Trainer",
        leyden="they are obeyed under `leyden lightning`, and not by programs that import leyden",
        reason="a run depends on its directory alone",
    ),
    "order_of_shared_samples": Difference(
        lightning="on several ranks training is shuffled, by a seed of its own, whatever the loader says",
        leyden="the loader's own order is dealt out: shuffled, weighted or not, as it would be in one process",
        reason="an update sees the same samples whatever the number of ranks",
    ),
    "samples_of_a_shared_evaluation": Difference(
        lightning="on several ranks samples are evaluated twice where they do not go round",
        leyden="each once; the last batch of a rank may hold one sample more",
        reason="metrics are exact, and ranks that talk in a step do not wait for ever",
    ),
    "iterable_data_on_ranks": Difference(
        lightning="every rank reads all of an iterable data set",
        leyden="it is dealt sample by sample, unless it says `sharded = True`, or use_distributed_sampler=False",
        reason="an epoch is one pass over the data",
    ),
    "hooks_of_gradients_on_cpus": Difference(
        lightning="a communication hook of DDP is left out on CPUs",
        leyden="it works there, too; one that cannot is refused",
        reason="what was asked for is done, or an error",
    ),
    "script_of_several_ranks": Difference(
        lightning="Trainer(devices=2) runs the script once more for every further rank",
        leyden="the stage alone is sent to the ranks; what comes before and after runs once, with the results at hand",
        reason="a script that reads, writes or asks something does so once",
    ),
}

REFUSED = {
    "strategies": Refusal(
        written='`strategy="xla"` and its variants; `"deepspeed"` and its variants without the package, or on NVMe',
        instead='`"auto"`; `pip install "leyden[deepspeed]"`, or `strategy="fsdp"`; `"deepspeed_stage_3_offload"`',
    ),
    "accelerators": Refusal(written='`accelerator="tpu"`, `"hpu"`', instead='`accelerator="auto"`: what torch finds'),
    "precisions": Refusal(
        written='`precision="transformer-engine"`, `"transformer-engine-float16"`; `BitsandbytesPrecision`',
        instead="`bf16-mixed`, `16-mixed`, or the `-true` ones",
    ),
    "profilers": Refusal(written='`profiler="xla"`, `XLAProfiler`', instead="`simple`, `advanced`, `pytorch`"),
    "plugins": Refusal(
        written="a `CheckpointIO` of your own, cluster environments in `plugins=`",
        instead="nothing: checkpoints are written whole or not at all, by one process; or `AsyncCheckpointIO()`",
    ),
    "storage_options": Refusal(
        written="`save_checkpoint(path, storage_options=...)`", instead="a logger's `after_save_checkpoint` uploads"
    ),
    "places_of_checkpoints": Refusal(
        written='`fit(ckpt_path="hpc")`, `"registry:..."`', instead='a path, `"last"` or `"best"`'
    ),
    "steps_that_fetch": Refusal(
        written="`training_step(self, dataloader_iter)`", instead="`training_step(self, batch, batch_idx)`"
    ),
    "configure_sharded_model": Refusal(written="`configure_sharded_model`", instead="`configure_model`"),
    "hooks_of_lightning_1": Refusal(
        written="`training_epoch_end` and the other hooks that Lightning 2 has removed",
        instead="the message names the hook of today",
    ),
    "tensorrt": Refusal(written="`module.to_tensorrt()`", instead="`module.to_onnx()`, which TensorRT reads"),
    "command_line": Refusal(
        written="`LightningCLI`, and the rest of `lightning.pytorch.cli`",
        instead="config groups: see above; or `argparse`, and `Trainer(...)`",
    ),
    "fabric": Refusal(
        written="`Fabric`", instead="a `LightningModule` with `automatic_optimization = False`: see above"
    ),
    "callbacks": Refusal(
        written="`ModelPruning`, `SpikeDetection`", instead="a callback of a few lines, with `torch.nn.utils.prune`"
    ),
    "loggers": Refusal(
        written="`CometLogger`, `LitLogger`, `NeptuneLogger`",
        instead="`WandbLogger`, `MLFlowLogger`, `TensorBoardLogger`, `CSVLogger`, or a `Logger` of your own",
    ),
}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Lay out *rows* as a table of Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def tables() -> dict[str, str]:
    """Return the tables of the page by the names that mark their places."""
    return {
        "differences": table(("Lightning 2.6", "Leyden", "because"), DIFFERENCES.values()),
        "refused": table(("you wrote", "here"), REFUSED.values()),
    }


def filled(page: str) -> str:
    """Return *page* with each table between its marks."""
    for name, text in tables().items():
        begin, end = f"<!-- {name}: {COMMAND} -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
