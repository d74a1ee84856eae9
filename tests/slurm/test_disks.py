"""A full disk and a read-only one: one clear error, nothing of what was saved is lost, and the run goes on elsewhere.

Beside the tests with a cluster, as they mount file systems, which takes the same rights.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.slurm.submitting import leyden, prepared, told

LONG = ("trainer=cpu", "trainer.max_epochs=300", "logger=csv", "model.hidden=[64]", "test=false")


def mounted(folder, options, script):
    """Run a script of shell in *folder*, with a file system of its own mounted there; return code and output."""
    mount = f"mount -t tmpfs -o {options} none disk && cd disk && {script}"
    (folder / "disk").mkdir(exist_ok=True)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LEYDEN": f"{sys.executable} -m leyden", "OUT": str(folder)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_full_disk_ends_a_run_with_one_clear_error_and_the_run_goes_on_where_there_is_room(tmp_path):
    words = " ".join(f"'{word}'" for word in LONG)
    code, said = mounted(tmp_path, "size=300k", f"$LEYDEN train {words}; echo code $?; cp -r runs $OUT/")

    assert code == 0
    assert "code 1" in said
    assert len(re.findall(r"No space left on device, 0\.[01] MB are free there\.", said)) == 1
    assert "Make room, then go on:  leyden run runs/digits_mlp/" in said
    assert "Traceback" not in said
    (run,) = (tmp_path / "runs" / "digits_mlp").iterdir()
    leyden(tmp_path, "run", run, "--until", "400")
    assert told(run, "status.json")["resumed_from"] is not None


def test_a_read_only_run_directory_is_refused(tmp_path):
    (run,) = prepared(tmp_path, 1)
    script = f"cp -r {run} r && mount -o remount,ro . && $LEYDEN run r; echo code $?"
    _, said = mounted(tmp_path, "size=1m", script)

    assert "code 1" in said
    assert "cannot be written: Read-only file system. Expected a run directory that this process may write to." in said
    assert "Traceback" not in said
