"""An element of an array asks SLURM about itself and requeues itself, never the array whose number it may have."""

import os
import signal

import pytest

from leyden.launch.requeue import Event
from leyden.launch.surviving.slurm_job import SlurmJob

SCONTROL = """\
#!/bin/sh
echo "$@" >> {asked}
case "$*" in
  *show*) echo "JobId=56 ArrayJobId=56 JobState=RUNNING PreemptTime=2026-11-30T10:00:00 Restarts={restarts}" ;;
  *) {answer} ;;
esac
"""


@pytest.fixture
def element(tmp_path, monkeypatch):
    """The job of this process: the element of an array that has the number of the array."""
    for name, value in {"JOB_ID": "56", "ARRAY_JOB_ID": "56", "ARRAY_TASK_ID": "3", "RESTART_COUNT": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return SlurmJob.current()


def scontrol(folder, answer="exit 0", restarts=0):
    """Put a scontrol on the path that writes down what it is asked; return where."""
    asked = folder / "asked"
    program = folder / "scontrol"
    program.write_text(SCONTROL.format(asked=asked, answer=answer, restarts=restarts))
    program.chmod(0o755)
    return asked


def test_it_asks_about_itself_and_requeues_itself_alone(element, tmp_path):
    asked = scontrol(tmp_path)

    assert element.event(signal.SIGUSR2) is Event.PREEMPTED
    assert element.requeue() is None
    assert asked.read_text().splitlines() == ["--oneliner show job 56_3", "requeue 56_3"]


def test_what_waits_already_is_as_good_as_requeued(element, tmp_path):
    scontrol(tmp_path, "echo 'Job is pending execution for job 56_3' >&2; exit 1")

    assert element.requeue() is None


def test_slurm_ends_the_command_that_has_asked_to_requeue_its_own_job(element, tmp_path):
    scontrol(tmp_path, "kill -TERM $$", restarts=1)

    assert element.requeue() is None


def test_what_slurm_refuses_is_told(element, tmp_path):
    scontrol(tmp_path, "echo 'Requested operation is presently disabled' >&2; exit 1")

    assert "disabled" in element.requeue()
