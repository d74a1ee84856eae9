"""What differs between two manifests is listed, the worst first, and judged."""

from __future__ import annotations

import pytest

from leyden.runs.difference import ABSENT, Effect, differences, effect, table

THEN = {
    "created": "2026-01-01",
    "argv": ["leyden", "train"],
    "code": {"hash": "aa", "commit": "c1"},
    "environment": {
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "rich": "15.0"},
        "threads": {"intra": 2},
        "cpu": {"model": "a", "capability": "AVX2", "cores": 2},
    },
    "seeds": {"seed": 0},
}


def changed(**parts):
    return {**THEN, **parts}


def test_equal_manifests_differ_in_nothing():
    assert differences(THEN, changed(created="2027-01-01", argv=["leyden", "run"])) == []


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("code.hash", Effect.MAY),
        ("code.commit", Effect.HARMLESS),
        ("environment.torch.version", Effect.BREAKS),
        ("environment.packages.torch", Effect.BREAKS),
        ("environment.packages.rich", Effect.MAY),
        ("environment.threads.intra", Effect.BREAKS),
        ("environment.cpu.capability", Effect.BREAKS),
        ("environment.cpu.model", Effect.MAY),
        ("determinism.cudnn_benchmark", Effect.BREAKS),
        ("data.train.sha256", Effect.BREAKS),
        ("loaders.train.num_workers", Effect.MAY),
        ("loaders.train.batch_size", Effect.BREAKS),
        ("something.new", Effect.MAY),
    ],
)
def test_every_kind_of_difference_is_judged(key, meaning):
    assert effect(key) is meaning


def test_the_worst_comes_first_with_both_values():
    environment = {**THEN["environment"], "packages": {"torch": "2.13.0", "new": "1"}, "threads": {"intra": 1}}

    found = differences(THEN, changed(environment=environment, code={"hash": "aa", "commit": "c2"}))

    assert [(each.key, each.then, each.now) for each in found] == [
        ("environment.threads.intra", 2, 1),
        ("environment.packages.new", ABSENT, "1"),
        ("environment.packages.rich", "15.0", ABSENT),
        ("code.commit", "c1", "c2"),
    ]


def test_only_the_parts_asked_for_are_compared():
    other = changed(seeds={"seed": 1}, code={"hash": "bb"})

    assert [each.key for each in differences(THEN, other, ("seeds",))] == ["seeds.seed"]


def test_the_table_has_a_line_for_each_and_says_so_if_there_is_none():
    shown = table(differences(THEN, changed(seeds={"seed": 1}))).splitlines()

    assert shown[0].split() == ["then", "now"]
    assert shown[1].split() == ["breaks", "exactness", "seeds.seed", "0", "1"]
    assert table([]) == "nothing differs between then and now"
