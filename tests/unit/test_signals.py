"""Handlers are installed in one place and restored as they were; what is ignored stays ignored, and nothing is lost."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from leyden.processes import signals


def run(program, *words, **variables):
    return subprocess.run(
        [*words, sys.executable, "-c", program],
        check=False, capture_output=True, text=True, env={**os.environ, **variables}, timeout=100,
    )  # fmt: skip


def test_every_signal_is_collected_and_handlers_are_restored():
    watched = signals.watched()
    before = [signal.getsignal(each) for each in watched]

    with signals.collected() as arrived:
        for each in watched:
            os.kill(os.getpid(), each)

    assert arrived == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    assert [signal.getsignal(each) for each in watched] == before


def test_a_handler_that_was_not_installed_from_python_is_restored_as_the_default():
    """Python tells None for a handler of a program that embeds it, and does not take None back."""
    before = signal.getsignal(signal.SIGUSR1)

    signals._restore(signal.SIGUSR1, None)

    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL == before


def test_outside_of_the_main_thread_nothing_is_handled():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def body():
        with signals.collected() as arrived, signals.between_stages(at_once=True):
            seen.append((arrived, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()

    assert seen == [([], before)]


def test_a_hangup_that_is_ignored_stays_ignored():
    program = (
        "import os, signal\n"
        "from leyden.processes import signals\n"
        "with signals.collected() as arrived, signals.between_stages(at_once=True):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print(arrived, signals.noted(), [each.name for each in signals.watched()])\n"
        "print(signal.getsignal(signal.SIGHUP).name)\n"
    )

    done = run(program, "nohup")

    assert done.stdout == "[] None ['SIGINT', 'SIGTERM']\nSIG_IGN\n"


def test_between_stages_signals_are_noted_and_a_second_ctrl_c_means_now():
    with signals.between_stages(at_once=True):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        noted = signals.noted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

    assert noted == signal.SIGTERM
    assert signals.noted() is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_rank_notes_signals_from_the_end_of_its_first_stage_on():
    with signals.between_stages(at_once=False):
        before = signal.getsignal(signal.SIGTERM)
        with signals.collected():
            pass
        after = signal.getsignal(signal.SIGTERM)

    assert (before, after) == (signal.SIG_DFL, signals.note)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


QUIET = "import os, signal, time\nfrom leyden.processes import signals\nsignals.start()\n"
INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)\n"


def test_ctrl_c_while_a_process_starts_ends_it_with_one_line_and_130():
    done = run(QUIET + INTERRUPT)

    assert done.returncode == 130
    assert done.stderr.strip() == "leyden: stopped by Ctrl-C before anything was begun"


def test_after_the_start_ctrl_c_raises_as_usual():
    done = run(QUIET + "signals.interrupt_as_usual()\ntry:\n    " + INTERRUPT.replace("\n", "\n    ")
               + "pass\nexcept KeyboardInterrupt:\n    print('raised')\n")  # fmt: skip

    assert done.stdout == "raised\n", done.stderr


@pytest.mark.parametrize(("signum", "said"), [(2, "code 130"), (10, "noted 10"), (12, "noted 12")])
def test_a_signal_that_arrives_while_a_program_replaces_itself_is_not_lost(signum, said):
    second = "import os, sys\nfrom leyden.processes import signals\nsignals.start()\nprint('noted', signals.noted())\n"
    first = (
        "import os, sys\n"
        "from leyden.processes import signals\n"
        "signals.block_for_exec()\n"
        f"os.kill(os.getpid(), {signum})\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {second!r}])\n"
    )

    done = run(first, SLURM_JOB_ID="1")

    assert said in f"{done.stdout} code {done.returncode}", done.stderr
