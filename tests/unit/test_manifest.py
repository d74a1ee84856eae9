"""The manifest says what a run depended on, is true at any moment, and never costs a run."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from leyden.callback import Callback
from leyden.runs import code, manifest
from leyden.runs.directory import RunDirectory
from leyden.runs.environment import environment, packages, slurm, variables
from leyden.runs.execution import execute, prepare
from leyden.runs.witness import spared

SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


class Stop(Callback):
    """Fails in the second epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise RuntimeError(f"no connection to https://me:hunter2@host with {SECRET}")


def config_of(path, **changes):
    """A small run, as it is frozen."""
    return {
        "_target_": "leyden.experiment.Experiment",
        "name": "small",
        "seed": 3,
        "model": {"_target_": "leyden.models.MLP", "in_features": 64, "classes": 10},
        "data": {"_target_": "leyden.datasets.Digits"},
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1},
        "trainer": {
            "_target_": "leyden.trainer.Trainer", "_partial_": True, "max_epochs": 2, "limit_train_batches": 3,
            "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False,
        },
        "logger": {},
        "paths": {"work_dir": str(path.parent), "run_dir": str(path)},
        **changes,
    }  # fmt: skip


def made(tmp_path, **changes):
    run = RunDirectory.create(tmp_path / "run", config_of(tmp_path / "run", **changes), {"overrides": []})
    manifest.begin(run, ["leyden", "train", "seed=3"])
    return run


def executed(run):
    execute(run, prepare(run.config()))


def test_a_new_manifest_says_what_is_known_before_anything_runs(tmp_path):
    run = made(tmp_path)

    found = manifest.read(run)

    assert (found["version"], found["entry"], found["argv"]) == (1, "train", ["leyden", "train", "seed=3"])
    assert found["completed"] is None
    assert found["code"] == code.state(tmp_path)
    assert found["seeds"] == {"seed": 3, "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED")}
    assert found["config"] == manifest.config_hash(run)


def test_a_finished_run_has_a_complete_manifest(tmp_path):
    run = made(tmp_path)

    executed(run)

    found = manifest.read(run)
    assert found["completed"] >= found["created"]
    assert found["determinism"]["deterministic_algorithms"] is False
    assert found["world"]["size"] == 1
    assert [each["device"] for each in found["world"]["ranks"]] == ["cpu"]
    assert set(found["loaders"]) == set(found["data"]) == {"train", "val", "test"}
    assert found["loaders"]["train"]["shuffle"] is True
    assert {each["kind"] for each in found["data"].values()} == {"arrays"}
    assert [each["code"] for each in found["attempts"]] == [found["code"]["hash"]]
    assert found["restarts"] == 0


def test_the_same_run_has_the_same_data_and_another_split_has_not(tmp_path):
    hashes = []
    for number, split in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        run = made(folder, data={"_target_": "leyden.datasets.Digits", "split_seed": split})
        executed(run)
        hashes.append(manifest.read(run)["data"]["train"]["sha256"])

    assert hashes[0] == hashes[1] != hashes[2]


def test_a_run_that_fails_keeps_what_was_seen_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_SERVICE_TOKEN", SECRET)
    run = made(tmp_path, callbacks={"stop": {"_target_": f"{__name__}.Stop"}})

    with pytest.raises(RuntimeError, match="no connection"):
        executed(run)

    found = manifest.read(run)
    assert found["completed"] is None
    assert found["data"]["train"]["kind"] == "arrays"
    assert "no connection to https://<secret>@host with <secret>" in run.status().error
    for path in run.path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content
        assert b"hunter2" not in content


def test_another_attempt_is_noted_with_its_code(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    run = made(tmp_path)
    record = manifest.read(run)
    record["process"] = {"host": "elsewhere", "pid": 1}
    record["attempts"] = [{"attempt": 1, "code": record["code"]["hash"]}]
    (run.path / "manifest.json").write_text(json.dumps(record))
    (tmp_path / "changed.py").write_text("x = 1\n")

    executed(run)

    found = manifest.read(run)
    assert found["restarts"] == 1
    assert found["attempts"][1]["code"] != found["code"]["hash"]
    assert found["attempts"][1]["code"] == code.state(tmp_path)["hash"]


def test_code_changed_while_a_run_was_waiting_is_the_code_of_the_run(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    run = made(tmp_path)
    before = manifest.read(run)
    (run.path / "manifest.json").write_text(json.dumps({**before, "process": {"host": "elsewhere", "pid": 1}}))
    (tmp_path / "changed.py").write_text("x = 1\n")

    executed(run)

    found = manifest.read(run)
    assert before["code"]["hash"] != found["code"]["hash"] == code.state(tmp_path)["hash"]
    assert [each["code"] for each in found["attempts"]] == [found["code"]["hash"]]


def test_the_code_may_be_taken_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LEYDEN_CODE_ROOT", str(tmp_path / "worktree"))

    assert manifest.project_of(tmp_path) == tmp_path / "worktree"


def test_a_run_from_before_there_were_manifests_gets_one_when_it_is_executed(tmp_path):
    run = RunDirectory.create(tmp_path / "run", config_of(tmp_path / "run"), {})

    executed(run)

    assert manifest.read(run)["completed"] is not None


def test_a_manifest_that_cannot_be_written_costs_no_run(tmp_path, caplog):
    with spared("is not complete"):
        raise OSError("no space left on device")

    assert "the manifest is not complete" in caplog.text
    assert "no space left" in caplog.text


def test_the_patch_lies_beside_the_manifest(tmp_path):
    project = tmp_path / "project"
    (project / "conf").mkdir(parents=True)
    (project / "conf" / "a.yaml").write_text("a: 1\n")
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=T", "-c", "user.email=t@x.org", "commit", "-qm", "1"],
    ):
        subprocess.run(["git", *words], cwd=project, check=True)
    (project / "conf" / "a.yaml").write_text("a: 2\n")
    place = project / "runs" / "x"

    run = RunDirectory.create(place, config_of(place, paths={"work_dir": str(project), "run_dir": str(place)}), {})
    found = manifest.begin(run, [])

    assert found["code"]["patch"] == "code.patch"
    assert found["code"]["masked"] == 0
    assert "-a: 1\n+a: 2\n" in (run.path / "code.patch").read_text()


def test_a_snapshot_holds_the_sources_without_secrets_and_large_files(tmp_path):
    (tmp_path / "model.py").write_text("width = 1\n")
    (tmp_path / "keys.py").write_text(f"password = '{SECRET}'\n")
    (tmp_path / "large.py").write_text("#" * 2**21)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    run = made(tmp_path, snapshot=True)

    with tarfile.open(run.path / "code.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["model.py", "pyproject.toml"]
        assert archive.extractfile("model.py").read() == b"width = 1\n"
    assert manifest.read(run)["code"]["left_out"] == ["keys.py", "large.py"]


def test_secrets_on_a_command_line_are_not_written(tmp_path):
    run = RunDirectory.create(tmp_path / "run", config_of(tmp_path / "run"), {"overrides": [f"+a.api_key={SECRET}"]})

    found = manifest.begin(run, ["leyden", "train", f"+a.api_key={SECRET}"])

    assert found["argv"][-1] == "+a.api_key=<secret>"
    assert SECRET not in (run.path / "overrides.yaml").read_text()


def test_variables_are_chosen_by_name_and_secrets_are_covered():
    environ = {
        "OMP_NUM_THREADS": "2", "HF_TOKEN": "x", "WANDB_API_KEY": SECRET, "WANDB_MODE": "offline", "HOME": "/root",
        "WANDB_BASE_URL": "https://me:pw@host", "NCCL_DEBUG": "INFO",
    }  # fmt: skip

    assert variables(environ) == {
        "HF_TOKEN": "<secret>", "NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "2", "WANDB_API_KEY": "<secret>",
        "WANDB_BASE_URL": "https://<secret>@host", "WANDB_MODE": "offline",
    }  # fmt: skip


def test_the_environment_is_that_of_this_process():
    found = environment()

    assert found["python"] == sys.version.split()[0]
    assert found["torch"]["version"] == torch.__version__
    assert found["threads"]["intra"] == torch.get_num_threads()
    assert found["cpu"]["capability"] == torch.backends.cpu.get_cpu_capability()
    json.dumps(found)


def test_packages_are_those_that_are_installed(tmp_path):
    from importlib.metadata import version

    found = packages()

    for name in ("torch", "numpy", "hydra-core", "leyden", "scikit-learn"):
        assert found[name] == version(name)


def test_slurm_is_described_inside_of_a_job_only():
    assert slurm({"SLURM_CLUSTER_NAME": "c"}) is None
    assert slurm({"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "2", "SLURM_JWT": SECRET}) == {
        "job_id": "7",
        "restart_count": "2",
    }


def test_several_ranks_know_of_each_other(tmp_path):
    program = tmp_path / "rank.py"
    program.write_text(
        "import json, sys\n"
        "import torch.distributed as dist\n"
        "from leyden import Trainer\n"
        "from leyden.runs.ranks import ranks\n"
        "rank = int(sys.argv[1])\n"
        "trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False, enable_progress_bar=False)\n"
        "trainer.strategy.world_size, trainer.strategy.global_rank = 2, rank\n"
        "dist.init_process_group('gloo', init_method=f'file://{sys.argv[2]}', rank=rank, world_size=2)\n"
        "print(json.dumps(ranks(trainer)))\n"
        "dist.destroy_process_group()\n"
    )
    words = [sys.executable, "-W", "ignore", str(program)]

    both = [
        subprocess.Popen([*words, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in both]

    assert said[0] == said[1]
    assert [each["rank"] for each in said[0]] == [0, 1]


def test_the_project_is_where_the_run_was_started(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "deep").mkdir()

    assert manifest.project_of(tmp_path / "deep") == tmp_path
    assert manifest.project_of(tmp_path / "gone") == Path.cwd()
