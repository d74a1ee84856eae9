"""A run directory or checkpoint from a stranger is refused with one clear error, and nothing in it is executed."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import re
import sys
import zipfile

import pytest
import torch

from leyden.cli.main import main
from leyden.config.compose import compose
from leyden.config.frozen import freeze
from leyden.config.judge import permitted
from leyden.config.project import shipped_conf
from leyden.config.trust import Trust
from leyden.runs.directory import RunDirectory
from leyden.runs.guard import admitted

MODULE = "from pathlib import Path\nPath({witness!r}).touch()\ndef boom(*args, **kwargs):\n    return None\n"


@pytest.fixture(scope="session")
def harmless(tmp_path_factory):
    """A config that runs, as `leyden train` writes it."""
    folder = tmp_path_factory.mktemp("harmless")
    (folder / "conf").mkdir()
    typed = ["data=synthetic", "data.samples=60", "logger=csv", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    return freeze(compose([*typed, "callbacks=[model_checkpoint]", "model.hidden=[4]"]).config, folder / "run")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The user's own project; the command is given in it."""
    path = tmp_path / "project"
    (path / "conf").mkdir(parents=True)
    monkeypatch.chdir(path)
    before = list(sys.path)
    yield path
    sys.path[:] = before


@pytest.fixture
def run(project, harmless):
    """A run directory that a stranger has sent, so far as it should be."""
    return made(project / "runs" / "stranger", harmless, project)


@pytest.fixture
def witness(tmp_path):
    """A file that is there as soon as anything of the stranger's was executed."""
    return tmp_path / "witness"


def made(path, harmless, project):
    config = copy.deepcopy(harmless)
    old = config["paths"]["run_dir"]
    config = json.loads(json.dumps(config).replace(old, str(path)))
    config["paths"]["work_dir"] = str(project)
    return RunDirectory.create(path, config, {"overrides": [], "choices": {}}).path


def change(run, **keys):
    """Write a config with other values at dotted keys (``__`` for a dot)."""
    config = RunDirectory(run).config()
    for key, value in keys.items():
        *parents, last = key.split("__")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    (run / "config.yaml").write_text(dump_plain(config))


def dump_plain(config):
    import yaml

    return yaml.safe_dump(config, sort_keys=False)


def refused(capsys, run, *words, command="run"):
    """Give the command, expect exit code 2 and one error without a traceback, and return what was said."""
    capsys.readouterr()
    code = main([command, str(run), *words])
    said = capsys.readouterr().err
    assert code == 2, said
    assert "Traceback" not in said
    return said


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


class Bomb:
    """What pickle executes when it is loaded."""

    def __init__(self, witness):
        self.witness = str(witness)

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


def test_what_was_made_here_runs_evaluates_and_predicts(run, capsys):
    assert main(["run", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["predict", str(run)]) == 0
    assert main(["run", str(run)]) == 0  # finished: prints its metrics again


# --- what may be called --------------------------------------------------------------------


TARGETS = {
    "os.system": {"command": "touch {witness}"},
    "posix.system": {"command": "touch {witness}"},
    "os.popen": {"cmd": "touch {witness}"},
    "subprocess.run": {"args": ["touch", "{witness}"]},
    "subprocess.check_output": {"args": ["touch", "{witness}"]},
    "builtins.eval": {"_args_": ["__import__('os').system('touch {witness}')"]},
    "builtins.exec": {"_args_": ["open('{witness}', 'w')"]},
    "builtins.open": {"file": "{witness}", "mode": "w"},
    "builtins.getattr": {"_args_": ["x", "format"]},
    "pathlib.Path.touch": {"self": "{witness}"},
    "pathlib.os.system": {"command": "touch {witness}"},
    "importlib.import_module": {"name": "antigravity"},
    "runpy.run_path": {"path_name": "{witness}"},
    "shutil.rmtree": {"path": "{project}/conf"},
    "pickle.loads": {"data": "x"},
    "torch.load": {"f": "{bomb}", "weights_only": False},
    "torch.serialization.load": {"f": "{bomb}", "weights_only": False},
    "torch.jit.load": {"f": "{bomb}"},
    "torch.save": {"obj": 1, "f": "{witness}"},
    "torch.from_file": {"filename": "{witness}", "shared": True, "size": 4},
    "torch.hub.load": {"repo_or_dir": "{project}/runs/stranger", "model": "boom", "source": "local"},
    "torch.utils.cpp_extension.load": {"name": "boom", "sources": ["{witness}"]},
    "torch.utils.collect_env.run": {"command": "touch {witness}"},
    "torch.multiprocessing.spawn": {"fn": "boom"},
    "torch.package.PackageImporter": {"file_or_buffer": "{bomb}"},
    "torch.os.system": {"command": "touch {witness}"},
    "torch.nn.functional.importlib.import_module": {"name": "antigravity"},
    "torch.nn.Module.load_state_dict": {"state_dict": {}},
    "torch._C._import_ir_module": {},
    "leyden.trainer.os.system": {"command": "touch {witness}"},
    "leyden.datasets.text.Path.touch": {"self": "{witness}"},
    "leyden.config.build.construct": {"deferred": 1},
    "leyden.runs.directory.RunDirectory.create": {"path": "{witness}", "config": {}, "overrides": {}},
    "leyden.cli.main.main": {"argv": ["train"]},
    "leyden.loading.read": {"path": "{bomb}", "weights_only": False},
    "leyden.models.MLP.load_from_checkpoint": {"checkpoint_path": "{bomb}", "weights_only": False},
    "leyden.lightning.instantiate_class": {"args": [], "init": {"class_path": "os.system"}},
    "leyden.callbacks.checkpoint_files.link": {"path": "a", "linkpath": "{witness}"},
    "hydra.utils.instantiate": {"config": {"_target_": "os.getcwd"}},
    "hydra.utils.get_method": {"path": "os.system"},
    "functools.partial": {"_args_": [{"_target_": "os.system", "_partial_": True}, "touch {witness}"]},
    "operator.methodcaller": {"_args_": ["system"]},
    "ctypes.CDLL": {"name": "{witness}"},
    "webbrowser.open": {"url": "{witness}"},
    "sklearn.datasets.load_files": {"container_path": "{project}"},
    "pytest.main": {},
    "torchmetrics.text.bert.BERTScore": {"model_name_or_path": "{project}/runs/stranger"},
    "torchmetrics.utilities.imports.os.system": {"command": "touch {witness}"},
    "leyden.loggers.WandbLogger": {"settings": {"x_executable": "{bomb}"}},
    "model.__class__.__base__": {},
    "os.system;touch": {},
    "${oc.env:HOME}": {},
    "../evil": {},
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_does_more_than_compute_is_refused(target, run, project, witness, capsys):
    bomb = project / "bomb.pt"
    torch.save(Bomb(witness), bomb)
    words = json.dumps(TARGETS[target]).replace("{witness}", str(witness)).replace("{project}", str(project))
    node = {"_target_": target, **json.loads(words.replace("{bomb}", str(bomb)))}
    change(run, tags=[node])
    before = snapshot(project)

    said = refused(capsys, run)

    assert "tags.0._target_" in said
    assert not witness.exists()
    assert snapshot(project) == before


PLACES = {
    "the root": ("_target_",),
    "an argument": ("model__x",),
    "positional": ("optimizer___args_",),
    "unbuilt": ("data__inner",),
    "a list": ("tags",),
    "the paths": ("paths__extra",),
    "another group": ("hydra",),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_target_is_found_wherever_it_stands(place, run, witness, capsys):
    (key,) = PLACES[place]
    node = {"_target_": "os.system", "command": f"touch {witness}"}
    value = {
        "the root": "os.system",
        "a list": [[node]],
        "positional": [node],
        "unbuilt": {"_target_": "torch.nn.Identity", "_recursive_": False, "x": node},
    }.get(place, node)
    change(run, **{key: value})

    said = refused(capsys, run)

    assert "'os.system' leads to os, a part of Python" in said
    assert not witness.exists()


@pytest.mark.parametrize("command", ["run", "evaluate", "predict", "reproduce"])
def test_every_command_that_builds_from_a_directory_refuses(command, run, witness, capsys):
    change(run, model__evil={"_target_": "os.system", "command": f"touch {witness}"})

    said = refused(capsys, run, command=command)

    assert "'os.system'" in said
    assert not witness.exists()


def test_text_that_stands_for_something_else_is_refused(run, capsys):
    change(run, name="${eval:1}", tags=["${oc.env:HOME,${oc.env:PATH}}", "${paths.run_dir}"])

    said = refused(capsys, run)

    assert "3 problems" in said
    assert "a saved config holds plain values only" in said


def test_a_variable_of_the_users_is_read_by_what_is_trusted_with_it(run, monkeypatch, capsys):
    monkeypatch.setenv("SOME_TOKEN", "abc")
    change(run, tags=["${oc.env:SOME_TOKEN}"])

    assert "--trust env:SOME_TOKEN" in refused(capsys, run)
    assert main(["run", str(run), "--trust", "env:SOME_TOKEN"]) == 0


ROWS = [
    *(["model=mlp"], ["model=conv", "data=mnist"], ["model=transformer", "data=text"], ["data=fashion_mnist"]),
    *([f"scheduler={name}"] for name in ("step", "plateau", "one_cycle", "cosine", "cosine_warmup")),
    *([f"optimizer={name}"] for name in ("sgd", "adam", "adamw", "rmsprop", "none")),
    *(["logger=many"], ["logger=mlflow"], ["trainer=cpu"], ["debug=profile"], ["debug=anomaly"]),
    *([f"callbacks=[{file.stem}]"] for file in sorted((shipped_conf() / "callbacks").glob("*.yaml"))),
]


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_everything_that_leyden_ships_may_be_named(row, project):
    run = project / "runs" / "mine"
    frozen = freeze(compose(row).config, run)

    config = admitted(RunDirectory.create(run, frozen, {}))

    assert config == frozen


@pytest.mark.parametrize(
    "target",
    [
        *("torch.nn.Linear", "torch.nn.functional.gelu", "torch.relu", "torch.optim.AdamW", "torch.device"),
        *("torch.nn.init.xavier_uniform_", "torch.optim.lr_scheduler.CosineAnnealingLR", "torch.tensor"),
        *("torch.utils.data.DataLoader", "torch.utils.data.TensorDataset", "torch.distributions.Normal"),
        *("torchmetrics.Accuracy", "torchmetrics.classification.MulticlassF1Score", "torchmetrics.MetricCollection"),
        *("torchmetrics.functional.accuracy", "torchmetrics.MeanSquaredError", "torchmetrics.text.Perplexity"),
        *("pathlib.Path", "builtins.dict", "datetime.timedelta", "collections.OrderedDict", "torch.amp.GradScaler"),
        *("leyden.Trainer", "leyden.callbacks.EarlyStopping", "leyden.callbacks.early_stopping.EarlyStopping"),
        *("leyden.precisions.MixedPrecision", "torch.profiler.schedule", "leyden.schedulers.cosine_warmup"),
    ],
)
def test_what_only_computes_may_be_named(target, run):
    assert callable(permitted(target, Trust.of(run)))


# --- whose code ------------------------------------------------------------------------------


def test_recorded_code_may_stand_in_for_that_of_the_project(run, tmp_path, monkeypatch):
    (tmp_path / "worktree").mkdir()
    (tmp_path / "worktree" / "mine_then.py").write_text(
        "from leyden.models import MLP\n\n\nclass Mine(MLP):\n    pass\n"
    )
    monkeypatch.setenv("LEYDEN_CODE_ROOT", str(tmp_path / "worktree"))
    change(run, model___target_="mine_then.Mine")

    assert main(["run", str(run)]) == 0


def test_code_in_the_run_directory_is_not_imported(run, witness, capsys):
    (run / "evil.py").write_text(MODULE.format(witness=str(witness)))
    change(run, callbacks__evil={"_target_": "runs.stranger.evil.boom"})

    said = refused(capsys, run)

    assert "came with the run" in said
    assert not witness.exists()


def test_code_that_was_unpacked_beside_the_run_is_not_imported(run, witness, capsys):
    (run.parent / "evil.py").write_text(MODULE.format(witness=str(witness)))
    change(run, callbacks__evil={"_target_": "runs.evil.boom"})

    assert "came with the run" in refused(capsys, run)
    assert not witness.exists()


def test_a_directory_that_calls_itself_a_project_is_none(run, witness, capsys, monkeypatch):
    (run / "evil_project.py").write_text(MODULE.format(witness=str(witness)))
    (run / "pyproject.toml").write_text('[tool.leyden]\ntrust = ["evil_project", "/"]\n')
    (run / "conf").mkdir()
    change(run, callbacks__evil={"_target_": "evil_project.boom"})
    monkeypatch.chdir(run)

    said = refused(capsys, ".")

    assert "'evil_project.boom' is neither of torch, torchmetrics and leyden nor of the project in" in said
    assert not witness.exists()


def test_the_working_directory_of_a_config_does_not_become_the_project(run, project, witness, capsys, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "conf").mkdir(parents=True)
    (elsewhere / "evil_elsewhere.py").write_text(MODULE.format(witness=str(witness)))
    change(run, callbacks__evil={"_target_": "evil_elsewhere.boom"}, paths__work_dir=str(elsewhere))

    assert "is not there" in refused(capsys, run)
    assert str(elsewhere) not in sys.path
    assert not witness.exists()


def test_a_directory_named_like_a_package_does_not_take_its_place(project, harmless, witness, capsys):
    run = made(project / "tensorboard", harmless, project)
    (run / "__init__.py").write_text(MODULE.format(witness=str(witness)))

    said = refused(capsys, run)

    assert "would be imported as 'tensorboard'" in said
    assert not witness.exists()


def test_a_module_beside_conf_is_the_users_own(run, project, capsys):
    (project / "mine_beside.py").write_text("from leyden.models import MLP\n\n\nclass Mine(MLP):\n    pass\n")
    change(run, model___target_="mine_beside.Mine")

    assert main(["run", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0


def test_a_package_installed_below_the_project_is_not_the_users_own(run, project, witness, capsys, monkeypatch):
    packages = project / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "installed_there.py").write_text(MODULE.format(witness=str(witness)))
    monkeypatch.syspath_prepend(packages)
    change(run, callbacks__evil={"_target_": "installed_there.boom"})

    said = refused(capsys, run)

    assert "--trust installed_there" in said
    assert not witness.exists()


@pytest.mark.parametrize("how", ["option", "pyproject", "folder"])
def test_what_the_user_trusts_may_be_named(how, run, project, tmp_path, monkeypatch):
    packages = tmp_path / "other" / "lib"
    packages.mkdir(parents=True)
    (packages / f"trusted_{how}.py").write_text("from leyden.models import MLP\n\n\nclass Theirs(MLP):\n    pass\n")
    monkeypatch.syspath_prepend(packages)
    change(run, model___target_=f"trusted_{how}.Theirs")
    words = {"option": ["--trust", "trusted_option"], "folder": ["--trust", f"{packages}"], "pyproject": []}[how]
    (project / "pyproject.toml").write_text('[tool.leyden]\ntrust = ["trusted_pyproject"]\n')

    assert main(["run", str(run), *words]) == 0


@pytest.mark.parametrize("package", ["os", "subprocess", "builtins", "torch", "leyden", "hydra", "torch.hub", "a b"])
def test_what_cannot_be_trusted_is_refused(package, run, capsys):
    assert "cannot be trusted" in refused(capsys, run, "--trust", package)


def test_what_a_module_of_ones_own_has_imported_is_not_ones_own(run, project, witness, capsys):
    (project / "mine_imports.py").write_text(
        "import os\nimport subprocess\nfrom functools import partial\nfrom os import system\n"
        "shell = partial(subprocess.run, shell=True)\nfrom leyden.models import MLP\n\n\nclass Mine(MLP):\n    pass\n"
    )
    command = f"touch {witness}"
    change(
        run,
        callbacks__a={"_target_": "mine_imports.os.system", "command": command},
        callbacks__b={"_target_": "mine_imports.system", "command": command},
        callbacks__c={"_target_": "mine_imports.shell", "args": command},
        callbacks__d={"_target_": "mine_imports.Mine.load_from_checkpoint", "checkpoint_path": "x"},
        callbacks__e={"_target_": "mine_imports.Mine.__init__.__globals__.get"},
        callbacks__f={"_target_": "mine_imports.partial", "_args_": [{"_target_": "mine_imports.Mine"}]},
    )

    said = refused(capsys, run)

    assert "6 problems" in said
    assert not witness.exists()


def test_what_is_composed_on_this_command_line_stays_free(project):
    (project / "free.py").write_text("import platform as p\nfrom pathlib import Path\n")
    words = ["data=synthetic", "data.samples=60", "logger=csv", "trainer.max_epochs=1", "model.hidden=[4]"]

    assert main(["train", *words, "callbacks=none", "+tags=[{_target_: platform.node}]"]) == 0


# --- YAML, JSON, sizes -----------------------------------------------------------------------


CONFIGS = {
    "a tag": ("model: !!python/object/apply:os.system ['touch {witness}']\n", "has the YAML tag"),
    "a tag of ours": ("model: !!python/object/apply:pathlib.PosixPath ['{witness}']\n", "has the YAML tag"),
    "a new object": ("model: !!python/object/new:type {{args: [x]}}\n", "has the YAML tag"),
    "a module": ("model: !!python/module:antigravity\n", "has the YAML tag"),
    "a binary": ("model: !!binary aGVsbG8=\n", "has the YAML tag"),
    "a renamed tag": ("%TAG ! tag:yaml.org,2002:python/\n---\nmodel: !object/apply:os.getcwd []\n", "YAML tag"),
    "laughs": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "anchor or alias",
    ),
    "itself": ("a: &a [*a]\n", "anchor or alias"),
    "depth": ("a: " + "[" * 5000 + "]" * 5000 + "\n", "levels deep"),
    "indentation": ("".join(" " * at + "a:\n" for at in range(600)), "levels deep"),
    "half": ("model: [1, 2\ntrainer: {{", "cannot be read as a config"),
    "a quote": ('model: "unfinished', "cannot be read as a config"),
    "two keys": ("model: 1\nmodel: 2\n", "duplicate key"),
    "a huge number": ("model: " + "9" * 9000 + "\n", "cannot be read as a config"),
    "no mapping": ("- 1\n", "not the mapping"),
    "nothing": ("", "trainer is no mapping"),
    "two documents": ("a: 1\n---\nb: 2\n", "cannot be read as a config"),
    "a bell": ("model: '\x07'\n", "cannot be read as a config"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_is_no_plain_yaml_is_refused(name, run, witness, capsys):
    text, words = CONFIGS[name]
    (run / "config.yaml").write_text(text.format(witness=witness) if "{{" in text or "{witness}" in text else text)

    said = refused(capsys, run)

    assert words in said
    assert len(said) < 2000
    assert not witness.exists()


def test_a_config_in_bytes_is_refused(run, capsys):
    (run / "config.yaml").write_bytes(bytes(range(256)))

    assert "is no text" in refused(capsys, run)


@pytest.mark.parametrize("name", ["config.yaml", "overrides.yaml", "status.json", "result.json", "manifest.json"])
def test_a_file_of_a_gigabyte_is_refused_before_it_is_read(name, run, capsys):
    with open(run / name, "ab") as file:
        file.truncate(2**30)

    said = refused(capsys, run)

    assert "1,073,741,824 bytes" in said
    assert "it was not read" in said


@pytest.mark.parametrize("name", ["status.json", "result.json", "manifest.json"])
def test_json_without_a_bottom_is_refused(name, run, capsys):
    (run / name).write_text("[" * 200_000)

    assert "is too deep" in refused(capsys, run)


def test_a_count_of_attempts_of_another_type_is_begun_anew(run, capsys):
    (run / "status.json").write_text('{"status": "queued", "attempts": "many"}')

    assert main(["run", str(run)]) == 0
    assert RunDirectory(run).status().attempts == 1


def test_metrics_that_are_commands_for_the_terminal_are_refused(run, capsys):
    (run / "status.json").write_text('{"status": "finished"}')
    (run / "result.json").write_text(json.dumps({"metrics": {"\x1b]0;evil\x07": 1.0}}))

    assert "holds no metrics" in refused(capsys, run)


# --- paths -----------------------------------------------------------------------------------


PATHS = {
    "callbacks__model_checkpoint__dirpath": "{outside}",
    "callbacks__model_checkpoint__filename": "../../../{{epoch}}",
    "callbacks__model_summary__dirpath": "~/x",
    "logger__csv__save_dir": "{outside}",
    "logger__csv__name": "../../..",
    "logger__csv__version": "{outside}",
    "logger__csv__sub_dir": "a/../../..",
    "logger__mlflow": {"_target_": "leyden.loggers.MLFlowLogger", "tracking_uri": "https://evil.example.org"},
    "logger__mlf": {"_target_": "leyden.loggers.MLFlowLogger", "tracking_uri": "sqlite:////{outside}/x.db"},
    "logger__ml": {"_target_": "leyden.loggers.MLFlowLogger", "tracking_uri": "file://host/{outside}"},
    "trainer__default_root_dir": "{outside}",
    "trainer__profiler": {"_target_": "leyden.profilers.SimpleProfiler", "dirpath": "{outside}", "filename": "x"},
    "model__deep": [{"more": {"save_dir": "{outside}"}}],
    "ckpt_path": "{outside}/weights.ckpt",
    "name": "../../../evil",
    "paths__work_dir": "{run}/logs",
}


@pytest.mark.parametrize("key", PATHS)
def test_a_path_that_leads_out_of_the_directory_is_refused(key, run, project, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    change(
        run, **{key: json.loads(json.dumps(PATHS[key]).replace("{outside}", str(outside)).replace("{run}", str(run)))}
    )
    before = snapshot(project)

    said = refused(capsys, run)

    assert key.split("__")[-1] in said
    assert snapshot(project) == before
    assert list(outside.iterdir()) == []


def test_a_run_directory_that_claims_to_be_elsewhere_stays_where_it_is(run, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    config = (run / "config.yaml").read_text().replace(str(run), str(outside))
    (run / "config.yaml").write_text(config)

    assert main(["run", str(run)]) == 0
    assert list(outside.iterdir()) == []
    assert (run / "metrics.csv").exists()


@pytest.mark.parametrize("key", ["work_dir", "code"])
def test_a_folder_that_only_the_manifest_names_is_not_asked_about_its_code(key, run, capsys):
    beside = run.parent / "repository"
    beside.mkdir()
    (run / "manifest.json").write_text(json.dumps({key: {"root": str(beside)} if key == "code" else str(beside)}))

    assert "of manifest.json" in refused(capsys, run)


def test_a_root_that_is_no_experiment_is_refused(run, capsys):
    (run / "config.yaml").write_text(
        (run / "config.yaml").read_text().replace("leyden.experiment.Experiment", "builtins.dict")
    )

    assert "the config builds a dict" in refused(capsys, run)


@pytest.mark.parametrize("value", [None, 7, ["x"], {"_target_": "os.getcwd"}])
def test_a_run_directory_that_is_no_path_is_refused(value, run, capsys):
    change(run, paths__run_dir=value)

    assert "paths.run_dir is missing" in refused(capsys, run)


@pytest.mark.parametrize("name", ["status.json", "config.yaml", "metrics.csv", ".lock", "logs", "checkpoints", "x/y"])
def test_a_link_that_leads_out_of_the_directory_is_refused(name, run, tmp_path, capsys):
    outside = tmp_path / "outside"
    if name in ("logs", "checkpoints"):
        outside.mkdir()
    else:
        outside.write_text((run / name).read_text() if (run / name).exists() else "precious")
    before = outside.read_text() if outside.is_file() else list(outside.iterdir())
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside)

    for command in ("run", "evaluate", "predict"):
        assert re.search(r"is a link(, to .*outside: it is not followed| that leads out of the run)",
                         refused(capsys, run, command=command))  # fmt: skip

    assert (outside.read_text() if outside.is_file() else list(outside.iterdir())) == before


def test_a_link_to_nowhere_or_to_itself_is_refused(run, tmp_path, capsys):
    (run / "metrics.csv").symlink_to(tmp_path / "created-by-writing")

    assert "metrics.csv is a link, to" in refused(capsys, run)
    assert not (tmp_path / "created-by-writing").exists()

    (run / "metrics.csv").unlink()
    (run / "metrics.csv").symlink_to("metrics.csv")

    assert "metrics.csv is a link" in refused(capsys, run)


def test_a_link_within_the_directory_is_none_of_these(run):
    (run / "notes").mkdir()
    (run / "notes" / "linked.txt").symlink_to("../config.yaml")

    assert main(["run", str(run)]) == 0


def test_a_trusted_folder_may_be_linked_to_and_written_to(run, tmp_path):
    outside = tmp_path / "scratch"
    outside.mkdir()
    (run / "checkpoints").symlink_to(outside)
    change(run, logger__csv__save_dir=str(outside))

    assert main(["run", str(run), "--trust", str(outside)]) == 0
    assert {"last.ckpt", "metrics.csv"} <= {path.name for path in outside.iterdir()}


@pytest.mark.parametrize("name", ["status.json", "metrics.csv", "logs"])
def test_a_named_pipe_is_refused_and_not_waited_for(name, run, capsys):
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)

    assert f"{name} is a pipe, no" in refused(capsys, run)


# --- checkpoints -----------------------------------------------------------------------------


def archive(path, content, compression=zipfile.ZIP_STORED):
    """Write a file as torch.save does, around a pickle of one's own."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", content)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")


def bomb_in_a_zip(path, witness):
    torch.save({"leyden": {}, "state_dict": {}, "callbacks": Bomb(witness)}, path)


def bomb_as_it_was(path, witness):
    torch.save({"leyden": {}, "state_dict": Bomb(witness)}, path, _use_new_zipfile_serialization=False)


def bare_bomb(path, witness):
    path.write_bytes(pickle.dumps(Bomb(witness), protocol=2))


def handwritten_bomb(path, witness):
    archive(path, b"cos\nsystem\n(S'touch %s'\ntR." % str(witness).encode())


def eval_bomb(path, witness):
    archive(path, b'cbuiltins\neval\n(S\'open("%s", "w")\'\ntR.' % str(witness).encode())


def zip_bomb(path, _):
    stream = io.BytesIO()
    pickle.dump({"leyden": {}, "state_dict": {}, "x": "0" * 50_000_000}, stream, protocol=2)
    archive(path, stream.getvalue(), zipfile.ZIP_DEFLATED)


BOMBS = [bomb_in_a_zip, bomb_as_it_was, handwritten_bomb, eval_bomb, zip_bomb]


@pytest.mark.parametrize("write", [*BOMBS, bare_bomb], ids=lambda each: each.__name__)
@pytest.mark.parametrize("command", ["run", "evaluate", "predict"])
def test_a_checkpoint_that_executes_something_is_refused(write, command, run, witness, capsys):
    (run / "checkpoints").mkdir()
    write(run / "checkpoints" / "last.ckpt", witness)
    (run / "checkpoints" / "last.ckpt").touch()
    before = (run / "status.json").read_text()

    for path in (run, run / "checkpoints" / "last.ckpt") if command != "run" else (run,):
        said = refused(capsys, path, command=command)
        assert "not safe to load" in said or "cannot be read" in said or "no checkpoint" in said

    assert not witness.exists()
    assert (run / "status.json").read_text() == before


@pytest.mark.parametrize("command", ["run", "evaluate"])
def test_a_checkpoint_that_expands_is_not_read(command, run, witness, capsys):
    (run / "checkpoints").mkdir()
    zip_bomb(run / "checkpoints" / "last.ckpt", witness)

    assert "it is compressed, and expands to 50,0" in refused(capsys, run, command=command)


def test_the_bomb_would_go_off_where_a_file_is_trusted(witness, tmp_path):
    bomb_in_a_zip(tmp_path / "last.ckpt", witness)

    torch.load(tmp_path / "last.ckpt", weights_only=False)

    assert witness.exists()


def test_a_checkpoint_named_in_the_config_is_read_with_the_same_care(run, project, witness, capsys):
    bomb_in_a_zip(project / "start.ckpt", witness)
    change(run, ckpt_path=str(project / "start.ckpt"))

    assert "is not safe to load" in refused(capsys, run)
    assert not witness.exists()


DAMAGED = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "empty": lambda _: b"",
    "noise": lambda whole: os.urandom(len(whole)),
    "a turned byte": lambda whole: whole[:200] + bytes([whole[200] ^ 255]) + whole[201:],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_checkpoint_is_passed_over_or_refused(name, run, capsys):
    assert main(["run", str(run)]) == 0
    for path in (run / "checkpoints").glob("*.ckpt"):
        path.write_bytes(DAMAGED[name](path.read_bytes()))

    said = refused(capsys, run, command="evaluate")

    assert "holds no checkpoint" in said or "not safe to load" in said


STRANGE = {
    "a list": [1],
    "a text": "x",
    "no weights": {"leyden": {}},
    "weights of another kind": {"leyden": {}, "state_dict": "x"},
    "states of another kind": {"leyden": {}, "state_dict": {}, "callbacks": [1]},
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_that_is_no_checkpoint_is_refused(name, run, capsys):
    (run / "checkpoints").mkdir()
    torch.save(STRANGE[name], run / "checkpoints" / "last.ckpt")

    said = refused(capsys, run, command="evaluate")

    assert "holds no checkpoint" in said or "is a checkpoint that no run has written" in said


def test_a_state_cannot_lead_to_files_elsewhere(run, project, capsys):
    assert main(["run", str(run)]) == 0
    precious = project / "precious.ckpt"
    precious.write_text("precious")
    for path in (run / "checkpoints").glob("*.ckpt"):
        found = torch.load(path, weights_only=True)
        for state in found["callbacks"].values():
            for key in ("best_model_path", "last_model_path", "kth_best_model_path"):
                if key in state:
                    state[key] = str(precious)
            if "best_k_models" in state:
                state["best_k_models"] = {str(precious): torch.tensor(1.0)}
        torch.save(found, path)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "status": "interrupted"}))
    change(run, trainer__max_epochs=3)

    capsys.readouterr()
    code = main(["run", str(run)])

    assert code == 0, capsys.readouterr().err
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("path", ["/", "..", "a/..", "*", "\0", ["x"], 7])
def test_a_best_checkpoint_with_a_strange_name_is_not_looked_for(path, run):
    assert main(["run", str(run)]) == 0
    for file in (run / "checkpoints").glob("*.ckpt"):
        found = torch.load(file, weights_only=True)
        for state in found["callbacks"].values():
            state["best_model_path"] = path
        torch.save(found, file)

    assert main(["evaluate", str(run)]) == 0
