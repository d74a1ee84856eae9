"""A copy of the checkout in which walls are taken away, with a Python of its own that imports the copy.

A variable like PYTHONPATH would be lost where a test starts a process with an environment of its own. A virtual
environment is not: every process started with its ``sys.executable`` imports from the environment's own search path.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

from tests.mutations.wall import SOURCE, Wall

ROOT = Path(__file__).parents[2]
_PARTS = ("src", "tests", "conf", "experiments")
_PATIENCE = 60  # seconds for one test: without its wall, it may wait for ever
_LIMIT = 300.0  # seconds for one wall


class Scratch:
    """A copy of the checkout.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.root, environment = folder / "checkout", folder / "environment"
        for part in _PARTS:
            shutil.copytree(ROOT / part, self.root / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", self.root)
        venv.create(environment, symlinks=True)
        packages = sysconfig.get_path("purelib", "venv", {"base": str(environment)})
        places = [self.root / "src", *{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}]
        Path(packages, "scratch.pth").write_text("".join(f"{place}\n" for place in places))
        self._python = str(environment / "bin" / "python")
        self._environment = {name: each for name, each in os.environ.items() if not name.startswith("PYTHON")}
        self._check_import()
        self._basetemp, self._output = folder / "tests", folder / "output.txt"
        self._process = subprocess.Popen(
            [self._python, "tests/mutations/preloaded.py"],
            cwd=self.root, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def close(self) -> None:
        """End the process that runs tests."""
        self._process.communicate()

    def tests(self, *names: str, first: bool = True) -> tuple[str, str]:
        """Run tests.

        Args:
            names: As pytest names them.
            first: Whether to stop at the first that fails, and at a limit of time.

        Returns:
            The outcome: passed, failed, or another word where they could not be run; and what was printed.
        """
        words = ["-q", "-n", "0", "-p", "no:cacheprovider", f"--timeout={_PATIENCE}", f"--basetemp={self._basetemp}"]
        self._output.write_text("")
        asked = [[*words, *(["-x"] if first else []), *names], str(self._output), _LIMIT if first else None]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        code, printed = json.loads(self._process.stdout.readline()), self._output.read_text(errors="replace")
        if code is None:
            return "failed", f"{printed}\nnot done after {_LIMIT:.0f} s"
        failed = code == 1 and re.search(r"^(.* )?\d+ failed", printed, re.MULTILINE)
        return "failed" if failed else "not run" if code else "passed", printed

    def without(self, wall: Wall) -> tuple[str, str]:
        """Take a wall away, run its test, and put it back; returns what `tests` does."""
        file = self.root / SOURCE / wall.file
        source, changed = file.read_text(), wall.removed(self.root)
        file.write_text(changed)
        try:
            return self.tests(wall.test)
        finally:
            file.write_text(source)

    def _check_import(self) -> None:
        program = "import leyden; print(leyden.__file__)"
        done = subprocess.run([self._python, "-P", "-c", program], cwd=self.root, env=self._environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        if Path(done.stdout.strip()).parent != self.root / SOURCE:
            raise RuntimeError(f"the copy is not what is imported: {done.stdout}{done.stderr}")
