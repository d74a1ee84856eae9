"""A command ends as what it did ended, whatever becomes of its output: reader, terminal, disk and encoding."""

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from leyden.cli import streams
streams.endure()
for _ in range(20000):
    print("a line of a table")
print("─ · ä €", flush=True)
print("complaint ─", file=sys.stderr)
open("done", "w").write(str(streams.reader_gone()))
"""


def start(folder, program=PROGRAM, **options):
    environment = {**os.environ, **options.pop("variables", {})}
    (folder / "program.py").write_text(program, "utf-8")
    return subprocess.Popen([sys.executable, "program.py"], cwd=folder, env=environment, **options)


def test_a_reader_that_goes_away_changes_nothing(tmp_path):
    process = start(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    first = process.stdout.readline()
    process.stdout.close()
    with process.stderr as errors:
        complaint = errors.read().decode()

    assert process.wait(60) == 0
    assert (first, (tmp_path / "done").read_text()) == (b"a line of a table\n", "True")
    assert complaint == "complaint ─\n"


def test_a_reader_of_errors_that_goes_away_changes_nothing(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)

    process = start(tmp_path, stdout=writing, stderr=writing)
    os.close(writing)

    assert process.wait(60) == 0
    assert (tmp_path / "done").exists()


def test_a_full_disk_below_the_output_changes_nothing(tmp_path):
    with open("/dev/full", "w") as full:
        process = start(tmp_path, stdout=full, stderr=full)

    assert process.wait(60) == 0
    assert (tmp_path / "done").read_text() == "False"


def test_a_terminal_that_is_closed_changes_nothing(tmp_path):
    ours, theirs = pty.openpty()
    process = start(tmp_path, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.read(ours, 10)
    os.close(ours)

    assert process.wait(60) == 0
    assert (tmp_path / "done").exists()


def test_a_stream_that_is_closed_from_the_start_changes_nothing(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" program.py >&- 2>&-', sys.executable], cwd=tmp_path, check=False, timeout=60
    )

    assert done.returncode == 0
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("variables", "encoding", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "ascii", "- - \\xe4 \\u20ac"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1", "- · ä \\u20ac"),
        ({"PYTHONIOENCODING": "utf-8"}, "utf-8", "─ · ä €"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii", "- - \\xe4 \\u20ac"),
    ],
)
def test_signs_that_the_encoding_lacks_become_plain_ones(variables, encoding, shown, tmp_path):
    process = start(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, variables=variables)

    out, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out.decode(encoding).splitlines()[-1] == shown
    assert err.decode(encoding) == f"complaint {'─' if encoding == 'utf-8' else '-'}\n"


def test_a_byte_of_a_files_name_that_is_no_text_is_printed_as_it_is(tmp_path):
    program = "import os, sys\nfrom leyden.cli import streams\nstreams.endure()\nprint(os.fsdecode(b'a\\xff'))"

    process = start(tmp_path, program, stdout=subprocess.PIPE)

    assert process.communicate(timeout=60)[0] == b"a\xff\n"
