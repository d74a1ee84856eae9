"""What a person sees on a terminal: the output of a command on a pseudo-terminal, put onto rows and columns."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.journeys.command import ENVIRONMENT

_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|(\r|\n|\x08)|([^\x1b\r\n\x08]+)|\x1b.")


class Screen:
    """The rows that have been written, those that have scrolled away among them.

    It knows what progress bars use: line feeds, carriage returns, the cursor up and down, erasing a line or what
    follows, and colours, which it drops.
    """

    def __init__(self, width):
        self.width, self.rows, self.row, self.column = width, [""], 0, 0

    def feed(self, text):
        for match in _TOKEN.finditer(text):
            numbers, command, control, plain = match.groups()
            count = int(numbers) if numbers and numbers.isdigit() else 1
            if plain is not None:
                self.write(plain)
            elif control == "\n":
                self.down(1)
                self.column = 0
            elif control == "\r":
                self.column = 0
            elif control == "\x08":
                self.column = max(0, self.column - 1)
            elif command == "A":
                self.row = max(0, self.row - count)
            elif command == "B":
                self.down(count)
            elif command == "K":
                self.rows[self.row] = "" if numbers == "2" else self.rows[self.row][: self.column]
            elif command == "J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]

    def down(self, count):
        self.row += count
        self.rows += [""] * (self.row + 1 - len(self.rows))

    def write(self, text):
        for letter in text:
            if self.column == self.width:
                self.down(1)
                self.column = 0
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + letter + row[self.column + 1 :]
            self.column += 1


def seen(folder, *words, width=80, height=24, code=0):
    """Run ``leyden words`` on a terminal, and return the rows that a person sees in the end, scrolled up to the top."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("COLUMNS", "LINES", "CI")}
    environment |= {"TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "leyden", *words], cwd=Path(folder), stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(timeout=200) == code, written.decode()[-3000:]
    screen = Screen(width)
    screen.feed(written.decode())
    return [row.rstrip() for row in screen.rows]
