"""Whatever is wrong with a file of a run, every command says so in one error or goes on, and shows the other runs."""

from __future__ import annotations

import json
import os
import shutil
from itertools import product
from pathlib import Path

import pytest

from tests.hostile.arena import LISTING, Attack, Kind

DEEP = 3000
WRONG = {"a list": [1, [2]], "a mapping": {"a": {"b": [1]}}, "a text": "x", "minus one": -1, "a huge number": 10**400,
         "no finite number": float("inf"), "true": True, "null": None}  # fmt: skip
KEYS = {
    "status.json": ("status", "created", "updated", "attempts", "started", "ended", "pid", "host", "ranks", "job",
                    "resumed_from", "from_step", "epoch", "step", "error", "reason"),
    "job.json": ("launcher", "id", "batch", "log", "nodes", "ranks", "restarts", "stalled_restarts", "submitted",
                 "cancelled", "cancelled_by"),
    "attempts.jsonl": ("attempt", "job", "started", "ended", "host", "from_step", "to_step", "outcome", "reason",
                       "requeue", "decision"),
    "manifest.json": ("version", "created", "argv", "work_dir", "entry", "process", "config", "code", "environment",
                      "determinism", "world", "loaders", "data", "seeds", "data_paths", "slurm", "restarts",
                      "attempts"),
    "result.json": ("metrics", "optimized_metric", "value"),
    "fingerprint.json": ("version", "complete", "losses", "logged", "initial_weights", "final_weights",
                         "final_metrics"),
    "reproduction.json": ("of", "verdict", "first_diverging_step", "difference", "preflight", "compared"),
}  # fmt: skip
TEXTS = ("config.yaml", "overrides.yaml", "metrics.csv", "losses.f64", "code.patch", "logs/rank0.log")
LOOKING = (
    "runs ls",
    "jobs ls",
    "runs best",
    "runs show",
    "runs diff",
    "runs logs",
    "report",
    "jobs ls PLACE",
    "jobs why",
)
DOING = ("submit --dry-run", "jobs cancel", "queue", "run")
ALL = tuple(dict.fromkeys((*LOOKING, "jobs ls --json", "runs show --json", "runs export", *DOING)))
NAMES = (*KEYS, *TEXTS)


def third(verbs: tuple[str, ...], at: int) -> tuple[str, ...]:
    """Return every third verb: over all files each verb meets each damage, and over all damages each file."""
    return verbs[at % 3 :: 3]


def folder(path: Path) -> None:
    path.mkdir()


def terabyte(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**40)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_text('{"status": "fini')


def other_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00\x80\x9b" * 50)


def deep_lists(path: Path) -> None:
    path.write_text("[" * DEEP + "]" * DEEP)


def deep_mappings(path: Path) -> None:
    path.write_text('{"metrics": ' + '{"a": ' * DEEP + "1" + "}" * DEEP + "}")


def deep_yaml(path: Path) -> None:
    path.write_text("overrides: " + "[" * DEEP + "]" * DEEP + "\n")


def list_of_texts(path: Path) -> None:
    path.write_text('["a", "b"]\n')


def number(path: Path) -> None:
    path.write_text("17\n")


def one_line(path: Path) -> None:
    path.write_text("a," * 1_000_000)


def not_readable(path: Path) -> None:
    path.symlink_to(path.name)


DAMAGES = (folder, terabyte, nothing, half, other_bytes, deep_lists, deep_mappings, deep_yaml, list_of_texts, number,
           one_line, not_readable)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_named_or_does_without(name, damage, arena, tmp_path):
    def build(run, sandbox):
        sandbox.queue(run)
        path = run / name
        path.unlink(missing_ok=True)
        damage(path)

    tried(build, name, arena, tmp_path, third((*LOOKING, *DOING), DAMAGES.index(damage) + NAMES.index(name)))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", KEYS)
def test_a_value_of_a_wrong_type_is_named_or_done_without(name, wrong, arena, tmp_path):
    def build(run, sandbox):
        sandbox.queue(run)
        path = run / name
        lines = path.read_text().splitlines()[-1] if name.endswith("l") and path.exists() else "{}"
        found = json.loads(lines if name.endswith("l") else path.read_text() if path.exists() else "{}")
        found |= dict.fromkeys(KEYS[name], WRONG[wrong])
        path.write_text(json.dumps(found) + "\n")

    tried(build, name, arena, tmp_path, third(ALL, list(WRONG).index(wrong) + NAMES.index(name)))


READ_AGAIN = ("config.yaml", "status.json", "manifest.json", "fingerprint.json", "losses.f64", "code.patch")
REPEATING = [*(("reproduce", name) for name in READ_AGAIN), *product(("evaluate", "predict"), NAMES)]


@pytest.mark.parametrize(("verb", "name"), REPEATING)
def test_what_repeats_or_applies_a_run_names_its_damaged_file_or_does_without(verb, name, arena, tmp_path):
    """Over all files each of these verbs meets each damage."""
    damage = DAMAGES[REPEATING.index((verb, name)) % len(DAMAGES)]

    def build(run, sandbox):
        path = run / name
        path.unlink(missing_ok=True)
        damage(path)

    tried(build, name, arena, tmp_path, (verb,))


@pytest.mark.parametrize("name", ["manifest.json", "fingerprint.json", "reproduction.json", "status.json"])
def test_what_repeats_or_applies_a_run_names_a_value_of_a_wrong_type_or_does_without(name, arena, tmp_path):
    value = list(WRONG.values())[list(KEYS).index(name)]

    def build(run, sandbox):
        (run / name).write_text(json.dumps(dict.fromkeys(KEYS[name], value)) + "\n")

    tried(build, name, arena, tmp_path, ("reproduce", "evaluate", "predict"))


@pytest.mark.parametrize("name", ["queue.json", "queue.lock"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_a_damaged_queue_is_named(name, damage, arena, tmp_path):
    def build(run, sandbox):
        path = sandbox.queue(run) / name
        path.unlink(missing_ok=True)
        damage(path)

    tried(build, name, arena, tmp_path, ("queue", "jobs ls"))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("key", ["directories", "options", "devices", "pid", "version"])
def test_a_queue_with_a_value_of_a_wrong_type_is_named(key, wrong, arena, tmp_path):
    tried(lambda run, sandbox: sandbox.queue(run, **{key: WRONG[wrong]}), "queue.json", arena, tmp_path, ("queue",))


@pytest.mark.parametrize("key", ["trainer", "paths", "seed", "model", "callbacks", "name", "logger", "_target_"])
@pytest.mark.parametrize("wrong", ["a list", "a text", "null"])
def test_a_config_with_a_value_of_a_wrong_type_is_named(key, wrong, arena, tmp_path):
    def build(run, sandbox):
        sandbox.config(run, **{key: WRONG[wrong]})
        sandbox.status(run, status="interrupted")

    tried(
        build, "config.yaml", arena, tmp_path, ("run", "evaluate", "runs show", "report", "submit --dry-run", "queue")
    )


@pytest.mark.parametrize("damage", [nothing, half, deep_lists, list_of_texts, other_bytes, folder])
def test_an_index_that_is_damaged_is_made_again(damage, arena, tmp_path):
    sandbox = arena.sandbox(tmp_path / "sandbox")
    for number in range(20):
        shutil.copytree(sandbox.mine, sandbox.project / "runs" / "mine" / f"copy{number}", symlinks=True)
    listed = ["runs", "ls", "--columns", "status,step,test_acc"]  # without the ages of runs
    first = arena.give(sandbox, listed)
    (index,) = (sandbox.home / ".cache" / "leyden").glob("runs-*.json")
    index.unlink()
    damage(index)

    assert arena.give(sandbox, listed) == first


def tried(build, name, arena, tmp_path, verbs):
    """Give all *verbs*, in one sandbox; every listing shows the user's own run."""
    attack = Attack(f"{name} is damaged", Kind.DAMAGED, build, harmless_to=tuple(verbs), wall="-")
    sandbox = arena.sandbox(tmp_path / "sandbox")
    build(sandbox.run, sandbox)
    for verb in verbs:
        code, printed = arena.tried(attack, verb, sandbox)
        if verb in LISTING and verb != "runs export":
            assert code == 0, printed
        if verb == "runs ls":
            assert "mine/kept" in printed
        if code == 2:
            told = (os.path.basename(name), name.partition(".")[0], "has no", "the experiment: ")
            assert any(each in printed for each in told), (verb, printed)
