"""A traceback is shortened to the user's own frames and the messages, and whatever it is, it fits a screen."""

import sys
import sysconfig
import traceback

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import leyden
from leyden import tracebacks
from leyden.errors import ConfigurationError


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.delenv(tracebacks.VARIABLE, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def raised(function):
    """Call *function*, and return what it raises."""
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("filename", "own"),
    [
        (__file__, True),
        ("/home/ada/leyden/model.py", True),
        ("/home/ada/digits/model.py", True),
        ("model.py", True),
        (leyden.__file__, False),
        (torch.__file__, False),
        (traceback.__file__, False),
        (f"{sysconfig.get_path('scripts')}/leyden", False),
        ("/opt/venv/lib/python3.12/site-packages/torch/nn/modules/linear.py", False),
        ("/usr/lib/python3/dist-packages/yaml/__init__.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("<string>", False),
    ],
)
def test_a_file_is_ones_own_or_a_library_s(filename, own):
    assert tracebacks.is_own(filename) is own


def test_frames_inside_of_a_library_become_one_line():
    error = raised(lambda: torch.nn.functional.cross_entropy(torch.zeros(2, 3), torch.zeros(5, dtype=torch.long)))

    said = tracebacks.told(error)

    assert "test_tracebacks.py" in said
    assert "more below, down to" in said
    assert "torch/nn/functional.py" in said
    assert str(error) in said


def test_where_nothing_is_ones_own_the_end_of_the_traceback_is_shown():
    trace = "".join(
        f'  File "/v/lib/python3.12/site-packages/torch/a.py", line {at}, in f{at}\n    g()\n' for at in range(9)
    )
    said = tracebacks.shortened(f"Traceback (most recent call last):\n{trace}ValueError: x\n")

    assert [f"in f{at}" in said for at in range(9)] == [False] * 6 + [True] * 3
    assert said.endswith("ValueError: x")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=900), st.integers(1, 30), st.sampled_from(["from", "while", "group"])),
        min_size=1,
        max_size=9,
    )
)
def test_no_exception_takes_more_than_its_part_of_a_screen(chain):
    error = None
    for message, depth, how in chain:
        error = raised(lambda: nested(depth, message, how, error))  # noqa: B023 - called at once

    said = tracebacks.told(error)

    rows = sum(max(1, -(-len(line) // 80)) for line in said.split("\n"))
    assert rows <= 17
    assert "test_tracebacks.py" in said
    assert type(error).__name__ in said


def nested(depth, message, how, before):
    if depth > 1:
        return nested(depth - 1, message, how, before)
    if before is not None and how == "group":
        raise ExceptionGroup(message, [before, KeyError(message)]) if isinstance(before, Exception) else before
    if how == "from":
        raise ValueError(message) from before
    try:
        if before is not None:
            raise before
    finally:
        raise OSError(message)


def test_everything_is_as_python_writes_it_where_it_is_asked_for(monkeypatch):
    error = raised(lambda: nested(20, "all of it", "from", KeyError("cause")))
    monkeypatch.setenv(tracebacks.VARIABLE, "full")

    assert tracebacks.told(error) == "".join(traceback.format_exception(error)).rstrip()


def test_the_flag_is_taken_out_of_the_words_and_inherited(monkeypatch):
    monkeypatch.setenv(tracebacks.VARIABLE, "short")

    assert tracebacks.taken(["seed=1", "--traceback", "full", "-m"]) == ["seed=1", "-m"]
    assert tracebacks.full()
    assert tracebacks.taken(["--traceback=short"]) == []
    assert not tracebacks.full()
    for wrong in (["--traceback"], ["--traceback", "seed=1"], ["--traceback=FULL"]):
        with pytest.raises(ConfigurationError, match="expected full or short"):
            tracebacks.taken(wrong)


def test_what_to_do_next_is_the_last_thing_said(capsys):
    error = raised(lambda: nested(1, "mine\x1b[2J", "from", None))
    tracebacks.followed_by(error, "\nrun directory  runs/x")

    tracebacks._uncaught(type(error), error, error.__traceback__)

    said = capsys.readouterr().err
    assert said.endswith("ValueError: mine\\x1b[2J\n\nrun directory  runs/x\n")


def test_the_place_of_an_error_is_the_last_line_of_ones_own():
    error = raised(lambda: torch.load("/there/is/no/such/file"))

    assert tracebacks.place(error).split(":")[0].endswith("test_tracebacks.py")
    assert tracebacks.place(ValueError()) == "an unknown place"
    assert sys.exc_info() == (None, None, None)
