"""Start the real ``leyden`` command as a person would, in a folder of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}


def start(folder: Path, *words: str) -> subprocess.Popen:
    """Start ``leyden words`` in *folder*; what it prints goes to files, so that nothing blocks."""
    out, err = open(folder / "out.txt", "w"), open(folder / "err.txt", "w")  # noqa: SIM115 - closed below
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "leyden", *words], cwd=folder, stdout=out, stderr=err, env=ENVIRONMENT
        )
    finally:
        out.close()
        err.close()


def leyden(folder: Path, *words: str, code: int = 0) -> str:
    """Run ``leyden words`` in *folder* to its end, expect the exit code, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "leyden", *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=280,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def wait_until(holds, process: subprocess.Popen, seconds: float = 120.0):
    """Poll until *holds* returns something true; fail if the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        assert process.poll() is None, f"the process ended with {process.returncode} before the awaited moment"
        time.sleep(0.001)
    raise AssertionError(f"nothing happened within {seconds} s")


def only_run(folder: Path, name: str = "digits_mlp") -> Path:
    """Return the one run directory in *folder*."""
    (found,) = (folder / "runs" / name).iterdir()
    return found
