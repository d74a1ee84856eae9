"""Children are started, signalled and ended as a group; none is left behind, however the supervisor ends."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import leyden
from leyden.processes.supervisor import ChildProcess, ProcessGroup, ProcessSpec, open_output

SAVING = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(143)))\n"
    "print('up', flush=True)\n"
    "time.sleep(100)\n"
)
DEAF = SAVING.replace("lambda *_: (print('saved', flush=True), sys.exit(143))", "signal.SIG_IGN")
WATCHING = "from leyden.processes.lifeline import watch\nwatch()\n"


def spec(program, output=None):
    return ProcessSpec([sys.executable, "-c", program], os.environ, output)


def wait_until(holds, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"nothing happened within {seconds} s"
        time.sleep(0.01)


def ended(group):
    wait_until(group.poll)
    group.close()
    return group.ended


def printed(path, text):
    return path.is_file() and text in path.read_text()


def gone(pid):
    """Whether a process of somebody else's has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_signal_reaches_each_child_once_and_their_codes_are_known(tmp_path):
    outputs = [tmp_path / f"{number}.out" for number in range(2)]
    group = ProcessGroup([spec(SAVING, output) for output in outputs])
    wait_until(lambda: all(printed(each, "up\n") for each in outputs))

    group.send(signal.SIGTERM)

    assert ended(group) == {0: 143, 1: 143}
    assert [each.read_text() for each in outputs] == ["up\nsaved\n"] * 2
    assert group.killed == set()


def test_a_child_that_does_not_stop_is_killed_after_the_grace(tmp_path):
    group = ProcessGroup([spec(DEAF, tmp_path / "out"), spec(SAVING)], grace=1.0, stdout=subprocess.DEVNULL)
    wait_until(lambda: printed(tmp_path / "out", "up"))

    group.send(signal.SIGTERM)

    assert set(ended(group)) == {0, 1}
    assert group.ended[0] == -signal.SIGKILL
    assert 0 in group.killed


def test_the_failure_of_one_ends_the_others(tmp_path):
    group = ProcessGroup([spec("raise SystemExit(3)"), spec(SAVING, tmp_path / "out")], grace=1.0)

    assert ended(group) == {0: 3, 1: -signal.SIGKILL}
    assert group.killed == {1}


def test_closing_ends_what_a_child_has_started_too(tmp_path):
    nested = "import subprocess, sys\nprint(subprocess.Popen(['sleep', '1000']).pid, flush=True)\nsys.stdin.read()\n"
    group = ProcessGroup([spec(nested + SAVING, tmp_path / "out")])
    wait_until(lambda: printed(tmp_path / "out", "up"))
    grandchild = int((tmp_path / "out").read_text().split()[0])

    group.close()

    wait_until(lambda: gone(grandchild))


@pytest.mark.parametrize("program", [SAVING, DEAF], ids=["saves", "ignores the signal"])
def test_children_end_when_their_supervisor_is_killed(program, tmp_path):
    supervisor = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from leyden.processes.supervisor import ProcessGroup, ProcessSpec\n"
        f"group = ProcessGroup([ProcessSpec([sys.executable, '-c', {WATCHING + program!r}], os.environ, "
        f"Path({str(tmp_path / 'out')!r}))], grace=1.0)\n"
        f"Path({str(tmp_path / 'pid')!r}).write_text(f'{{group.pids[0]}} pid')\n"
        "time.sleep(100)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", supervisor])
    wait_until(lambda: printed(tmp_path / "pid", "pid") and printed(tmp_path / "out", "up"))

    process.kill()
    process.wait()

    child = int((tmp_path / "pid").read_text().split()[0])
    wait_until(lambda: gone(child))
    assert printed(tmp_path / "out", "saved") == (program is SAVING)


def test_a_child_without_a_lifeline_outlives_its_starter(tmp_path):
    starter = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from leyden.processes.supervisor import ChildProcess, ProcessSpec\n"
        f"child = ChildProcess(ProcessSpec([sys.executable, '-c', {WATCHING + SAVING!r}], os.environ, "
        f"Path({str(tmp_path / 'out')!r})))\n"
        "print(child.pid)\n"
        "os._exit(0)\n"
    )
    pid = int(subprocess.run([sys.executable, "-c", starter], check=True, capture_output=True, text=True).stdout)

    wait_until(lambda: printed(tmp_path / "out", "up"))

    assert not gone(pid)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: printed(tmp_path / "out", "saved"))


def test_output_is_appended_below_a_header(tmp_path):
    for _ in range(2):
        child = ChildProcess(spec("print('it')", tmp_path / "out"), header="--- begins")
        assert child.wait() == 0

    assert (tmp_path / "out").read_text() == "--- begins\nit\n" * 2


def make_link(place):
    place.parent.mkdir()
    place.symlink_to(place.parent.parent / "elsewhere")


def make_folder_a_link(place):
    (place.parent.parent / "other").mkdir()
    place.parent.symlink_to(place.parent.parent / "other")


def make_pipe(place):
    place.parent.mkdir()
    os.mkfifo(place)


def make_folder(place):
    place.mkdir(parents=True)


@pytest.mark.parametrize("make", [make_link, make_folder_a_link, make_pipe, make_folder])
def test_output_goes_to_a_regular_file_below_a_real_folder_only(make, tmp_path):
    place = tmp_path / "logs" / "job.log"
    make(place)

    with pytest.raises(OSError, match=r"job\.log") as caught:
        open_output(place)

    assert caught.value.filename == str(place)
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "other" / "job.log").exists()


def test_a_child_that_cannot_be_started_leaves_none_of_its_group(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-of-the-kind"):
        ProcessGroup([spec(SAVING, tmp_path / "out"), ProcessSpec(["nothing-of-the-kind"], os.environ)])


def calls(tree, owner, name):
    """Count calls of ``owner.name``, and of *name* alone."""
    found = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    attributes = [each for each in found if isinstance(each, ast.Attribute) and each.attr == name]
    plain = [each for each in found if isinstance(each, ast.Name) and each.id == name]
    return len(plain) + sum(isinstance(each.value, ast.Name) and each.value.id == owner for each in attributes)


def files_that_call(owner, name):
    root = Path(leyden.__file__).parent
    trees = {path.relative_to(root).as_posix(): ast.parse(path.read_text()) for path in root.rglob("*.py")}
    return {path for path, tree in trees.items() if calls(tree, owner, name)}


def test_processes_are_started_in_three_places_and_handlers_installed_in_one():
    assert files_that_call("subprocess", "Popen") == {
        "processes/supervisor.py", "runs/code.py", "launch/local/launcher.py",
    }  # fmt: skip
    assert files_that_call("signal", "signal") == {"processes/signals.py"}
    assert files_that_call("os", "fork") | files_that_call("os", "posix_spawn") == set()
