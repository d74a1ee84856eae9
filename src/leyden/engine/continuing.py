"""Going on from a checkpoint with other settings than it was written with: what was typed wins.

Without a difference everything is taken back as it was, and nothing is said. With one, the table says what wins:

    read what the file says ─► compare with the set-up now ─► load states ─► what was typed over them ─► one warning

`leyden.engine.setup` tells what was typed from what training has changed, `leyden.engine.schedules` goes on with rates.
`python -m leyden.engine.continuing` writes the table into its page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from leyden.callback import Callback
from leyden.engine.hooks import is_overridden
from leyden.engine.parts import part
from leyden.engine.schedules import check_length
from leyden.engine.setup import describe_loader
from leyden.errors import ConfigurationError
from leyden.progress import MAX_TIME, SOMEBODY, Progress
from leyden.terminal import printable
from leyden.warnings import warn_once

if TYPE_CHECKING:
    from leyden.engine.session import Session
    from leyden.trainer import Trainer


class Row(NamedTuple):
    """What holds for one setting when a fit goes on from a checkpoint.

    Attributes:
        key: The setting.
        wins: What counts from then on.
        said: What the user is told.
    """

    key: str
    wins: str
    said: str


TABLE = (
    Row(
        "options of an optimizer (lr, weight_decay, betas ...)", "what is given now; moments go on", "old and new value"
    ),
    Row("class of an optimizer", "the one given now, without the state of the other", "that it begins anew"),
    Row("optimizers, groups of parameters: other numbers", "nothing", "refused: the states belong to none of them"),
    Row(
        "settings of a scheduler, and the lr it starts from",
        "the schedule given now, from where the run stands: as if it had been given from the start",
        "the settings, old and new, and the step it goes on at",
    ),
    Row(
        "interval, frequency or class of a scheduler", "likewise, at the step that follows from the updates", "likewise"
    ),
    Row("a scheduler that is new", "it, at the step that follows from the updates done", "at which step"),
    Row("a scheduler that is gone", "the lr given now, from here on", "that the rate no longer changes"),
    Row(
        "settings of ReduceLROnPlateau, and the lr it starts from",
        "what is given now, with the reductions made so far",
        "old and new value",
    ),
    Row("a schedule that is over before the run stands where it stands", "nothing", "refused"),
    Row("a schedule that cannot be stepped by itself, or two of one optimizer", "nothing", "refused"),
    Row("max_epochs or max_steps below what is done", "nothing", "refused"),
    Row("max_epochs, max_steps, max_time, min_epochs, min_steps", "what is given now", "nothing"),
    Row(
        "a stop that EarlyStopping or a Timer had asked for",
        "their settings now; none if they are not there any more",
        "that training goes on, and why",
    ),
    Row("a stop by trainer.should_stop", "the stop", "who asked for it, and that the fit has ended"),
    Row(
        "EarlyStopping: patience, min_delta, thresholds",
        "what is given now; best score and count of checks go on",
        "the patience, old and new",
    ),
    Row("EarlyStopping: monitor, mode", "what is given now, from the beginning", "that the state is dropped"),
    Row(
        "ModelCheckpoint: save_top_k",
        "what is given now; the worst files go with the next save",
        "how many lose their place",
    ),
    Row(
        "ModelCheckpoint: every_n_train_steps, every_n_epochs, train_time_interval",
        "what is given now; the ranking goes on",
        "that it does",
    ),
    Row(
        "ModelCheckpoint: monitor, mode",
        "what is given now; a new ranking",
        "that files of the other ranking are left alone",
    ),
    Row(
        "StochasticWeightAveraging: swa_lrs, annealing",
        "what is given now; once the averaging has begun, those of the checkpoint",
        "which are kept",
    ),
    Row("ModelCheckpoint: dirpath", "the folder given now", "that files in the old one are left alone"),
    Row(
        "batch size, data set or sampler, in the middle of an epoch",
        "nothing",
        "refused: samples would come twice, or not at all",
    ),
    Row(
        "batches of an epoch (limit_train_batches), in its middle",
        "what is given now, if the epoch is not beyond it",
        "old and new number, or refused",
    ),
    Row("accumulate_grad_batches, within a window", "nothing", "refused: the gradients that wait belong to the other"),
    Row("batch size, data, limits, accumulate_grad_batches, between epochs or windows", "what is given now", "nothing"),
    Row("precision", "what is given now", "old and new"),
    Row("seed", "the random numbers of the checkpoint, which go on", "that the seed given now is not used"),
    Row("what else a Trainer is given", "what is given now", "nothing"),
)
PAGE = Path(__file__).parents[1] / "continuing.md"


def load_callbacks(trainer: Trainer, states: Mapping[str, Any], path: str) -> None:
    """Give each callback its state, or what is left of one that it had under other settings."""
    keys = {callback.state_key for callback in trainer.callbacks}
    orphans = {key: state for key, state in states.items() if key not in keys}
    begun_anew = []
    for callback in trainer.callbacks:
        if not is_overridden(callback, "load_state_dict", Callback):
            continue
        key: str | None = callback.state_key
        if key not in states:
            key = callback._adopts(orphans)
        if key is None:
            begun_anew.append(callback)
            continue
        orphans.pop(key, None)
        with part(path, f"callbacks.{key}"):
            trainer._setup.kept += callback._under_these_settings(key, states[key])
            callback.load_state_dict(states[key])
    for callback in begun_anew:
        for key in orphans:
            if key.partition("{")[0] == type(callback).__qualname__:
                trainer._setup.kept.append(f"{callback.state_key} begins anew: the checkpoint knows {key}")


def take_back_stops(trainer: Trainer, progress: Progress, checkpoint: Mapping[str, Any]) -> None:
    """Leave out stops of callbacks that are not there any more, or would not ask for them with their settings now."""
    states = checkpoint.get("callbacks", {})
    if progress.stops == [SOMEBODY] and "stops" not in checkpoint.get("leyden", {}).get("progress", {}):
        for key, state in states.items():  # of a file from before stops had names
            if isinstance(state, Mapping) and (state.get("stopping_reason") or state.get("stopped")):
                progress.ask_to_stop(SOMEBODY, False)
                progress.ask_to_stop(key)
    callbacks = {callback.state_key: callback for callback in trainer.callbacks}
    for who in [each for each in progress.stops if each not in (MAX_TIME, SOMEBODY)]:
        if who in callbacks and not callbacks[who]._still_stops():
            why = "no longer asks for that with its settings now"
        elif who not in callbacks and who in states:
            why = "is not there any more"
        else:
            continue
        progress.ask_to_stop(who, False)
        trainer._setup.kept.append(f"training goes on: {who}, which had asked for a stop, {why}")


def check_limits(trainer: Trainer, progress: Progress, path: str) -> None:
    """Refuse limits below what is done.

    Raises:
        ConfigurationError: Says how far the checkpoint is.
    """
    for option, limit, done in (
        ("max_epochs", trainer.max_epochs, progress.epochs),
        ("max_steps", trainer.max_steps, progress.updates),
    ):
        if 0 <= limit < done:
            raise ConfigurationError(
                f"{path} was saved in {option.removeprefix('max_').removesuffix('s')} {done}, beyond "
                f"Trainer({option}={limit}). Raise {option} to go on from it."
            )


def compare(trainer: Trainer) -> None:
    """Note what else was typed differently."""
    setup = trainer._setup
    then, now = setup.then, setup.record
    if not then:
        return
    if then["precision"] != now["precision"]:
        setup.kept.append(f"precision={now['precision']}, no longer {then['precision']}")
    if now["seed"] is not None and then["seed"] not in (None, now["seed"]):
        setup.kept.append(f"the random numbers are those of the checkpoint, and not of the seed {now['seed']}")


def check_data(session: Session) -> None:
    """Hold the training loader against the one that the checkpoint stands in the middle of.

    Raises:
        ConfigurationError: If samples would come twice, or not at all; or if an update would mix two windows.
    """
    trainer, progress = session.trainer, session.progress
    setup, path = trainer._setup, trainer.ckpt_path
    then, setup.then = setup.then, None
    if not then:
        return
    if then["limits"] != setup.record["limits"]:
        for config in session.schedulers:
            check_length(trainer, config)
    size = then["accumulate_grad_batches"]
    if progress.pending % size and size != trainer.accumulate_grad_batches:
        raise ConfigurationError(
            f"{path} was saved after {progress.pending} of {size} batches of an update, whose gradients are in it: it "
            f"cannot go on with accumulate_grad_batches={trainer.accumulate_grad_batches}. Take a checkpoint from "
            f"between two updates, or accumulate_grad_batches={size}."
        )
    over = progress.place == "EPOCH_ENDED" or (progress.last and progress.fetched <= progress.batch)
    within = progress.batch > 0 and not over
    before, now = then["loader"], describe_loader(trainer)
    if len(before.get("batch_size", ())) != len(now["batch_size"]):
        return  # the loader itself refuses that
    if not within or before.get("shares") != now["shares"]:
        return
    where = f"{path} was saved in the middle of an epoch, after {progress.batch} batches"
    remedy = "Go on from a checkpoint of the end of an epoch, or with the loader of the checkpoint."
    for key, words in (
        ("batch_size", "batches of {}"),
        ("samples", "a data set of {} samples"),
        ("order", "samples in the order of {}"),
    ):
        if before.get(key, now[key]) != now[key]:
            then_and_now = (words.format(_listed(each[key])) for each in (before, now))
            raise ConfigurationError(
                f"{where}, with {'; now with '.join(then_and_now)}: samples would come twice in this epoch, or not at "
                f"all. {remedy}"
            )
    if before.get("batches") != now["batches"]:
        if now["batches"] is not None and now["batches"] <= progress.batch:
            raise ConfigurationError(f"{where}, but an epoch now ends after {now['batches']}. {remedy}")
        setup.kept.append(f"this epoch ends after {now['batches']} batches, no longer {before.get('batches')}")


def _listed(values: list[Any]) -> str:
    return " and ".join(map(str, values))


def tell(trainer: Trainer) -> None:
    """Say in one warning what became of the settings that the checkpoint was written with."""
    kept, trainer._setup.kept = trainer._setup.kept, []
    if kept:
        lines = "".join(f"\n  {printable(line, 500)}." for line in kept)
        warn_once(f"{trainer.ckpt_path} was written with other settings than these. What was given now counts:{lines}")


def page() -> str:
    """Return the page that shows the table."""
    rows = "".join(f"| {row.key} | {row.wins} | {row.said} |\n" for row in TABLE)
    return (
        "# Going on from a checkpoint with other settings\n\n"
        "One rule for `fit(ckpt_path=...)` and everything that is built on it: what was typed wins. Where state and\n"
        "settings cannot both hold, there is one error before training, or a warning that says what counts. With the\n"
        "settings of the checkpoint a run goes on bit for bit, and nothing is said.\n\n"
        "Whether an option was typed, or changed by training, is told from how optimizers and schedulers were set up\n"
        "when the checkpoint was written, which it holds. A checkpoint of Lightning, or an older one, does not: there\n"
        "the settings of torch's schedulers are read from their states, and other options of optimizers are kept,\n"
        "which is said.\n\n"
        "| setting | what counts | what is said |\n|---|---|---|\n"
        f"{rows}\n"
        "`python -m leyden.engine.continuing` writes this page.\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
