"""A stranger's run directory, handed to the real command: no program is started, and nothing is written."""

import json
import subprocess
import sys
import textwrap

import pytest
import torch
import yaml

from tests.journeys.command import ENVIRONMENT, leyden, only_run

WATCHED = """\
import sys

WATCHED = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "ctypes.dlopen")


def note(event, arguments):
    if event in WATCHED and MARK in repr(arguments):
        with open(SEEN, "a") as file:
            file.write(event + "\\n")


sys.addaudithook(note)
from leyden.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with one run in it."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "conf").mkdir()
    leyden(folder, "train", "data=synthetic", "data.samples=60", "logger=csv", "trainer.max_epochs=1")
    return folder, only_run(folder)


@pytest.fixture
def stranger(trained, tmp_path):
    """A copy of it that has not finished; what it holds may be changed."""
    folder, run = trained
    copy = tmp_path / "runs" / "stranger"
    (tmp_path / "conf").mkdir()
    (copy / "checkpoints").mkdir(parents=True)
    config = (run / "config.yaml").read_text().replace(str(run), str(copy)).replace(str(folder), str(tmp_path))
    (copy / "config.yaml").write_text(config)
    (copy / "status.json").write_text('{"status": "queued", "attempts": 0}')
    return copy


def watched(stranger, *words):
    """Give a command under the eyes of an audit hook; returns its exit code, what it said, and the events."""
    seen = stranger.parents[1] / "seen.txt"
    program = f"MARK, SEEN = 'the-mark', {str(seen)!r}\n{textwrap.dedent(WATCHED)}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *words],
        cwd=stranger.parents[1],
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr, seen.read_text().split() if seen.exists() else []


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Bomb:
    def __reduce__(self):
        import os

        return os.system, ("touch the-mark",)


def in_the_config(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["x"] = {"_target_": "os.system", "command": "touch the-mark"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def in_a_tag(run):
    with open(run / "config.yaml", "a") as file:
        file.write("x: !!python/object/apply:os.system ['touch the-mark']\n")


def in_a_module(run):
    (run / "evil.py").write_text("import os\nos.system('touch the-mark')\n\n\ndef boom():\n    pass\n")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["callbacks"] = {"x": {"_target_": "runs.stranger.evil.boom"}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def in_a_checkpoint(run):
    torch.save({"leyden": {}, "state_dict": {}, "callbacks": Bomb()}, run / "checkpoints" / "last.ckpt")


def through_a_link(run):
    foreign = run.parents[1] / "foreign.json"
    foreign.write_text("{}")
    (run / "status.json").unlink()
    (run / "status.json").symlink_to(foreign)


@pytest.mark.parametrize("sabotage", [in_the_config, in_a_tag, in_a_module, in_a_checkpoint, through_a_link])
def test_it_is_refused_before_anything_is_executed_or_written(sabotage, stranger):
    sabotage(stranger)
    before = contents(stranger.parents[1])

    code, said, events = watched(stranger, "run", str(stranger))

    assert code == 2, said
    assert "Traceback" not in said
    assert events == []
    after = contents(stranger.parents[1])
    written = {path.name for path in after.keys() - before.keys()}
    assert written <= {".lock", "rank0.log"}
    assert {path: content for path, content in after.items() if path in before} == before


def test_the_watch_sees_what_the_users_own_code_does(stranger):
    (stranger.parents[1] / "mine.py").write_text(
        "import os\n\nfrom leyden.models import MLP\n\n\nclass Mine(MLP):\n    def __init__(self, **given):\n"
        "        super().__init__(**given)\n        os.system('true the-mark')\n"
    )
    config = yaml.safe_load((stranger / "config.yaml").read_text())
    config["model"]["_target_"] = "mine.Mine"
    (stranger / "config.yaml").write_text(yaml.safe_dump(config))

    code, said, events = watched(stranger, "run", str(stranger))

    assert code == 0, said
    assert events == ["os.system"]
    assert json.loads((stranger / "status.json").read_text())["status"] == "finished"
