"""Secrets of 30 kinds, planted wherever a run looks, are in no file afterwards; what only looks like one is kept."""

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from urllib.parse import quote

import pytest
import yaml

from tests.journeys.command import ENVIRONMENT

WORD, HEX = "aB3dE5fG7hI9kL1mN2oP4qR6sT8uV0wX", "0123456789abcdef0123456789abcdef01234567"
PLANTED = {  # the variable, its value, and the part of it that must be nowhere
    "SERVICE_API_KEY": (f"{HEX[::-1]}", HEX[::-1]),
    "SERVICE_PASSWORD": ("correct-horse-battery", "correct-horse-battery"),
    "DB_PASSWORD": ("p@ss/w0rd?", "p@ss/w0rd?"),
    "PLACE_1": (f"https://me:hunter2{HEX[:6]}@mlflow.example.org/api", f"hunter2{HEX[:6]}"),
    "PLACE_2": (f"https://{HEX[2:30]}@example.org/x", HEX[2:30]),
    "PLACE_3": (f"https://example.org/x?page=2&api_key=q{HEX[3:20]}", f"q{HEX[3:20]}"),
    "PLACE_4": (f"https://a.blob.core.windows.net/c?sv=1&sig=w{HEX[4:22]}%3D", f"w{HEX[4:22]}"),
    "PLACE_5": (f"https://b.s3.amazonaws.com/k?X-Amz-Signature=e{HEX[5:30]}", f"e{HEX[5:30]}"),
    "PLACE_6": (f"https://example.org/x?token=r{HEX[6:21]}", f"r{HEX[6:21]}"),
    "PLACE_7": (f"postgresql://me:t{HEX[7:16]}@db/x", f"t{HEX[7:16]}"),
    "HEADER_1": (f"Authorization: Bearer y{HEX[8:30]}", f"y{HEX[8:30]}"),
    "HEADER_2": ("Authorization: Basic bWU6czNjcmV0LXB3LTQy", "bWU6czNjcmV0LXB3LTQy"),
    "HEADER_3": (f"X-Api-Key: u{HEX[9:25]}", f"u{HEX[9:25]}"),
    "LINE_1": (f"machine api.wandb.ai login user password i{HEX[10:30]}", f"i{HEX[10:30]}"),
    "LINE_2": (f"AccountName=a;AccountKey=o{HEX[11:30]}==;EndpointSuffix=x", f"o{HEX[11:30]}"),
    "LINE_3": (f"docker login -u me -p p{HEX[12:24]} registry", f"p{HEX[12:24]}"),
    "LINE_4": (f"run --password a{HEX[13:24]} --verbose", f"a{HEX[13:24]}"),
    "LINE_5": (f'{{"username":"me","key":"{HEX[:31]}f"}}', f"{HEX[:31]}f"),
    "VALUE_1": (f"hf_{WORD}", WORD),
    "VALUE_2": (f"sk-proj-{WORD[::-1]}", WORD[::-1]),
    "VALUE_3": (f"ghp_Q{WORD}abc", f"Q{WORD}"),
    "VALUE_4": (f"glpat-W{WORD[:19]}", f"W{WORD[:19]}"),
    "VALUE_5": (f"xoxb-123456789012-E{WORD}", f"E{WORD}"),
    "VALUE_6": ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    "VALUE_7": (f"AIzaT{WORD}ab", f"T{WORD}"),
    "VALUE_8": (f"wandb_v1_Y{WORD}", f"Y{WORD}"),
    "VALUE_9": (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.U{WORD}", f"U{WORD}"),
    "VALUE_10": (f"sk_live_I{WORD}", f"I{WORD}"),
    "VALUE_11": (f"npm_O{WORD}abc", f"O{WORD}"),
    "VALUE_12": (f"pypi-AgEIcHlwaS5vcmcP{WORD}", f"P{WORD}"),
    "VALUE_13": (f"SK{HEX[1:33]}", HEX[1:33]),
}
NAMED = ("SERVICE_API_KEY", "SERVICE_PASSWORD", "DB_PASSWORD")
IN_SOURCE = {  # in files that are not committed; a secret is the text behind the last space or quote
    "literal.py": "password = 'l1teral-horse'\nHEADERS = {'Authorization': 'Bearer s0urce-horse-12'}\n",
    "url.py": f"URL = f'https://example.org/?api_key=s{HEX[14:30]}&page=2'\nREMOTE = 'https://z{HEX[15:30]}@host'\n",
    "settings.yaml": "client:\n  password: s3ttings-horse\n  pad_token: '[PAD]'\n",
    "key.py": "KEY = '''-----BEGIN RSA PRIVATE KEY-----\nMIIEsource1\nMIIEsource2\n-----END RSA PRIVATE KEY-----'''\n",
}
FROM_SOURCE = ("l1teral-horse", "s0urce-horse-12", f"s{HEX[14:30]}", f"z{HEX[15:30]}", "s3ttings-horse", "MIIEsource")
REMOTE = f"r3mote{HEX[16:30]}"
LITERAL = "l1ttle-secret-99"  # known to the program alone
HARMLESS = {
    "pad_token": "[PAD]",
    "max_tokens": 512,
    "tokenizer": "bert-base-uncased-2",
    "sha256": hashlib.sha256(b"harmless").hexdigest(),
    "commit": hashlib.sha256(b"commit").hexdigest()[:40],
    "page": "https://example.org/list?page=2&sort=key",
    "remote": "git@github.com:user/repo.git",
    "secret_santa": True,
    "author": "me.myself2@example.org",
    "password_field": 3,
    "monitor_key": "val_loss_epoch_2_of_9",
    "image": "registry.example.org:5000/team/image",
}
CALLBACK = '''
import logging
import os
import sys
import warnings
import torch
from leyden import Callback


class Session:
    """Holds what it was given."""

    def __init__(self, api_key):
        self.api_key = api_key


class Client(Callback):
    """Is given secrets, and careless with them wherever it can be."""

    def __init__(self, given, harmless, fail=False):
        self.given, self.harmless, self.fail = dict(given), dict(harmless), fail
        self.literal = "l1ttle-" + "secret-99"

    def state_dict(self):
        return {"given": dict(self.given), "api_key": self.literal, "count": 3}

    def load_state_dict(self, state):
        assert state["count"] == 3

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        checkpoint["client"] = {"values": list(self.given.values()), "kept": 4}

    def on_train_start(self, trainer, pl_module):
        for name, value in self.given.items():
            logging.getLogger("leyden.run").info("%s is %s", name, value)
            print("got", value)
            print("as", repr(value), file=sys.stderr)
            warnings.warn(f"careful with {value}", stacklevel=1)
        print("password:", self.literal)
        sys.stdout.write("api_key=")
        sys.stdout.write(self.literal)
        sys.stdout.write("\\n-----BEGIN PRIVATE KEY-----\\n")
        print("MIIEprinted1")
        print("MIIEprinted2\\n-----END PRIVATE KEY-----")
        print("harmless", self.harmless)
        hparams = {
            "client": {"values": list(self.given.values()), **self.given, "password": self.literal},
            "session": Session(self.literal),
            "harmless": dict(self.harmless),
            "credentials": ["me", self.literal],
        }
        pl_module.save_hyperparameters(hparams)
        for logger in trainer.loggers:
            logger.log_hyperparams(hparams)

    def on_train_batch_end(self, trainer, pl_module, *args):
        for value in self.given.values():
            pl_module.log(f"loss of {value}", 1.0)

    def on_train_epoch_end(self, trainer, pl_module):
        if self.fail and not os.path.exists("repaired"):
            raise RuntimeError(f"403 for {self.given} with password={self.literal}")
'''


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=T", "-c", "user.email=t@x.org", *words], cwd=folder, check=True, capture_output=True
    )


def project_in(folder):
    """Make a project with a committed state, changes that hold secrets, and a remote with a token."""
    place = folder / "experiments" / "service"
    place.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (place / "client.py").write_text(CALLBACK)
    given = {name.lower(): f"${{oc.env:{name}}}" for name in PLANTED}
    client = {"_target_": "experiments.service.client.Client", "given": given, "harmless": HARMLESS}
    (place / "experiment.yaml").write_text(yaml.safe_dump({"name": "service", "callbacks": {"client": client}}))
    (place / "literal.py").write_text("password = input()\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    git(folder, "remote", "add", "origin", f"https://{REMOTE}:x-oauth-basic@github.com/user/repo.git")
    for name, text in IN_SOURCE.items():
        (place / name).write_text(text)


def contents(path):
    """Yield what a file holds, and, of archives and compressed files, what is in them."""
    raw = path.read_bytes()
    yield str(path).encode()
    yield raw
    if zipfile.is_zipfile(io.BytesIO(raw)):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for name in archive.namelist():
                inner = archive.read(name)
                yield inner
                if inner[:2] == b"PK":
                    with zipfile.ZipFile(io.BytesIO(inner)) as nested:
                        yield from map(nested.read, nested.namelist())
    if raw[:2] == b"\x1f\x8b":
        unpacked = gzip.decompress(raw)
        yield unpacked
        if path.name.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
                yield from (archive.extractfile(member).read() for member in archive if member.isfile())


def found_in(folders, texts):
    """Return files and the texts they hold."""
    forms = {form.encode(): text for text in texts for form in (text, quote(text, safe=""), repr(text)[1:-1])}
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        (path.name, text)
        for path in files
        for content in contents(path)
        for form, text in forms.items()
        if form in content
    }


def run(folder, *words, **variables):
    done = subprocess.run(
        [sys.executable, "-m", "leyden", *words], cwd=folder, check=False, capture_output=True, text=True, timeout=280,
        env={**ENVIRONMENT, "XDG_CACHE_HOME": str(folder / "cache"), **variables},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project in which a queue has executed two careless runs: one has finished, the other has failed."""
    folder = tmp_path_factory.mktemp("planted")
    project_in(folder)
    values = {name: value for name, (value, _) in PLANTED.items()}
    words = [
        "experiment=service", "trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1",
        "data=synthetic", "data.samples=60", "model.hidden=[4]", "logger=many", "snapshot=true",
        "trainer.accelerator=cpu", "+callbacks.client.fail=false,true", "trainer.log_every_n_steps=1",
    ]  # fmt: skip
    code, said = run(folder, "train", "-m", *words, **values)
    assert code == 1, said[-4000:]
    report = ("report", *map(str, directories(folder)), "--out", "report.html")
    for verb in (report, ("runs", "ls"), ("runs", "export", "runs.csv")):
        code, said = run(folder, *verb, **values)
        assert code == 0, said[-4000:]
    return folder


def directories(folder):
    return sorted(
        path.parent for path in (folder / "runs").rglob("config.yaml") if (path.parent / "status.json").exists()
    )


def test_there_is_something_of_every_kind_to_look_through(done):
    names = {path.name for path in (done / "runs").rglob("*") if path.is_file()}
    finished, failed = directories(done)

    expected = """config.yaml overrides.yaml manifest.json code.patch code.tar.gz rank0.log job.log attempts.jsonl
    metrics.csv hparams.yaml queue.json job.json result.json"""
    assert set(expected.split()) - names == set()
    assert [name for name in names if name.startswith("events.out")]
    assert [name for name in names if name.endswith(".wandb")]
    assert [name for name in names if name.endswith(".ckpt")]
    assert "403 for" in (failed / "status.json").read_text()
    assert "MIIE" not in (finished / "logs" / "job.log").read_text()
    assert (finished / "logs" / "job.log").read_text().count("got ") == len(PLANTED)
    assert "as <secret>" in (finished / "logs" / "job.log").read_text().replace("'", "")


def test_no_file_holds_any_of_them(done):
    parts = [part for _, part in PLANTED.values()]
    beside = [done / "report.html", done / "runs.csv"]

    assert len(PLANTED) + len(FROM_SOURCE) + 2 > 25
    assert found_in([done / "runs", done / "cache"], [*parts, *FROM_SOURCE, REMOTE, LITERAL, "MIIEprinted"]) == set()
    assert [part for part in parts for path in beside if part.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_a_secret_is_kept_as_it_is(name, done):
    finished, _ = directories(done)
    value = HARMLESS[name]

    config = yaml.safe_load((finished / "config.yaml").read_text())
    hparams = yaml.safe_load((finished / "hparams.yaml").read_text())
    assert config["callbacks"]["client"]["harmless"][name] == value
    assert hparams["harmless"][name] == value
    assert f"{name!r}: {value!r}" in (finished / "logs" / "job.log").read_text()


def test_the_config_refers_to_every_variable(done):
    finished, _ = directories(done)

    given = yaml.safe_load((finished / "config.yaml").read_text())["callbacks"]["client"]["given"]

    assert given == {name.lower(): f"${{oc.env:{name}}}" for name in PLANTED}


def test_the_failed_run_goes_on_with_the_variables_and_is_refused_without(done):
    _, failed = directories(done)
    (done / "repaired").touch()
    values = {name: value for name, (value, _) in PLANTED.items()}

    without, said = run(done, "run", str(failed))
    with_them, finished = run(done, "run", str(failed), **values)

    assert without == 2
    assert "which is not set here" in said
    assert with_them == 0, finished[-4000:]
    assert found_in([failed], [part for _, part in PLANTED.values()]) == set()


@pytest.mark.parametrize(
    "line",
    ["export API_KEY=abc123", f"curl -H 'Authorization: Bearer {WORD}' https://host", "export A=${oc.env:VALUE_1}"],
)
def test_a_secret_in_a_batch_script_is_refused_before_there_is_one(line, done):
    values = {name: value for name, (value, _) in PLANTED.items()}
    before = set((done / "runs").rglob("*"))

    code, said = run(done, "submit", "--dry-run", "data=synthetic", f'hydra.launcher.setup=["{line}"]', **values)

    assert code == 2
    assert re.search("hydra.launcher.setup +(looks like|holds what looks like) a secret", said)
    assert "abc123" not in said
    assert WORD not in said
    assert set((done / "runs").rglob("*")) == before


def test_a_batch_script_holds_nothing_of_the_environment_that_submits_it(done):
    values = {name: value for name, (value, _) in PLANTED.items()}

    code, said = run(done, "submit", "--dry-run", "data=synthetic", "hydra.launcher.setup=['echo $API_KEY']", **values)

    assert code == 0
    assert "echo $API_KEY" in said
    assert [part for _, part in PLANTED.values() if part in said] == []
    assert os.path.exists(done / "runs")
