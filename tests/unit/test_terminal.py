"""Nothing that came out of a file commands a terminal, and what people write stays readable."""

import io
import json
import sys
from pathlib import Path

import pytest

import leyden
from leyden.cli.main import main
from leyden.terminal import LONGEST, Decoder, PlainStream, as_json, complain, plain_output, printable, printable_lines

HOSTILE = {
    "cleared screen": "\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;bHM=\x1b\\",
    "hyperlink": "\x1b]8;;http://x\x1b\\y",
    "device control": "\x1bP$q\x1b\\",
    "colour": "\x1b[31m",
    "C1 introducer": "\x9b31m",
    "C1 command": "\x9d0;owned\x9c",
    "next line": "\x85",
    "bell": "\x07",
    "backspaces": "good\b\b\b\bevil",
    "form feed": "\x0c",
    "null": "\0",
    "delete": "\x7f",
    "shift out": "\x0e",
    "right to left override": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "zero width no-break": "\ufeff",
    "soft hyphen": "\xad",
    "tag": "\U000e0041",
    "byte that is no UTF-8": "\udc9b",
    "private use": "\ue000",
    "invisible operator": "\u2063",
}
LEGITIMATE = [
    "père",
    "日本語",
    "Ελλάδα",
    "עברית",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "👨\u200d👩\u200d👧",
    "café\u0301",
    "a\xa0b",
    "─│ µ ∂ ≤",
    "x" * 300,
]


def commands(text, allowed=""):
    """Return the letters of *text* that could command a terminal."""
    return [each for each in text if not each.isprintable() and each not in "\u200c\u200d\xa0" + allowed]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_shown_and_not_obeyed(text):
    assert commands(printable(f"run {text} end")) == []
    assert commands(printable_lines(f"run {text} end"), "\n\t") == []
    assert printable(f"run {text} end").startswith("run ")
    assert "\n" not in printable(text)


@pytest.mark.parametrize("text", LEGITIMATE)
def test_what_people_write_is_not_changed(text):
    assert printable(text) == text
    assert printable_lines(f"{text}\n\t{text}\n") == f"{text}\n\t{text}\n"


def test_an_escape_can_be_read():
    assert printable("\x1b[2J \x9b \u202e \U000e0041 a\nb") == "\\x1b[2J \\x9b \\u202e \\U000e0041 a b"


def test_a_carriage_return_writes_over_nothing():
    assert printable_lines("evil\rgood\r\nnext") == "evil\ngood\nnext"
    assert printable("evil\rgood") == "evil\\x0dgood"


def test_long_lines_are_cut_and_short_ones_beside_them_are_not():
    assert printable("x" * (LONGEST + 5)) == "x" * LONGEST + "… (5 letters more)"
    assert printable_lines("short\n" + "x" * (LONGEST + 1)) == "short\n" + "x" * LONGEST + "… (1 letters more)"


def test_json_for_programs_says_the_same_and_holds_no_command():
    value = {"name": "".join(HOSTILE.values())}

    assert commands(as_json(value), "\n") == []
    assert json.loads(as_json(value)) == value


@pytest.mark.parametrize("text", [*HOSTILE.values(), "👨\u200d👩 日本語\r\nnext\rlast\n"], ids=[*HOSTILE, "legitimate"])
def test_a_log_that_is_cut_at_any_byte_is_shown_as_if_it_had_not_been(text):
    content = f"begin {text} end\n".encode("utf-8", "surrogateescape")
    whole = Decoder().text(content, last=True)

    assert commands(whole, "\n") == []
    for at in range(len(content) + 1):
        decoder = Decoder()
        assert decoder.text(content[:at]) + decoder.text(content[at:], last=True) == whole


def test_raw_control_bytes_of_a_log_do_not_get_through():
    assert commands(Decoder().text(bytes(range(256)) * 2, last=True), "\n\t") == []


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        """Tell so."""
        return True


def test_the_second_wall_lets_colours_through_to_a_terminal_only():
    screen, file = Screen(), io.StringIO()
    for below in (screen, file):
        PlainStream(below).write("\x1b[31mred\x1b[0m \x1b[2J\x9b\tend\n")

    assert screen.getvalue() == "\x1b[31mred\x1b[0m \\x1b[2J\\x9b\tend\n"
    assert commands(file.getvalue(), "\n\t") == []


def test_the_second_wall_is_taken_down_again():
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), plain_output():
        raise KeyError

    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    "verb", ["runs show", "runs logs", "runs diff", "runs pin", "jobs why", "jobs logs", "report", "reproduce"]
)
def test_a_hostile_name_does_not_command_the_terminal_that_reads_the_error(verb, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    main([*verb.split(), "".join(text for text in HOSTILE.values() if "\0" not in text)])

    out, err = capfd.readouterr()
    assert commands(out + err, "\n") == []


@pytest.mark.parametrize("verb", ["runs ls", "runs show", "jobs", "jobs why", "report", "reproduce"])
def test_what_argparse_prints_of_a_command_line_stops_at_the_second_wall(verb, capfd):
    with pytest.raises(SystemExit):
        main([*verb.split(), "--limit=\x1b[2J\x9b", "--rank=\x1b]0;x\x07", "-n", "\x1b[2J"])

    out, err = capfd.readouterr()
    assert "usage" in err
    assert commands(out + err, "\n") == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_error_is_shown_and_not_obeyed(text, capsys):
    complain(f"no {text} here")

    assert commands(capsys.readouterr().err, "\n") == []


def test_errors_are_printed_in_one_way():
    """`print(error)` stands nowhere: it would repeat what a file holds as it is."""
    root = Path(leyden.__file__).parent
    printed = [path.name for path in root.rglob("*.py") if "print(error" in path.read_text()]

    assert printed == []
