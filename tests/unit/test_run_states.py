"""The words for the states of a run stand as literals in one file: the enum's."""

import ast
from pathlib import Path

import pytest

import leyden
from leyden.runs.record.state import ENDED, EXECUTED, OVER, PENDING, UNSETTLED, Outcome, RunState

SOURCE = Path(leyden.__file__).parent
WORDS = {*RunState, *Outcome}


def words_in(code):
    """Return the state words that are constants of *code*, docstrings apart."""
    tree = ast.parse(code)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    found = [node for node in constants if isinstance(node.value, str) and node.value in WORDS]
    return [node.value for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))]


def test_no_other_file_spells_out_a_state():
    files = sorted(SOURCE.rglob("*.py"))
    enum = SOURCE / "runs/record/state.py"

    assert enum in files
    assert {file: found for file in files if file != enum and (found := words_in(file.read_text("utf-8")))} == {}


def test_the_enum_spells_out_each_word_once():
    found = words_in((SOURCE / "runs/record/state.py").read_text("utf-8"))

    assert sorted(found) == sorted(WORDS)


def test_a_state_word_anywhere_but_in_a_docstring_is_found():
    code = '"""finished"""\nx = {"a": ["failed"]}\ndef f(y="dead"):\n    "silent"\n    return y == "queued"\n'

    assert words_in(code) == ["failed", "dead", "queued"]


@pytest.mark.parametrize("word", ["", "exploded", "Running", None, 3, ["running"], {"a": 1}])
def test_anything_else_is_no_known_state(word):
    assert RunState.of(word) is RunState.UNKNOWN


@pytest.mark.parametrize("state", list(RunState))
def test_a_state_is_known_by_its_word(state):
    assert RunState.of(str(state)) is state


def test_each_way_an_attempt_ends_but_requeued_leaves_the_run_in_the_state_of_that_name():
    assert {RunState.of(each) for each in Outcome if each is not Outcome.REQUEUED} == OVER


def test_the_sets_of_states_cover_all_states():
    assert ENDED | PENDING | EXECUTED | {RunState.UNKNOWN} == set(RunState)
    assert set(RunState) == OVER | UNSETTLED
    assert not OVER & UNSETTLED
