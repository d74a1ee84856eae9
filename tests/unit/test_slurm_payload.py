"""What submitit calls in a job becomes the run, and costs next to nothing on the way."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = "from leyden.launch.slurm.payload import execute; execute({arguments}); print('still here')"
SHOWS = """\
import json, os, sys
print(json.dumps([sys.argv, [name for name in os.environ if name.startswith("SUBMITIT")], os.environ["HELLO"]]))
"""


def run(program: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, env={**os.environ, **variables}
    )


def test_nothing_heavy_is_imported_before_the_run_begins():
    done = run("import sys, leyden.launch.slurm.payload; print({'torch', 'hydra', 'submitit'} & set(sys.modules))")

    assert done.stdout == "set()\n"


def test_the_process_becomes_the_run_and_its_exit_code_is_the_runs(tmp_path):
    done = run(PROGRAM.format(arguments=f"{str(tmp_path)!r}"))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"{tmp_path} holds no config.yaml, so that it is no run. Expected a directory that leyden train made.\n"
    )


def test_frozen_code_comes_before_any_other_and_submitit_is_forgotten(tmp_path):
    package = tmp_path / "code" / "src" / "leyden"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "run.py").write_text(SHOWS)
    arguments = f"'DIR', code={str(tmp_path / 'code')!r}, trusted=['timm'], variables={{'HELLO': 'world'}}"

    done = run(PROGRAM.format(arguments=arguments), SUBMITIT_EXECUTOR="slurm", PYTHONPATH="")

    assert done.stdout == f'[["{package / "run.py"}", "DIR", "--trust", "timm"], [], "world"]\n'
