"""Configs of strangers that write elsewhere, send results to others, or read what is the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.hostile.arena import Attack, Kind, Sandbox
from tests.hostile.attacks_code import BUILDING, SHOWING, configured, evil, filled, partial

CSV = "leyden.loggers.CSVLogger"
MLFLOW = "leyden.loggers.MLFlowLogger"
BOARD = "leyden.loggers.TensorBoardLogger"
WANDB = "leyden.loggers.WandbLogger"
PATH = {"_target_": "pathlib.Path", "_args_": ["<ELSEWHERE>", "x"]}
NODE_PATH = {"_target_": "builtins.str", "_args_": ["<ELSEWHERE>/x"]}
NOPE = "${oc.env:NOPE,<ELSEWHERE>/x}"

WRITES: dict[str, dict[str, Any]] = {
    "a checkpoint folder from the default of a variable": {"callbacks__model_checkpoint__dirpath": NOPE},
    "a checkpoint folder that is a variable": {"callbacks__model_checkpoint__dirpath": "${oc.env:HOME}"},
    "a checkpoint folder that a path builds": {"callbacks__model_checkpoint__dirpath": PATH},
    "a checkpoint folder that a text builds": {"callbacks__model_checkpoint__dirpath": NODE_PATH},
    "a checkpoint folder by position": {
        "callbacks__model_checkpoint": {"_target_": "leyden.callbacks.ModelCheckpoint", "_args_": ["<ELSEWHERE>/x"]}
    },
    "a checkpoint name by position": {
        "callbacks__model_checkpoint": {
            "_target_": "leyden.callbacks.ModelCheckpoint", "_args_": ["<RUN>/checkpoints", "../../../../x"],
        }
    },
    "a checkpoint name that is wider than the memory": {
        "callbacks__model_checkpoint__filename": "{epoch:0999999999d}",
    },
    "a checkpoint name that is an absolute path": {"callbacks__model_checkpoint__filename": "<ELSEWHERE>/{epoch}"},
    "a checkpoint of an exception by position": {
        "callbacks__x": {"_target_": "leyden.callbacks.OnExceptionCheckpoint", "_args_": ["<ELSEWHERE>", "x"]}
    },
    "a logger by position": {"logger__csv": {"_target_": CSV, "_args_": ["<ELSEWHERE>"]}},
    "a logger by three positions": {"logger__csv": {"_target_": CSV, "_args_": ["<RUN>", "../../..", "x"]}},
    "a logger by more positions than it has": {"logger__csv": {"_target_": CSV, "_args_": ["<RUN>", *["x"] * 20]}},
    "a version by position": {"logger__csv": {"_target_": CSV, "_args_": ["<RUN>", "", PATH]}},
    "a logger's folder by a path in a path": {
        "logger__csv__save_dir": {"_target_": "pathlib.PurePath", "_args_": [PATH, "y"]}
    },
    "a logger whose name leads out": {"logger__csv__name": {"_target_": "pathlib.Path", "_args_": ["..", "..", ".."]}},
    "a logger below another key": {"tags": [{"_target_": CSV, "_args_": ["<ELSEWHERE>"]}]},
    "a logger that is called later": {"tags": [{"_target_": CSV, "_args_": ["<ELSEWHERE>"], "_partial_": True}]},
    "a logger that is called later with a path": {"tags": [partial(CSV)]},
    "a batch that becomes a checkpoint callback": {
        "tags": [
            {"_target_": "torch.utils.data.DataLoader", "dataset": ["<ELSEWHERE>"], "batch_size": None,
             "collate_fn": partial("leyden.callbacks.ModelCheckpoint")},
        ]
    },
    "TensorBoard by position": {"logger__x": {"_target_": BOARD, "_args_": ["<ELSEWHERE>"]}},
    "TensorBoard in another folder": {"logger__x": {"_target_": BOARD, "save_dir": "<RUN>", "sub_dir": "../../../x"}},
    "TensorBoard with a folder of the writer's": {"logger__x": {"_target_": BOARD, "log_dir": "<ELSEWHERE>"}},
    "TensorBoard with an unknown argument": {"logger__x": {"_target_": BOARD, "save_dir": "<RUN>", "logdir": "x"}},
    "W&B by position": {"logger__x": {"_target_": WANDB, "_args_": ["x", "<ELSEWHERE>"], "offline": True}},
    "W&B by its other name": {"logger__x": {"_target_": WANDB, "dir": "<ELSEWHERE>", "offline": True}},
    "W&B with an id that leads out": {"logger__x": {"_target_": WANDB, "id": "../../../x", "offline": True}},
    "a profiler by position": {
        "trainer__profiler": {"_target_": "leyden.profilers.SimpleProfiler", "_args_": ["<ELSEWHERE>", "x"]}
    },
    "a profiler whose file leads out": {
        "trainer__profiler": {"_target_": "leyden.profilers.AdvancedProfiler", "dirpath": "<RUN>",
                              "filename": "../../x"},
    },
    "a trace that is written by a handler": {
        "trainer__profiler": {
            "_target_": "leyden.profilers.PyTorchProfiler", "dirpath": "<RUN>", "filename": "x",
            "on_trace_ready": {"_target_": "torch.profiler.tensorboard_trace_handler", "dir_name": "<ELSEWHERE>"},
        }
    },
    "a writer of TensorBoard's own": {
        "tags": [{"_target_": "torch.utils.tensorboard.SummaryWriter", "log_dir": "<ELSEWHERE>"}]
    },
    "the folder of the trainer": {"trainer__default_root_dir": PATH},
    "the folder of the trainer by position": {
        "trainer": {"_target_": "leyden.trainer.Trainer", "_partial_": True, "_args_": [*["auto"] * 3, *[None] * 33,
                                                                                      "<ELSEWHERE>"]},
    },
    "data that is downloaded elsewhere": {
        "data": {"_target_": "leyden.datasets.MNIST", "root": "<ELSEWHERE>"},
    },
    "data that is downloaded elsewhere, by position": {
        "data": {"_target_": "leyden.datasets.FashionMNIST", "_args_": [PATH]},
    },
    "MLflow's files in another folder": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "file:<ELSEWHERE>/mlruns"},
    },
    "MLflow's database in another folder": {
        "logger__x": {"_target_": MLFLOW, "_args_": ["x", None, "sqlite:///<ELSEWHERE>/x.db"]},
    },
    "MLflow's database among the user's code": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///<PROJECT>/conf/x.db"},
    },
    "MLflow's database in another run": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///<PROJECT>/runs/mine/kept/x.db"},
    },
    "MLflow's database with the name of a module": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///<PROJECT>/conftest.py"},
    },
    "MLflow's files in the project": {"logger__x": {"_target_": MLFLOW, "save_dir": "<PROJECT>/conf"}},
    "MLflow's database by an address within an address": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///file:<ELSEWHERE>/x.db?uri=true"},
    },
    "MLflow's database in a file named like an address": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///file:x.db"},
    },
    "MLflow's files behind a percent sign": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "file:<PROJECT>/%2e%2e/elsewhere/x"},
    },
    "MLflow's files out of the run behind percent signs": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "file:<RUN>/%2e%2e/%2e%2e/%2e%2e/%2e%2e/elsewhere/x"},
    },
    "MLflow's artifacts in another folder": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///<RUN>/x.db", "artifact_location": "<ELSEWHERE>"},
    },
    "MLflow's artifacts by an address of a folder": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///<RUN>/x.db",
                      "artifact_location": "file:<ELSEWHERE>"},
    },
    "DeepSpeed's own logs": {
        "trainer__strategy": {"_target_": "leyden.strategies.DeepSpeedStrategy",
                              "config": {"csv_monitor": {"enabled": True, "output_path": "<ELSEWHERE>"}}},
    },
    "paths that begin where no folder is": {
        "paths__work_dir": "/no/such/folder", "logger__csv__save_dir": "../../..<RUN>",
    },
    "a name for the run that leads out": {"name": "../../../x"},
    "a name for the run that is a path": {"name": {"_target_": "pathlib.Path", "_args_": ["..", "x"]}},
    "a home of somebody who is not there": {"callbacks__model_checkpoint__dirpath": "~nobody-of-that-name/x"},
}  # fmt: skip
"""What is changed in a config so that something is written elsewhere."""

SENDS: dict[str, dict[str, Any]] = {
    "a server": {"logger__x": {"_target_": MLFLOW, "tracking_uri": "<ADDRESS>"}},
    "a server by position": {"logger__x": {"_target_": MLFLOW, "_args_": ["x", None, "<ADDRESS>"]}},
    "a server from the default of a variable": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "${oc.env:NOPE,<ADDRESS>}"}
    },
    "a server in the place of the user's own": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "${oc.env:MLFLOW_TRACKING_URI,<ADDRESS>}"}
    },
    "a server that a text builds": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": {"_target_": "builtins.str", "_args_": ["<ADDRESS>"]}}
    },
    "a server that a path builds": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": {"_target_": "pathlib.Path", "_args_": ["<ADDRESS>"]}}
    },
    "a server behind a space": {"logger__x": {"_target_": MLFLOW, "tracking_uri": " <ADDRESS>"}},
    "a server behind a line break": {"logger__x": {"_target_": MLFLOW, "tracking_uri": "ht\ntp:<ADDRESS>"}},
    "a server that is called later": {"tags": [partial(MLFLOW, _args_=["x", None, "<ADDRESS>"])]},
    "a server that the caller chooses": {"tags": [partial(MLFLOW, save_dir=None)]},
    "a server whose name begins like a trusted one": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "https://trusted.example.org@127.0.0.1/x"},
    },
    "a host among files": {"logger__x": {"_target_": MLFLOW, "tracking_uri": "file://127.0.0.1/x"}},
    "a server with the path of the run": {"logger__x": {"_target_": MLFLOW, "tracking_uri": "<ADDRESS><RUN>/x"}},
    "a host among files with the path of the run": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "file://127.0.0.1<RUN>/x"},
    },
    "a hosted server": {"logger__x": {"_target_": MLFLOW, "tracking_uri": "databricks"}},
    "a database with a driver": {"logger__x": {"_target_": MLFLOW, "tracking_uri": "mysql+pymysql://u@127.0.0.1/x"}},
    "artifacts for a server": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///<RUN>/x.db", "artifact_location": "s3://evil/x"},
    },
    "artifacts for the server of the records": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "sqlite:///<RUN>/x.db",
                      "artifact_location": "mlflow-artifacts:/x"},
    },
    "TensorBoard in a bucket": {"logger__x": {"_target_": BOARD, "save_dir": "gs://evil/x"}},
    "checkpoints in a bucket": {"callbacks__model_checkpoint__dirpath": "s3://evil/x"},
    "checkpoints in a bucket by position": {
        "callbacks__x": {"_target_": "leyden.callbacks.OnExceptionCheckpoint", "_args_": ["memory://x"]}
    },
    "a page of another account": {"logger__x": {"_target_": WANDB, "entity": "evil", "offline": True}},
    "the user's code for W&B": {"logger__x": {"_target_": WANDB, "save_code": True, "offline": True}},
    "a file as W&B's config": {"logger__x": {"_target_": WANDB, "config": "<HOME>/.bashrc", "offline": True}},
    "W&B's own settings": {"logger__x": {"_target_": WANDB, "settings": {"base_url": "<ADDRESS>"}}},
    "a download": {"tags": [{"_target_": "torch.hub.download_url_to_file", "url": "<ADDRESS>", "dst": "<RUN>/x"}]},
    "weights from an address": {"tags": [{"_target_": "torch.hub.load_state_dict_from_url", "url": "<ADDRESS>"}]},
    "a metric that loads a model": {
        "tags": [{"_target_": "torchmetrics.text.bert.BERTScore", "model_name_or_path": "<ADDRESS>"}]
    },
    "a store of torch's": {
        "tags": [{"_target_": "torch.distributed.TCPStore", "_args_": ["127.0.0.1", 1, 1, False]}]
    },
}  # fmt: skip
"""What is changed in a config so that something is sent away."""

USER = "${oc.env:USER}"
READS: dict[str, dict[str, Any]] = {
    "a variable in the name of a checkpoint": {"callbacks__model_checkpoint__filename": f"x-{USER}"},
    "a variable in the name of the run": {"name": USER},
    "a variable among the tags": {"tags": [f"a-{USER}-b"]},
    "a variable in a column": {"logger__csv__prefix": USER},
    "a variable with a default": {"name": "${oc.env:USER,x}"},
    "a variable in quotes": {"name": "${oc.env:'USER'}"},
    "a variable with spaces": {"name": "${ oc.env : USER }"},
    "a variable whose name is a value": {"name": "${oc.env:${optimized_metric}}", "optimized_metric": "USER"},
    "a variable in the default of another": {"name": "${oc.env:NOPE,${oc.env:USER}}"},
    "a variable behind a backslash": {"name": "\\${oc.env:USER}"},
    "a variable behind two backslashes": {"name": "\\\\${oc.env:USER}"},
    "a variable in two halves": {"name": "$${oc.env:NOPE,x}{oc.env:USER}"},
    "a variable through another resolver": {"name": "${oc.decode:${oc.env:USER}}"},
    "a variable that another resolver names": {"name": "${oc.env:${oc.decode:USER}}"},
    "a mapping from a text": {"name": "${oc.create:{_target_: os.getcwd}}"},
    "another value by its path": {"name": "${oc.select:logger.csv.save_dir}"},
    "the keys of the config": {"tags": "${oc.dict.keys:model}"},
    "a place of the machine's": {"name": "${hydra:runtime.cwd}"},
    "another value of the config": {"name": "${model.classes}"},
    "another value, relative": {"logger__csv__prefix": "${.name}"},
    "the user's server as a name": {"name": "${oc.env:MLFLOW_TRACKING_URI,x}"},
    "the user's server in another logger": {
        "logger__csv__tracking_uri": "${oc.env:MLFLOW_TRACKING_URI,x}",
    },
    "the user's server beside something": {
        "logger__x": {"_target_": MLFLOW, "tracking_uri": "http://127.0.0.1/${oc.env:MLFLOW_TRACKING_URI,x}"},
    },
    "a variable in the place of a key of Hydra's": {"model___convert_": USER},
    "a variable in the paths": {"paths__data_dir": USER},
    "a text of the user's": {"data": {"_target_": "leyden.datasets.Text", "path": "<HOME>/.bashrc"}},
    "texts of the user's, by position": {"data": {"_target_": "leyden.datasets.Text", "_args_": ["<HOME>", "**/*"]}},
    "texts above the project": {
        "data": {"_target_": "leyden.datasets.Text", "path": "<PROJECT>", "pattern": "../home/**/*"},
    },
    "a device that never ends": {"data": {"_target_": "leyden.datasets.Text", "path": "/dev/zero"}},
    "weights of somebody else's": {"ckpt_path": "<ELSEWHERE>/x.ckpt"},
    "weights that a path builds": {"ckpt_path": PATH},
}  # fmt: skip
"""What is changed in a config so that it reads what is the user's."""


def several(run: Path, sandbox: Sandbox) -> None:
    """Do many of these at once: all of it is one list."""
    evil(run, sandbox)
    for changes in (*WRITES.values(), *SENDS.values(), *READS.values()):
        if not changes.keys() & {"trainer", "paths__work_dir", "paths__data_dir"}:
            sandbox.config(run, **filled(changes, sandbox))


def _unused(changes: dict[str, Any]) -> bool:
    """Tell whether evaluate and predict leave out all that is changed."""
    return all(key.startswith(("logger", "callbacks")) for key in changes)


def _verbs(at: int, changes: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Choose verbs in turn: a row with each of them would take an hour."""
    partly = _unused(changes)
    refused = BUILDING if at % 20 == 0 and not partly else (_KEPT[at % 3],)
    harmless = (SHOWING[at % 4],) if at % 9 == 0 else ()
    return {"refused_by": refused, "harmless_to": ("evaluate",) if partly and at % 7 == 0 else harmless}


_TABLES = {Kind.FILES: WRITES, Kind.SENT: SENDS | READS}
_KEPT = ("run", "run --ranks", "reproduce")  # evaluate and predict leave loggers and callbacks out

ATTACKS = [
    *(Attack(name, kind, configured(**changes), wall="config.places, config.lookups", said=r"problems? in the config",
             **_verbs(at, changes))
      for kind, table in _TABLES.items() for at, (name, changes) in enumerate(table.items())),
    Attack("all of it at once", Kind.SENT, several, refused_by=(*BUILDING, "evaluate FILE"), harmless_to=SHOWING,
           said=r"\d+ problems in the config", wall="config.judge.admit"),
]  # fmt: skip
