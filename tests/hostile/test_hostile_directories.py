"""Whatever a run directory of a stranger holds, and whichever command meets it: nothing of it happens."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from tests.hostile.arena import VERBS, Attack, Kind

HERE = Path(__file__).parent
TABLES = [import_module(f"tests.hostile.{file.stem}") for file in sorted(HERE.glob("attacks_*.py"))]
ATTACKS: list[Attack] = [attack for table in TABLES for attack in table.ATTACKS]
USUAL = {
    "reproduce --code": 2,
    "queue ROOT": 2,
    "jobs logs --job": 2,
}  # exit codes for a harmless run: no git here, no job; 0 otherwise
ROWS = [row for attack in ATTACKS for row in attack.rows()]


@pytest.mark.parametrize(("attack", "verb"), ROWS, ids=[f"{attack.name}-{verb}" for attack, verb in ROWS])
def test_nothing_of_it_happens(attack, verb, arena, tmp_path):
    arena.attempt(attack, verb, tmp_path / "sandbox")


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_is_harmless_is_dealt_with(verb, arena, tmp_path):
    harmless = Attack("harmless", Kind.DAMAGED, lambda run, sandbox: sandbox.queue(run), harmless_to=(verb,))

    code, printed = arena.attempt(harmless, verb, tmp_path / "sandbox")

    assert code == USUAL.get(verb, 0), printed


def test_every_attack_has_a_name_of_its_own_and_names_its_wall():
    names = Counter(attack.name for attack in ATTACKS)

    assert [name for name, count in names.items() if count > 1] == []
    assert [attack.name for attack in ATTACKS if not attack.wall or not attack.rows()] == []


def test_every_verb_named_is_one():
    assert {verb for _, verb in ROWS} - VERBS.keys() == set()
