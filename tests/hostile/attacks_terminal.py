"""Escape sequences, control codes and marks of direction in every text of a run directory, met by all that print it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.hostile.arena import EXECUTING, LISTING, READING, Attack, Kind, Sandbox

TITLE, CLEAR = "\x1b]0;owned\x07", "\x1b[2J\x1b[H"
CLIPBOARD, LINK = "\x1b]52;c;cm0gLXJm\x1b\\", "\x1b]8;;http://127.0.0.1:1\x1b\\click\x1b]8;;\x1b\\"
C1, TURNED = "\x9b31m\x9d0;owned\x9c", "\u202egnp.exe\u2066x\u2069"
ALL = f"{TITLE}{CLEAR}{CLIPBOARD}{LINK}{C1}{TURNED}\x85\u2028\u2029\x7f\b\b\x0e[red]m[/red]"
PRINTING = (*LISTING, *READING)
SOME = ("runs show", "runs ls", "jobs why", "queue")
CANCELS = ("jobs cancel", "jobs cancel --now", "jobs retry", "queue", "runs pin", "runs rm")


def _json(name: str, **changes: object) -> Callable[[Path, Sandbox], None]:
    """Return what changes entries of a JSON file."""

    def build(run: Path, sandbox: Sandbox) -> None:
        file = run / name
        found = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps({**found, **changes}, ensure_ascii=False))

    return build


def _status(**changes: object) -> Callable[[Path, Sandbox], None]:
    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.status(run, **changes)
        sandbox.queue(run)

    return build


def _text(name: str, content: bytes) -> Callable[[Path, Sandbox], None]:
    """Return what writes a file."""

    def build(run: Path, sandbox: Sandbox) -> None:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)

    return build


def _config(**changes: object) -> Callable[[Path, Sandbox], None]:
    def build(run: Path, sandbox: Sandbox) -> None:
        sandbox.config(run, **changes)
        sandbox.status(run, status="interrupted")

    return build


def _beside(name: str) -> Callable[[Path, Sandbox], None]:
    """Return what makes a second run with a hostile name beside the first, and a queue of both."""

    def build(run: Path, sandbox: Sandbox) -> None:
        other = run.parent / name
        os.rename(run, other)
        run.symlink_to(other.name)
        sandbox.queue(other)

    return build


def raw_config(run: Path, sandbox: Sandbox) -> None:
    """Write the config with raw C1 codes and marks, which YAML would write as escapes."""
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(f"# \u202e\x85 {C1.strip()}\n{text}")


def broken_config(run: Path, sandbox: Sandbox) -> None:
    (run / "config.yaml").write_text(f"name: x\n{TITLE}: [{CLEAR}\n")
    sandbox.status(run, status="interrupted")


def unknown_key(run: Path, sandbox: Sandbox) -> None:
    sandbox.config(run, **{f"model__{ALL.replace('_', '')}": 1})
    sandbox.status(run, status="interrupted")


def target_in_escapes(run: Path, sandbox: Sandbox) -> None:
    sandbox.config(run, model___target_=f"os.{ALL}")
    found = yaml.safe_load((run / "config.yaml").read_text())
    found["model"] = {**found["model"], "_target_": f"os.{ALL}"}
    (run / "config.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
    sandbox.status(run, status="interrupted")


def metric_names(run: Path, sandbox: Sandbox) -> None:
    (run / "metrics.csv").write_text(f'step,"{ALL}",val_loss\n0,1.0,2.0\n', newline="\n")
    _json("result.json", metrics={ALL: 1.0, "test_acc": 0.5})(run, sandbox)


def checkpoint_name(run: Path, sandbox: Sandbox) -> None:
    folder = run / "checkpoints"
    for file in list(folder.glob("*.ckpt")):
        os.link(file, folder / f"best{TITLE}{CLEAR}{file.name}")


def log_of_bars(run: Path, sandbox: Sandbox) -> None:
    lines = [f"loss {number}\r\x1b[A\x1b[2K" for number in range(50)]
    (run / "logs" / "rank0.log").write_bytes("".join(lines).encode() + bytes(range(256)) + b"\xc2")


def traceback_in_log(run: Path, sandbox: Sandbox) -> None:
    trace = f'Traceback (most recent call last):\n  File "{ALL}", line 1, in {ALL}\nValueError: {ALL}\n'
    begun = "2030-01-01 00:00:00,000 INFO leyden.run: attempt 1"
    (run / "logs" / "rank0.log").write_text(f"{begun}\n{CLEAR}\n{trace}")
    sandbox.status(run, status="failed", error=ALL)


def long_line(run: Path, sandbox: Sandbox) -> None:
    (run / "logs" / "rank0.log").write_bytes(b"\x1b[31m" * 200_000 + b"x" * 2_000_000)
    sandbox.status(run, status="failed", error="y" * 500_000 + TITLE)


def manifest(run: Path, sandbox: Sandbox) -> None:
    found = json.loads((run / "manifest.json").read_text())
    found["code"] |= {"root": ALL, "commit": ALL, "branch": ALL, "hash": ALL, "note": ALL, "untracked": {ALL: ALL}}
    found["environment"] |= {"python": ALL, "platform": ALL, "gpus": [ALL], "torch": {"version": ALL, "cuda": ALL}}
    found["environment"]["packages"] = {ALL: ALL}
    found["environment"]["variables"] = {ALL: ALL, "OMP_NUM_THREADS": ALL}
    found |= {"seeds": {ALL: ALL}, "data": {ALL: {"sha256": ALL}}, "loaders": {ALL: {ALL: ALL}}}
    found |= {ALL: ALL, "argv": [ALL]}
    (run / "manifest.json").write_text(json.dumps(found, ensure_ascii=False))


def overrides(run: Path, sandbox: Sandbox) -> None:
    content = {"overrides": [f"seed={ALL}", ALL], "choices": {ALL: ALL, "model": ALL}}
    (run / "overrides.yaml").write_text(yaml.safe_dump(content))


def patch(run: Path, sandbox: Sandbox) -> None:
    head = f"diff --git a/{TITLE} b/{TITLE}\n--- a/{TITLE}\n+++ b/{TITLE}\n@@ -1 +1 @@\n"
    (run / "code.patch").write_text(f"{head}-{C1}\n+{ALL}\n")
    found = json.loads((run / "manifest.json").read_text())
    found["code"] |= {"patch": "code.patch", "dirty": True}
    (run / "manifest.json").write_text(json.dumps(found))


def job_of_escapes(run: Path, sandbox: Sandbox) -> None:
    sandbox.job(run, id=ALL, batch=ALL, log=f"logs/{TITLE}", submitted=ALL, launcher="slurm")
    sandbox.status(run, status="queued", reason=ALL, host=ALL, job=ALL)


def launcher_of_escapes(run: Path, sandbox: Sandbox) -> None:
    sandbox.job(run, id="1_0", launcher=ALL)
    sandbox.status(run, status="failed", error=ALL)


def attempts(run: Path, sandbox: Sandbox) -> None:
    names = ("outcome", "reason", "error", "host", "job", "started", "ended")
    line = {"attempt": 1, **dict.fromkeys(names, ALL)}
    (run / "attempts.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n")
    sandbox.status(run, status="interrupted", reason=ALL)


def queue_of_escapes(run: Path, sandbox: Sandbox) -> None:
    sandbox.queue(run, run.parent / f"no{TITLE}{CLEAR}\nsuch", devices={ALL: [ALL]}, host=ALL)


def damaged_queue(run: Path, sandbox: Sandbox) -> None:
    sandbox.queue(run, directories=[ALL, 3], options=ALL)


ATTACKS = [
    *(
        Attack(
            f"{what} in the error of a run",
            Kind.TERMINAL,
            _status(status="failed", error=text, reason=text),
            harmless_to=(*PRINTING, "queue", "runs pin") if text == ALL else SOME,
            wall="terminal.printable",
            never=(text,),
        )
        for what, text in {
            "a title": TITLE,
            "a cleared screen": CLEAR,
            "a clipboard": CLIPBOARD,
            "a hyperlink": LINK,
            "C1 codes": C1,
            "turned letters": TURNED,
            "line separators": "a\u2028b\u2029c\x85d",
            "backspaces": "good\b\b\b\bevil\x7f",
            "everything": ALL,
        }.items()
    ),
    Attack(
        "everything in the reason of a queued run",
        Kind.TERMINAL,
        _status(status="queued", reason=ALL, host=ALL),
        harmless_to=("jobs ls", "jobs why", "queue", "runs show", "runs ls"),
        wall="terminal.printable",
    ),
    Attack(
        "everything in the error, on a terminal",
        Kind.TERMINAL,
        _status(status="failed", error=ALL),
        harmless_to=("runs show", "runs ls", "jobs why", "jobs ls PLACE", "queue"),
        wall="terminal.printable",
        terminal=True,
    ),
    Attack(
        "a state of escapes",
        Kind.TERMINAL,
        _status(status=ALL, created=ALL, updated=ALL, started=ALL),
        harmless_to=(*PRINTING, "queue"),
        wall="terminal.printable",
    ),
    Attack(
        "escapes in the config",
        Kind.TERMINAL,
        _config(name=ALL, tags=[ALL], seed=ALL),
        harmless_to=(*PRINTING, *EXECUTING, *CANCELS),
        wall="terminal.printable_lines",
    ),
    Attack(
        "escapes in a key of the config",
        Kind.TERMINAL,
        unknown_key,
        harmless_to=(*PRINTING, "run", "evaluate"),
        wall="terminal.complain",
    ),
    Attack(
        "escapes in a target",
        Kind.TERMINAL,
        target_in_escapes,
        harmless_to=(*READING, "run", "evaluate", "reproduce"),
        wall="terminal.complain",
    ),
    Attack(
        "raw codes in the config",
        Kind.TERMINAL,
        raw_config,
        harmless_to=(*READING, "run", "evaluate"),
        wall="terminal.printable_lines",
    ),
    Attack(
        "a config that is no YAML and full of escapes",
        Kind.TERMINAL,
        broken_config,
        refused_by=("run", "evaluate"),
        harmless_to=PRINTING,
        said="config",
        wall="terminal.complain",
    ),
    Attack(
        "escapes in a log",
        Kind.TERMINAL,
        _text("logs/rank0.log", f"{ALL}\n{ALL}".encode()),
        harmless_to=("runs logs", "jobs logs", "report", "jobs why"),
        wall="terminal.Decoder",
    ),
    Attack(
        "raw bytes in a log, on a terminal",
        Kind.TERMINAL,
        log_of_bars,
        harmless_to=("runs logs", "jobs logs", "jobs why"),
        wall="terminal.Decoder",
        terminal=True,
    ),
    Attack(
        "raw bytes in a log",
        Kind.TERMINAL,
        log_of_bars,
        harmless_to=("runs logs", "jobs logs", "report"),
        wall="terminal.Decoder",
    ),
    Attack(
        "a line of megabytes of escapes",
        Kind.TERMINAL,
        long_line,
        harmless_to=("runs logs", "jobs logs", "jobs why", "runs show", "runs ls", "report"),
        wall="terminal.Decoder",
    ),
    Attack(
        "escapes in the log of a job",
        Kind.TERMINAL,
        _text("logs/job.log", ALL.encode()),
        harmless_to=("jobs logs --job", "jobs logs", "jobs why"),
        wall="terminal.Decoder",
    ),
    Attack(
        "a traceback of escapes",
        Kind.TERMINAL,
        traceback_in_log,
        harmless_to=("jobs why", "jobs ls PLACE", "runs show"),
        wall="terminal.printable",
    ),
    Attack(
        "metrics named in escapes",
        Kind.TERMINAL,
        metric_names,
        harmless_to=(*PRINTING, "evaluate"),
        wall="terminal.printable",
    ),
    Attack(
        "a manifest of escapes",
        Kind.TERMINAL,
        manifest,
        harmless_to=(*READING, "reproduce", "reproduce --code"),
        wall="terminal.printable",
    ),
    Attack("typed words of escapes", Kind.TERMINAL, overrides, harmless_to=PRINTING, wall="terminal.printable"),
    Attack(
        "a patch of escapes",
        Kind.TERMINAL,
        patch,
        harmless_to=("runs show", "runs diff", "report", "reproduce --code"),
        wall="terminal.printable",
    ),
    Attack(
        "a reproduction of escapes",
        Kind.TERMINAL,
        _json("reproduction.json", of=ALL, verdict=ALL, difference=ALL),
        harmless_to=("runs show", "runs show --json", "report"),
        wall="terminal.printable",
    ),
    Attack(
        "a fingerprint of escapes",
        Kind.TERMINAL,
        _json("fingerprint.json", **{ALL: ALL, "loss": ALL}),
        harmless_to=(*READING, "reproduce"),
        wall="terminal.printable",
    ),
    Attack(
        "a checkpoint named in escapes",
        Kind.TERMINAL,
        checkpoint_name,
        harmless_to=("runs show", "evaluate", "predict"),
        wall="terminal.printable",
    ),
    Attack(
        "a job of escapes", Kind.TERMINAL, job_of_escapes, harmless_to=(*PRINTING, *CANCELS), wall="terminal.printable"
    ),
    Attack(
        "a launcher of escapes",
        Kind.TERMINAL,
        launcher_of_escapes,
        harmless_to=(*PRINTING, "jobs retry"),
        wall="terminal.printable",
    ),
    Attack(
        "attempts of escapes",
        Kind.TERMINAL,
        attempts,
        harmless_to=("jobs why", "jobs ls PLACE", "runs show", "report"),
        wall="terminal.printable",
    ),
    Attack(
        "a queue of escapes",
        Kind.TERMINAL,
        queue_of_escapes,
        harmless_to=("queue", "jobs ls"),
        wall="terminal.printable",
    ),
    Attack(
        "a damaged queue of escapes",
        Kind.TERMINAL,
        damaged_queue,
        refused_by=("queue",),
        harmless_to=("jobs ls",),
        said="damaged|Expected",
        wall="terminal.complain",
    ),
    *(
        Attack(
            f"a folder named with {what}",
            Kind.TERMINAL,
            _beside(name),
            harmless_to=(*LISTING, "runs show", "jobs ls PLACE", "queue", "report"),
            wall="terminal.printable",
        )
        for what, name in {
            "a title": f"run{TITLE}",
            "a line break": "run\nfinished  0.99",
            "C1 codes": f"run{C1}",
            "turned letters": f"run{TURNED}",
            "markup": "[bold red]run",
        }.items()
    ),
]
