"""Configs of strangers that name code: whatever they name, none of it runs, with any command that builds from them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from tests.hostile.arena import Attack, Kind, Sandbox

BUILDING = ("run", "run --ranks", "evaluate", "predict", "reproduce")
SHOWING = ("report", "runs show", "runs show --config", "runs diff")
EVIL = "runs.stranger.run.evil"
LAMBDA = "torch.optim.lr_scheduler.LambdaLR"


def evil(run: Path, sandbox: Sandbox) -> None:
    """Leave a module in the run that leaves the canary as soon as it is imported."""
    sandbox.status(run, status="interrupted")
    for place in (run / "evil.py", run.parent / "beside.py"):
        place.write_text(f"{sandbox.python}def boom(*args, **kwargs):\n    return None\n")


def tagged(*nodes: Any):
    """Return what lets an experiment build *nodes* among its tags."""

    def build(run: Path, sandbox: Sandbox) -> None:
        evil(run, sandbox)
        sandbox.config(run, tags=[filled(node, sandbox) for node in nodes])

    return build


def configured(**changes: Any):
    """Return what changes the config at dotted keys."""

    def build(run: Path, sandbox: Sandbox) -> None:
        evil(run, sandbox)
        sandbox.config(run, **filled(changes, sandbox))

    return build


def filled(value: Any, sandbox: Sandbox) -> Any:
    """Replace names of places of the sandbox in *value*."""
    if isinstance(value, dict):
        return {key: filled(item, sandbox) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, sandbox) for item in value]
    if not isinstance(value, str):
        return value
    places = {"CANARY": sandbox.canary, "PRECIOUS": sandbox.precious, "ELSEWHERE": sandbox.elsewhere,
              "PROJECT": sandbox.project, "HOME": sandbox.home, "RUN": sandbox.run, "OUT": sandbox.out,
              "ADDRESS": sandbox.address, "TOUCH": sandbox.touch}  # fmt: skip
    for name, place in places.items():
        value = value.replace(f"<{name}>", str(place))
    return value


def partial(target: str, **given: Any) -> dict[str, Any]:
    return {"_target_": target, "_partial_": True, **given}


NODES: dict[str, tuple[dict[str, Any], ...]] = {
    "torch imports a kernel by name": (
        {"_target_": "torch.nn.attention._fa3.register_flash_attention_fa3", "module_path": EVIL},
    ),
    "torch imports another kernel by position": (
        {"_target_": "torch.nn.attention._fa4.register_flash_attention_fa4", "_args_": [EVIL]},
    ),
    "torch is given what imports, and told to call it": (
        {"_target_": "torch.nn.attention.register_flash_attention_impl", "impl": "evil",
         "register_fn": partial("torch.nn.attention._fa3.register_flash_attention_fa3", module_path=EVIL)},
        {"_target_": "torch.nn.attention.activate_flash_attention_impl", "impl": "evil"},
    ),
    "a function for names that moved": (
        {"_target_": "torch.nn.utils._deprecation_utils.lazy_deprecated_import", "all": ["boom"], "old_module": EVIL,
         "new_module": EVIL},
    ),
    "a module is looked up by torch's deprecated optimizers": (
        partial("torch.optim._multi_tensor.partialclass", _args_=[{"_target_": EVIL}]),
    ),
    "hooks for every module": (
        {"_target_": "torch.nn.modules.module.register_module_forward_hook", "hook": partial("torch.os.system")},
    ),
    "hooks for every optimizer": (
        {"_target_": "torch.optim.optimizer.register_optimizer_step_pre_hook", "hook": partial("torch.relu")},
    ),
    "a function that calls what it is given, in a private class": (
        {"_target_": "torch.distributions.utils.lazy_property", "wrapped": partial("torch.hub.list")},
    ),
    "what is called by several threads": (
        {"_target_": "torch.nn.parallel.parallel_apply.parallel_apply", "modules": [partial("builtins.exec")],
         "inputs": ["open('<CANARY>', 'w')"]},
    ),
    "a wrapper for autocast": (
        {"_target_": "torch.amp.autocast_mode.autocast_decorator", "autocast_instance": None, "func": None},
    ),
    "masks are made by a function": (
        {"_target_": "torch.nn.attention.flex_attention.create_mask", "mod_fn": partial("builtins.exec"), "B": 1,
         "H": 1, "Q_LEN": 1, "KV_LEN": 1},
    ),
    "a module that calls a module": (
        {"_target_": "torch.nn.utils.stateless.functional_call", "module": partial("builtins.exec"),
         "parameters_and_buffers": {}, "args": ["open('<CANARY>', 'w')"]},
    ),
    "a kernel library is loaded": ({"_target_": "torch.ops.load_library", "path": "<RUN>/evil.so"},),
    "a class library is loaded": ({"_target_": "torch.classes.load_library", "_args_": ["<RUN>/evil.so"]},),
    "C++ is compiled": (
        {"_target_": "torch.utils.cpp_extension.load_inline", "name": "evil", "cpp_sources": "int x;"},
    ),
    "a hub of the stranger's": (
        {"_target_": "torch.hub.load", "repo_or_dir": "<RUN>", "model": "boom", "source": "local"},
    ),
    "a pickle of the stranger's": ({"_target_": "torch.load", "f": "<RUN>/x.pt", "weights_only": False},),
    "an exported program": ({"_target_": "torch.export.load", "f": "<RUN>/x.pt2"},),
    "a traced program": ({"_target_": "torch.jit.load", "f": "<RUN>/x.pt"},),
    "a package of code": ({"_target_": "torch.package.PackageImporter", "file_or_buffer": "<RUN>/x.pt"},),
    "torchrun": ({"_target_": "torch.distributed.run.main", "args": ["<RUN>/evil.py"]},),
    "processes": ({"_target_": "torch.multiprocessing.spawn", "fn": partial(f"{EVIL}.boom")},),
    "what a library of torchmetrics imports": (
        {"_target_": "lightning_utilities.core.imports.module_available", "module_path": EVIL},
    ),
    "Leyden's own search for targets": ({"_target_": "leyden.config.targets.locate", "target": f"{EVIL}.boom"},),
    "Leyden's own judge": ({"_target_": "leyden.config.judge.permitted", "target": f"{EVIL}.boom", "trust": None},),
    "Leyden's own wall": ({"_target_": "leyden.config.import_wall.allow_imports_from", "folder": "<RUN>"},),
    "Leyden's command": ({"_target_": "leyden.cli.main.main", "argv": ["train", f"+x._target_={EVIL}.boom"]},),
    "Leyden's way around Hydra": (
        {"_target_": "leyden.config.build.construct", "deferred": partial("os.system", command="<TOUCH>")},
    ),
    "Hydra's own search": ({"_target_": "hydra.utils.get_class", "path": f"{EVIL}.boom"},),
    "a launcher": ({"_target_": "hydra_plugins.leyden_slurm_launcher.launcher.SlurmLauncher", "setup": ["<TOUCH>"]},),
    "a resolver": (
        {"_target_": "omegaconf.OmegaConf.register_new_resolver", "name": "x", "resolver": partial("os.system")},
    ),
    "a module of the run": ({"_target_": f"{EVIL}.boom"},),
    "a module of the run, as a partial": (partial(f"{EVIL}.boom"),),
    "the run as a module": ({"_target_": "runs.stranger.run"},),
    "a module beside the run": ({"_target_": "runs.stranger.beside.boom"},),
    "a node that is not built by itself": (
        {"_target_": "torch.nn.Identity", "_recursive_": False, "x": {"_target_": f"{EVIL}.boom"}},
    ),
    "what pathlib has imported": ({"_target_": "pathlib.os.system", "command": "<TOUCH>"},),
    "what decimal has imported": ({"_target_": "fractions.sys.modules.get", "_args_": ["os"]},),
    "a method that writes": ({"_target_": "pathlib.Path.write_text", "self": "<CANARY>", "data": "x"},),
    "the import of Python": ({"_target_": "builtins.__import__", "name": EVIL},),
    "an attribute by name": ({"_target_": "builtins.getattr", "_args_": [{"_target_": "torch.nn.Identity"}, "x"]},),
    "an attribute of a harmless class": ({"_target_": "torch.nn.Module.__init__.__globals__.get", "_args_": ["x"]},),
    "a key that Hydra would read one day": (
        {"_target_": "torch.nn.Identity", "_execution_whitelist_": ["os.system"], "x": {"_call_": "os.system"}},
    ),
    "a target that another node builds": ({"_target_": {"_target_": "builtins.str", "_args_": ["os.system"]}},),
    "a target in a list": ({"_target_": ["os.system"], "command": "<TOUCH>"},),
    "arguments that are no list": ({"_target_": "torch.nn.Linear", "_args_": {"_target_": "os.system"}},),
    "a partial that is neither true nor false": ({"_target_": "torch.nn.Identity", "_partial_": "${oc.env:HOME}"},),
    "a logger that starts a program": (
        {"_target_": "leyden.loggers.WandbLogger", "settings": {"x_executable": "<RUN>/evil.py"}},
    ),
    "a name with letters that look alike": ({"_target_": "torch.nn.Identity\u200b"},),
    "a name that goes up": ({"_target_": "..runs.stranger.run.evil.boom"},),
}  # fmt: skip

TEXTS = {
    "a target from the default of a variable": "${oc.env:NOPE,os.system}",
    "a target that is another value": "${name}",
    "a target behind a resolver": "${oc.decode:os.system}",
}


def scheduler(run: Path, sandbox: Sandbox) -> None:
    """Let a learning rate be what a module says that is imported for it."""
    evil(run, sandbox)
    moved = "torch.nn.utils._deprecation_utils.lazy_deprecated_import"
    rate = {"_target_": moved, "all": [0, 1], "old_module": EVIL, "new_module": EVIL}
    sandbox.config(run, scheduler=partial(LAMBDA, lr_lambda=rate))


def project_of_its_own(run: Path, sandbox: Sandbox) -> None:
    """Bring a project along: pyproject.toml, trust, code."""
    evil(run, sandbox)
    (run / "pyproject.toml").write_text('[tool.leyden]\ntrust = ["evil", "/"]\n')
    (run / "conf").mkdir()
    sandbox.config(run, tags=[{"_target_": "evil.boom"}], paths__work_dir=str(run))


def package_beside(run: Path, sandbox: Sandbox) -> None:
    """Lie in a folder that is a package."""
    evil(run, sandbox)
    for folder in (run, run.parent):
        (folder / "__init__.py").write_text(sandbox.python)
    sandbox.config(run, tags=[{"_target_": f"{EVIL}.boom"}])


def linked_from_the_project(run: Path, sandbox: Sandbox) -> None:
    """Have a link in the project, made when the run was unpacked, that leads to code in the run."""
    evil(run, sandbox)
    (run / "laboratory").mkdir()
    (run / "laboratory" / "x.py").write_text(f"{sandbox.python}def boom():\n    return None\n")
    (sandbox.project / "laboratory").symlink_to(run / "laboratory")
    sandbox.config(run, tags=[{"_target_": "laboratory.x.boom"}])


def zipped(run: Path, sandbox: Sandbox) -> None:
    """Have the code in an archive, which a name of a module may lead into."""
    evil(run, sandbox)
    with zipfile.ZipFile(run / "evil.zip", "w") as file:
        file.write(run / "evil.py", "packed.py")
    sandbox.config(run, tags=[{"_target_": "runs.stranger.run.evil.zip.packed.boom"}, {"_target_": "packed.boom"}])


def named_like_a_package(run: Path, sandbox: Sandbox) -> None:
    """Hold modules with the names of those that are imported late."""
    evil(run, sandbox)
    for name in ("tensorboard", "mlflow", "wandb", "sitecustomize", "torch"):
        (run / name).mkdir()
        (run / name / "__init__.py").write_text(sandbox.python)
    sandbox.config(run, tags=[{"_target_": "runs.stranger.run.torch.nn.Linear"}], paths__work_dir=str(run))


ATTACKS = [
    *(Attack(name, Kind.CODE, tagged(*nodes), refused_by=(BUILDING[at % 5],) if at % 8 else BUILDING,
             harmless_to=() if at % 4 else (SHOWING[at // 4 % 4],), said=r"tags\.[01]", wall="config.judge.permitted")
      for at, (name, nodes) in enumerate(NODES.items())),
    *(Attack(name, Kind.CODE, tagged({"_target_": text, "command": "<TOUCH>"}), refused_by=("run", "evaluate"),
             said="plain values only", wall="config.lookups.looked_up") for name, text in TEXTS.items()),
    Attack("a learning rate that is imported", Kind.CODE, scheduler, refused_by=BUILDING, harmless_to=SHOWING,
           said=r"scheduler\.lr_lambda\._target_", wall="config.harmless.is_public"),
    Attack("a project that came along", Kind.CODE, project_of_its_own, refused_by=("run", "predict"),
           said="paths.work_dir", wall="config.trust.Trust.of"),
    Attack("a folder that is a package", Kind.CODE, package_beside, refused_by=("run", "evaluate", "reproduce"),
           said="would be imported as|came with the run", wall="config.trust.Trust.put_on_path"),
    Attack("a link that leads from the project into the run", Kind.CODE, linked_from_the_project,
           refused_by=("run", "evaluate", "predict"), said="came with the run", wall="config.trust.Trust.owns"),
    Attack("code in an archive", Kind.CODE, zipped, refused_by=("run", "reproduce"), said=r"tags\.",
           wall="config.judge.permitted"),
    Attack("folders with the names of packages", Kind.CODE, named_like_a_package, refused_by=("run", "evaluate"),
           said="came with the run", wall="config.trust.Trust.owns"),
    Attack("a submitted run names a module of its own", Kind.CODE, tagged({"_target_": f"{EVIL}.boom"}),
           harmless_to=("submit", "submit --dry-run", "queue", "jobs retry"), wall="config.judge.permitted"),
]  # fmt: skip
