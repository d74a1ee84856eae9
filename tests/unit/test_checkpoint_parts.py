"""Whatever part of a checkpoint is not what it should be: one clear error that names the file and the part."""

from __future__ import annotations

import copy
import sys

import pytest
import torch

from leyden import Trainer
from leyden.cli.main import main
from leyden.contents import check
from leyden.engine.extent import check_sizes
from leyden.errors import CheckpointError, DamagedCheckpointError
from leyden.loading import read
from leyden.testing import TinyData, TinyModule
from tests.stopped_runs import copied, outcome, stopped

DEEP: list = []
for _ in range(3000):
    DEEP = [DEEP]
GONE = object()
MODEL = "ModelCheckpoint{'monitor': None, 'mode': 'min', 'every_n_train_steps': 4, 'every_n_epochs': 0, 'train_time_interval': None}"  # noqa: E501
COUNTERS = [("leyden", "progress", name) for name in ("epochs", "batch", "batches", "updates", "windows", "pending")]
PARTS = [
    ("epoch",), ("global_step",), ("state_dict",), ("state_dict", "layers.0.weight"), ("optimizer_states",),
    ("optimizer_states", 0), ("optimizer_states", 0, "state"), ("optimizer_states", 0, "param_groups"),
    ("optimizer_states", 0, "param_groups", 0), ("optimizer_states", 0, "param_groups", 0, "lr"),
    ("optimizer_states", 0, "param_groups", 0, "betas"), ("optimizer_states", 0, "state", 0),
    ("optimizer_states", 0, "state", 0, "exp_avg"), ("optimizer_states", 0, "state", 0, "step"),
    ("lr_schedulers",), ("lr_schedulers", 0), ("lr_schedulers", 0, "last_epoch"), ("lr_schedulers", 0, "base_lrs"),
    ("callbacks",), ("callbacks", "Fingerprint"), ("callbacks", MODEL), ("loops",), ("hyper_parameters",),
    ("leyden",), ("leyden", "progress"), *COUNTERS, ("leyden", "progress", "place"), ("leyden", "progress", "last"),
    ("leyden", "progress", "seconds"), ("leyden", "rng"), ("leyden", "rng", "torch"), ("leyden", "rng", "numpy"),
    ("leyden", "rng", "python"), ("leyden", "loader"), ("leyden", "metrics"), ("leyden", "metrics", "training"),
    ("leyden", "metrics", "callback"), ("leyden", "metrics", "objects"), ("leyden", "gradients"),
    ("leyden", "loggers"), ("leyden", "loggers", 0), ("leyden", "run"), ("leyden", "run", "attempt"),
]  # fmt: skip
COUNTS = [("epoch",), ("global_step",), *COUNTERS, ("leyden", "run", "attempt"), ("lr_schedulers", 0, "last_epoch")]
ROWS = [
    *((part, "a text", "x") for part in PARTS if part[-1] != "place"),
    *((part, "nothing", None) for part in PARTS if part[-1] != "seconds"),
    *((part, "3,000 lists in each other", DEEP) for part in PARTS[::5]),
    *((part, "a negative number", -7) for part in COUNTS),
    *((part, "not a number", float("nan")) for part in COUNTS),
    (("leyden", "progress", "place"), "another place", "NOWHERE"),
    (("leyden", "progress", "seconds"), "not a number", float("nan")),
    (("state_dict", "layers.0.weight"), "another shape", torch.zeros(1)),
    (("optimizer_states", 0, "state", 0, "exp_avg"), "another shape", torch.zeros(3)),
    (("optimizer_states", 0, "state", 0, "exp_avg"), "missing", GONE),
    (("optimizer_states", 0, "state", 0, "step"), "missing", GONE),
    (("optimizer_states", 0, "param_groups", 0, "lr"), "missing", GONE),
    (("lr_schedulers",), "missing", GONE),
    (("lr_schedulers", 0, "last_epoch"), "missing", GONE),
    (("leyden", "rng"), "missing", GONE),
    (("leyden", "rng", "numpy"), "missing", GONE),
    (("leyden", "rng", "torch"), "another shape", bytes(3)),
    (("leyden", "metrics"), "missing", GONE),
    (("leyden", "loader"), "missing", GONE),
    (("leyden", "progress", "batch"), "missing", GONE),
    (("leyden", "gradients"), "of something else", {"layers.0.weight": torch.zeros(1)}),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run that has stopped, with a scheduler, so that every part is there."""
    return stopped(tmp_path_factory.mktemp("parts") / "run", "scheduler=cosine")


@pytest.fixture(scope="module")
def content(original):
    return torch.load(original / "checkpoints" / "last.ckpt", weights_only=True)


def damaged(content, part, value):
    found = copy.copy(content)
    node = found
    for key in part[:-1]:
        node[key] = copy.copy(node[key])
        node = node[key]
    if value is GONE:
        del node[part[-1]]
    else:
        node[part[-1]] = value
    return found


def save(value, path):
    """Write what is nested deeper than Python goes down by itself."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        torch.save(value, path)
    finally:
        sys.setrecursionlimit(limit)


IDS = [f"{'.'.join(map(str, part))[:60]} {what}" for part, what, _ in ROWS]


@pytest.mark.parametrize(("part", "what", "value"), ROWS, ids=IDS)
def test_a_run_whose_checkpoint_is_not_what_it_should_be_says_which_part_of_which_file(
    part, what, value, original, content, tmp_path, capsys
):
    run = copied(original, tmp_path / "run")
    for path in (run / "checkpoints").glob("*.ckpt"):
        save(damaged(content, part, value), path)
    capsys.readouterr()

    code = main(["run", str(run)])

    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert code == 2, said
    assert ".ckpt" in said
    assert str(part[0]) in said
    assert "its part" in said or "the weights in" in said


def test_the_original_is_fine(original, content, tmp_path):
    run = copied(original, tmp_path / "run")
    check(content, "last.ckpt")

    assert main(["run", str(run)]) == 0


def emptied(value):
    return type(value)() if isinstance(value, (dict, list)) else ()


def gone(value):
    return GONE


def containers(value, path=(), deepest=6):
    """Yield the paths of all mappings and lists that hold something."""
    if not isinstance(value, (dict, list, tuple)) or not value or len(path) > deepest:
        return
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from containers(item, (*path, key), deepest)


def at(content, part):
    for key in part:
        content = content[key]
    return content


def is_refused(checkpoint, part):
    try:
        check(checkpoint, "last.ckpt")
        check_sizes(checkpoint, "last.ckpt")
    except DamagedCheckpointError as error:
        return "last.ckpt cannot be used: its part" in str(error) and str(part[0]) in str(error)
    return False


def doubtful(content, change):
    """Return the parts that a look at the checkpoint alone does not refuse.

    Left out are ``loops``, which is for Lightning, and ``leyden``, without which it is none of ours.
    """
    parts = [part for part in containers(content) if part[0] != "loops" and part != ("leyden",)]
    found = [part for part in parts if not is_refused(damaged(content, part, change(at(content, part))), part)]
    assert len(found) < len(parts) / 3
    return found


@pytest.mark.filterwarnings(
    "ignore:Checkpoint directory", "ignore:.*metrics.csv is from an earlier run"
)  # it begins anew
@pytest.mark.parametrize("change", [emptied, gone])
def test_a_part_that_was_emptied_is_refused_by_name_or_the_run_ends_as_it_would_have(
    change, original, content, tmp_path, capsys
):
    whole = copied(original, tmp_path / "whole")
    assert main(["run", str(whole)]) == 0
    wrong = {}
    for number, part in enumerate([("loops",), *doubtful(content, change)]):
        run = copied(original, tmp_path / f"run{number}")
        for path in (run / "checkpoints").glob("*.ckpt"):
            torch.save(damaged(content, part, change(at(content, part))), path)
        capsys.readouterr()
        code = main(["run", str(run)])
        said = capsys.readouterr().err
        refused = code == 2 and ".ckpt" in said and any(each in said for each in REFUSED) and "Traceback" not in said
        if not refused and (code != 0 or outcome(run) != outcome(whole)):
            wrong[".".join(map(str, part))] = (code, said[-300:])
    assert not wrong


REFUSED = (
    "its part",
    "Missing key(s) in state_dict",
    "the key 'state_dict' is missing",
    "is a checkpoint that no run has written",
)


class Forgetting(TinyModule):
    """A module that leaves the states of its optimizers out on purpose, when saving or when loading."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def on_save_checkpoint(self, checkpoint):
        if self.when == "save":
            checkpoint["optimizer_states"][0]["state"] = {}

    def on_load_checkpoint(self, checkpoint):
        if self.when == "load":
            checkpoint["optimizer_states"][0]["state"] = {}


@pytest.mark.parametrize("when", ["save", "load"])
def test_what_a_hook_takes_out_is_left_out_on_purpose(when, tmp_path):
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_epochs=1, **off)
    trainer.fit(Forgetting(when), datamodule=TinyData())
    trainer.save_checkpoint(tmp_path / "some.ckpt")

    Trainer(max_epochs=2, **off).fit(Forgetting(when), datamodule=TinyData(), ckpt_path=tmp_path / "some.ckpt")


def test_a_checkpoint_from_before_parts_were_counted_is_taken(original, content, tmp_path):
    whole, run = (copied(original, tmp_path / name) for name in ("whole", "run"))
    for path in (run / "checkpoints").glob("*.ckpt"):
        torch.save(damaged(content, ("leyden", "sizes"), GONE), path)

    assert [main(["run", str(each)]) for each in (whole, run)] == [0, 0]
    assert outcome(run) == outcome(whole)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
@pytest.mark.parametrize(("part", "value"), [(("state_dict",), "x"), (("leyden",), 3), (("callbacks",), [1])])
def test_what_only_looks_at_a_run_refuses_it_likewise(command, part, value, original, content, tmp_path, capsys):
    run = copied(original, tmp_path / "run")
    for path in (run / "checkpoints").glob("*.ckpt"):
        save(damaged(content, part, value), path)
    capsys.readouterr()

    assert main([command, str(run)]) == 2
    said = capsys.readouterr().err
    assert f"its part '{part[0]}'" in said
    assert "Traceback" not in said


def test_a_script_hears_of_it_as_well(tmp_path):
    module = TinyModule()
    trainer = Trainer(max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(module, datamodule=TinyData())
    trainer.save_checkpoint(tmp_path / "good.ckpt")
    found = torch.load(tmp_path / "good.ckpt", weights_only=True)
    found["leyden"]["progress"]["batch"] = "x"
    torch.save(found, tmp_path / "bad.ckpt")

    with pytest.raises(DamagedCheckpointError, match=r"bad\.ckpt cannot be used: its part 'leyden\.progress\.batch'"):
        Trainer(max_epochs=2, logger=False).fit(TinyModule(), datamodule=TinyData(), ckpt_path=tmp_path / "bad.ckpt")


class Stubborn(TinyModule):
    """A module whose own hook fails."""

    def on_load_checkpoint(self, checkpoint):
        raise KeyError("of my own")


def test_an_error_of_the_users_own_code_stays_what_it_is(tmp_path):
    trainer = Trainer(max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(TinyModule(), datamodule=TinyData())
    trainer.save_checkpoint(tmp_path / "good.ckpt")

    with pytest.raises(KeyError, match="of my own"):
        Trainer(max_epochs=2, logger=False).fit(Stubborn(), datamodule=TinyData(), ckpt_path=tmp_path / "good.ckpt")


@pytest.mark.parametrize("value", [1, "x", [1]])
def test_a_file_that_holds_no_mapping_is_no_checkpoint(value, tmp_path):
    torch.save(value, tmp_path / "odd.ckpt")

    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read(tmp_path / "odd.ckpt")
