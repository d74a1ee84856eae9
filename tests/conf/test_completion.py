"""<TAB> in a real bash completes subcommands, groups, options and keys."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib import import_module

import pytest

from leyden.cli.main import NESTED, main

PROGRAM = f"""
    #!{sys.executable}
    import sys
    from leyden.config.completion import complete
    from leyden.config.app import run_app

    if sys.argv[1] in ("-sc", "--shell-completion"):
        inner = {{"runs": lambda: ["show", "ls"]}}
        sys.exit(complete(sys.argv[1:], {{"train": "train"}}, ["train", "evaluate", "runs"], inner))
    sys.exit(run_app("train", sys.argv[2:], lambda config, context: 0))
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory, write, three_files):
    """A project, a program called leyden on the path, and its completion as the shell would load it."""
    root = write(tmp_path_factory.mktemp("project"), {**three_files, "bin/leyden": PROGRAM})
    (root / "bin" / "leyden").chmod(0o755)
    env = {**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}"}

    def run(script):
        done = subprocess.run(["bash", "-c", script], cwd=root, env=env, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.stdout

    return run, run("leyden train -sc install=bash")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("leyden tr", ["train"]),
        ("leyden ", ["evaluate", "runs", "train"]),
        ("leyden train mo", ["model.", "model="]),
        ("leyden train model=", ["model=conv", "model=mlp", "model=tiny", "model=transformer"]),
        ("leyden train model=tiny model.", ["model._target_=", "model.width="]),
        ("leyden train experiment=m", ["experiment=mine"]),
        ("leyden train seed=3 optimizer.l", ["optimizer.lr="]),
        ("leyden evaluate runs/", []),
        ("leyden train model.hid", ["model.hidden="]),
        ("leyden train model.hidden=", ["model.hidden=[128]"]),
        ("leyden train tags", ["tags=", "tags_required="]),
        ("leyden train tags=", ["tags=[]"]),
        ("leyden train logger.c", ["logger.csv."]),
        ("leyden runs ", ["ls", "show"]),
        ("leyden runs s", ["show"]),
        ("leyden runs show r", []),
    ],
)
def test_a_line_is_completed(shell, line, offered):
    run, installed = shell
    words = line.split(" ")

    out = run(
        f"{installed}\nCOMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_CWORD={len(words) - 1}\n"
        f'COMP_WORDS=({shlex.join(words)})\nhydra_bash_completion\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    )

    assert [word for word in out.split("\n") if word] == offered


@pytest.mark.parametrize("command", NESTED)
def test_the_commands_of_a_command_are_completed(command, capsys, monkeypatch):
    monkeypatch.setenv("COMP_LINE", f"leyden {command} ")

    assert main(["-sc", "query=bash"]) == 0

    assert capsys.readouterr().out.split() == sorted(import_module(f"leyden.cli.{command}").COMMANDS)


def test_the_program_itself_installs_the_completion_too(shell):
    run, installed = shell

    assert run("leyden -sc install=bash") == installed
    assert installed.rstrip().endswith("complete -o nospace -o default -F hydra_bash_completion leyden")
