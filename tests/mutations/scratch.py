"""A copy of the checkout in which walls are taken away, with a Python of its own that imports the copy.

A variable like PYTHONPATH would be lost where a test starts a process with an environment of its own. A virtual
environment is not: whatever is started with its ``sys.executable`` imports what the environment's path names.
"""

from __future__ import annotations

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
        self.python = environment / "bin" / "python"
        packages = sysconfig.get_path("purelib", "venv", {"base": str(environment)})
        places = [self.root / "src", *{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}]
        Path(packages, "scratch.pth").write_text("".join(f"{place}\n" for place in places))
        self._basetemp = folder / "tests"
        self._check_import()

    def tests(self, *names: str, first: bool = True) -> tuple[str, str]:
        """Run tests.

        Args:
            names: As pytest names them.
            first: Whether to stop at the first that fails, and at a limit of time.

        Returns:
            The outcome: passed, failed, or another word where they could not be run; and what was printed.
        """
        words = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--timeout={_PATIENCE}",
                 f"--basetemp={self._basetemp}"]  # fmt: skip
        try:
            done = self._run([*words, *(["-x"] if first else []), *names], _LIMIT if first else None)
        except subprocess.TimeoutExpired:
            return "failed", f"not done after {_LIMIT:.0f} s"
        failed = re.search(r"^(.* )?\d+ failed", done.stdout, re.MULTILINE)
        known = {0: "passed", 1: "failed" if failed else "not run"}
        return known.get(done.returncode, "not run"), done.stdout + done.stderr

    def without(self, wall: Wall) -> tuple[str, str]:
        """Take a wall away, run its test, and put it back; returns what `tests` does."""
        file = self.root / SOURCE / wall.file
        source, changed = file.read_text(), wall.removed(self.root)
        file.write_text(changed)
        try:
            return self.tests(wall.test)
        finally:
            file.write_text(source)

    def _run(self, words: list[str], limit: float | None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        return subprocess.run([str(self.python), *words], cwd=self.root, env=environment, capture_output=True,
                              text=True, timeout=limit, check=False)  # fmt: skip

    def _check_import(self) -> None:
        done = self._run(["-P", "-c", "import leyden; print(leyden.__file__)"], _LIMIT)
        if Path(done.stdout.strip()).parent != self.root / SOURCE:
            raise RuntimeError(f"the copy is not what is imported: {done.stdout}{done.stderr}")
