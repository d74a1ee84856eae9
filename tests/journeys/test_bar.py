"""On a terminal of 80 columns each epoch leaves a line, and whatever else is written stands above the bar, whole."""

import re

import pytest

from tests.journeys.screen import Screen, seen

SAY = """
import logging
import sys
import warnings
import leyden
log = logging.getLogger(__name__)
own = logging.getLogger("apart")
own.addHandler(logging.StreamHandler())
own.propagate = False
class Say(leyden.Callback):
    def on_train_epoch_end(self, trainer, module):
        log.info("LOGGED %d", trainer.current_epoch)
        own.warning("APART %d", trainer.current_epoch)
        print("PRINTED", trainer.current_epoch)
        print("COMPLAINED", trainer.current_epoch, file=sys.stderr)
        warnings.warn(f"WARNED {trainer.current_epoch}")
    def on_train_batch_start(self, trainer, module, batch, index):
        if index == 3:
            log.info("MIDDLE %d", trainer.current_epoch)
            print("BETWEEN", trainer.current_epoch)
"""
SAID = ("LOGGED", "APART", "PRINTED", "COMPLAINED", "WARNED", "MIDDLE", "BETWEEN")
EPOCHS = 4


@pytest.fixture
def project(tmp_path):
    (tmp_path / "say.py").write_text(SAY)
    return tmp_path


def trained(folder, *words, width=80):
    return seen(folder, "train", f"trainer.max_epochs={EPOCHS}", "+callbacks.say._target_=say.Say", *words, width=width)


def alone(rows, word, epoch):
    """Return the rows with what *word* has said in an epoch; Hydra and Python may have written a prefix."""
    return [row for row in rows if re.search(rf"(^|\W){word} {epoch}$", row)]


@pytest.mark.parametrize("width", [80, 140])
def test_every_line_is_there_once_and_one_for_each_epoch_stays(project, width):
    rows = trained(project, width=width)

    for word in SAID:
        for epoch in range(EPOCHS):
            (row,) = alone(rows, word, epoch)
            assert "━" not in row
            assert "Epoch" not in row
    for epoch in range(EPOCHS):
        (row,) = (row for row in rows if row.startswith(f"Epoch {epoch}/{EPOCHS - 1}"))
        assert re.fullmatch(
            r"Epoch \d/\d  20/20  \d:\d\d:\d\d  train_loss: \d\.\d{3} val_loss: \d\.\d{3} val_acc: .*", row
        )
    assert "oard" not in "\n".join(rows)
    assert sum("Sanity Checking" in row for row in rows) == 0
    assert max(map(len, rows)) <= width


def test_where_the_run_lies_is_the_first_thing_said_and_the_last(project):
    rows = [row for row in trained(project) if row]

    (run,) = (project / "runs" / "digits_mlp").iterdir()
    assert rows[0] == f"directory      runs/digits_mlp/{run.name}"
    assert rows[-1] == f"run directory  runs/digits_mlp/{run.name}"


def test_the_bar_of_tqdm_is_not_torn_by_log_messages_either(project):
    rows = trained(project, "callbacks.progress_bar._target_=leyden.callbacks.TQDMProgressBar")

    for word in ("LOGGED", "APART", "MIDDLE"):
        for epoch in range(EPOCHS):
            (row,) = alone(rows, word, epoch)
            assert "it/s" not in row


def test_handlers_have_their_own_streams_again_after_an_exception(project):
    (project / "fails.py").write_text(
        "import logging, sys, leyden\n"
        "held = logging.StreamHandler(sys.stdout)\nlogging.getLogger('held').addHandler(held)\nbefore = held.stream\n"
        "class Fails(leyden.Callback):\n"
        "    def on_train_epoch_start(self, trainer, module):\n"
        "        print('LED', held.stream is not before)\n"
        "    def on_train_epoch_end(self, trainer, module):\n"
        "        raise RuntimeError('MINE')\n"
        "    def teardown(self, trainer, module, stage):\n"
        "        print('RESTORED', held.stream is before)\n"
        "    def on_exception(self, trainer, module, exception):\n"
        "        logging.getLogger().error('AT THE END')\n"
    )

    rows = seen(project, "train", "+callbacks.fails._target_=fails.Fails", code=1)

    assert any(row.endswith("AT THE END") for row in rows)
    assert "RuntimeError: MINE" in rows
    assert "LED True" in rows
    assert "RESTORED True" in rows


def test_the_screen_of_these_tests_does_what_a_terminal_does():
    screen = Screen(10)

    screen.feed("one\ntwo\r\x1b[1A\x1b[2Knew\x1b[K\nabcdefghijklm\x1b[31m!\x1b[0m\x1b[?25l\x08?")

    assert screen.rows == ["new", "abcdefghij", "klm?"]
