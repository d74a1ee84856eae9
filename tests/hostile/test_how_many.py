"""The tables of hostile directories are as large as they are said to be: at least ten attacks of each kind."""

from __future__ import annotations

from collections import Counter

from tests.hostile import test_damaged_files as damaged
from tests.hostile.arena import VERBS, Kind
from tests.hostile.test_hostile_directories import ATTACKS, ROWS
from tests.journeys.test_planted_secrets import PLANTED


def test_there_are_ten_of_each_kind_and_150_in_all():
    kinds = Counter(attack.kind for attack in ATTACKS)
    kinds[Kind.DAMAGED] += len(damaged.NAMES) * len(damaged.DAMAGES)
    kinds[Kind.SECRETS] += len(PLANTED)

    assert {kind: count for kind, count in kinds.items() if count < 10} == {}
    assert set(kinds) == set(Kind)
    assert len(ATTACKS) >= 150


def test_every_verb_meets_attacks():
    assert {verb for _, verb in ROWS} | {"queue ROOT"} == set(VERBS)
