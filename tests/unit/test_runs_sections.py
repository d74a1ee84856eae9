"""Configs are read as OmegaConf reads them, a shared part once, and nothing in them is obeyed."""

import math

import pytest

from leyden.config.frozen import dump, load
from leyden.errors import RunError
from leyden.runs.sections import RUN_DIR, Sections, flat, parse
from tests.run_directories import CONFIG, placed

ODD = {
    "numbers": [1, -2, 1e-08, 1e3, 0.1, 10.0, 1e300, math.inf, -math.inf, 12345678901234567890],
    "texts": [
        "1",
        "1e-3",
        "true",
        "null",
        "",
        " x ",
        "a: b",
        "- c",
        "# d",
        "2026-11-22",
        "0x1f",
        "1_000",
        "~",
        "on",
        "é",
    ],
    "words": {"yes": True, "no": False, "nothing": None, "deep": {"deeper": {}, "list": []}},
    "long": "many words " * 30,
    "lines": "one\ntwo\n\nthree\n",
    "0": {"1": "keys that look like numbers"},
}


def test_values_are_those_that_omegaconf_reads(tmp_path):
    (tmp_path / "config.yaml").write_text(dump(ODD))
    sections = Sections()

    found = sections.values(sections.read(dump(ODD)))

    expected: dict = {}
    for top, part in load(tmp_path / "config.yaml").items():
        expected |= flat(part, top)
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "1e-3",
        "1E5",
        "-1.5e3",
        "1_0.5",
        "1_0e2",
        "1.5",
        "-.5",
        "+3.0e-2",
        ".inf",
        "12",
        "0.",
        "true",
        "2026-11-22",
        "1:30",
    ],
)
def test_what_is_typed_by_hand_means_what_it_means_in_a_config(text, tmp_path):
    (tmp_path / "config.yaml").write_text(f"x: {text}\n")

    assert parse(text) == load(tmp_path / "config.yaml")["x"]


def test_a_part_that_runs_share_is_kept_once():
    sections = Sections()

    first = sections.read(dump(placed(CONFIG, "/runs/a")))
    second = sections.read(dump(placed({**CONFIG, "seed": 5}, "/runs/b")))

    assert {top for top in first if first[top] != second[top]} == {"seed"}
    assert sections.values(second)["callbacks.model_checkpoint.dirpath"] == f"{RUN_DIR}/checkpoints"


def test_going_on_with_kept_rows_parses_nothing_again():
    sections = Sections()
    numbers = sections.read(dump(placed(CONFIG, "/runs/a")))

    again = Sections(sections.rows)

    assert again.read(dump(placed(CONFIG, "/runs/c"))) == numbers


def test_a_text_that_cannot_be_cut_where_lines_begin_is_read_as_a_whole():
    text = 'a: "begins\n\nb: goes on"\nc: 1\n'

    found = Sections()

    assert found.values(found.read(text)) == {"a": "begins\nb: goes on", "c": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1, 2]\nb: *x\n", "alias"),
        ("a: &a [x]\nb: &b [*a,*a]\n", "alias"),
        ("a: !!python/object/apply:os.system [touch hacked]\n", "python/object"),
        ("- 1\n- 2\n", "not the mapping"),
        ("a: [1\n", "expected"),
        ("a: 1\n" * 1_000_000, "characters"),
        ("a: " + "[" * 100_000, "nested"),
        ("a:\n" + "\n".join(" " * depth + "a:" for depth in range(1, 300)), "nested"),
    ],
)
def test_what_no_config_holds_is_refused(text, said, tmp_path):
    with pytest.raises(RunError, match=said):
        Sections().read(text)

    assert list(tmp_path.iterdir()) == []
