"""A report tells what its run directories hold, whatever is missing, and nothing in them gets into the page's code."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from leyden.cli.report import main
from leyden.errors import ConfigurationError, RunError
from leyden.runs.report import gather, page
from tests import written_runs

VOID = {"meta", "link", "input", "br", "img", "hr"}
EVIL = "<script>alert(1)</script>"
FINGERPRINT = {
    "version": 1,
    "complete": True,
    "initial_weights": {"step": 0, "sha256": "a1" * 32},
    "final_weights": {"step": 24000, "sha256": "d4" * 32},
}


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, and the text of each section."""

    def __init__(self, *directories: Path) -> None:
        super().__init__()
        self.source = page([gather(path) for path in directories])
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self._section = "header"
        self.feed(self.source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and self.get_starttag_text()[-2:] != "/>":
            self._open.append(tag)
        if tag == "section":
            self._section = dict(attrs)["id"]
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID and tag != "path":
            assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            self.scripts.append(data)
        elif "style" not in self._open:
            self.sections[self._section] = self.sections.get(self._section, "") + data
            if self.rows and self.rows[-1] and ("td" in self._open or "th" in self._open):
                self.rows[-1][-1] += data

    def classes(self, tag: str) -> list[str]:
        return [attributes.get("class") or "" for name, attributes in self.elements if name == tag]


@pytest.fixture
def run(tmp_path):
    results = {"metrics": {"test_acc": 0.971}, "optimized_metric": None, "value": None}
    found = written_runs.write(
        tmp_path / "digits" / "first",
        typed=("seed=1",),
        metrics_csv=written_runs.metrics(),
        result_json=results,
        fingerprint_json=FINGERPRINT,
    )
    (found / "logs" / "rank0.log").write_text(written_runs.log())
    return found


def test_a_report_shows_every_part_of_a_run(run):
    found = Page(run)

    assert list(found.sections) == [
        *("header", "curves", "learning-rate-and-throughput", "results", "reproduction", "fingerprint"),
        *("config", "manifest", "log"),
    ]
    assert "digits" in found.sections["header"]
    assert "✓ finished" in found.sections["header"]
    assert "21 min 42 s" in found.sections["header"]
    assert ["test_acc", "0.971", "–", "–"] in found.rows  # noqa: RUF001 - a dash, as in tables
    assert ["optimizer.lr", "0.003"] in found.rows
    assert ["environment.python", "3.11.9"] in found.rows
    assert ["initial weights", "step 0", "a1" * 32] in found.rows
    assert "seed=1" in found.sections["config"]
    assert "epoch 19, step 24000" in found.sections["log"]


def test_training_and_validation_share_a_figure(run):
    found = Page(run)

    figures = [attributes["aria-label"] for tag, attributes in found.elements if tag == "figure"]
    assert figures == ["loss over step", "acc over step", "learning rate over step", "training speed over step"]
    assert "train" in found.sections["curves"]
    assert "val" in found.sections["curves"]


def test_a_figure_has_a_linear_and_a_logarithmic_scale(run):
    found = Page(run)

    loss = found.classes("div")
    assert loss.count("plot linear") == loss.count("plot log") == 4


def test_a_page_refers_to_nothing_outside_of_it(run):
    found = Page(run)

    references = [each for _, attributes in found.elements for each in attributes.items() if each[0] in ("src", "href")]
    assert references == [("href", "data:,")]
    assert "http:" not in found.source.replace('http-equiv="', "")
    assert "https:" not in found.source
    assert "url(" not in found.source


def test_a_browser_is_told_to_run_our_script_and_no_other(run):
    found = Page(run)

    (script,) = found.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(attributes["content"] for tag, attributes in found.elements if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy


@pytest.fixture
def hostile(tmp_path):
    """A directory in which every text is an attempt."""
    found = written_runs.write(
        tmp_path / "a<img src=x onerror=alert(1)>",
        {"name": f"</title>{EVIL}", "evil": EVIL, EVIL: '" onclick="alert(1)', "late": "\u202etxt"},
        typed=(f"x='{EVIL}",),
        metrics_csv=f'step,"{EVIL}",train_loss,"a"" onmouseover=""alert(1)"\n0,1,nan,3\n1,2,2.5,4\n2,1e300,inf,5\n',
        status_json={**written_runs.STATUS, "status": "failed", "error": EVIL, "host": EVIL, "step": EVIL},
        manifest_json={"code": {EVIL: EVIL}, EVIL: [EVIL]},
        fingerprint_json={"initial_weights": {"step": EVIL, "sha256": EVIL}, "losses": EVIL},
        reproduction_json={"of": EVIL, "verdict": EVIL, "preflight": [{"key": EVIL}, 3], "compared": {"checks": [{}]}},
    )
    (found / "logs" / "rank0.log").write_text(f"</pre>{EVIL}\n")
    return found


def test_nothing_in_a_directory_becomes_code_of_the_page(hostile):
    found = Page(hostile)

    tags = {tag for tag, _ in found.elements}
    assert tags.isdisjoint({"img", "iframe", "object", "embed", "base", "form", "a"})
    assert len(found.scripts) == 1
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert EVIL in found.sections["config"]
    assert EVIL in found.sections["curves"]
    assert "\\u202etxt" in found.sections["config"]


def test_a_hostile_directory_beside_others_becomes_no_code_either(hostile, run):
    found = Page(hostile, run)

    assert len(found.scripts) == 1
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]


def test_secrets_are_covered_wherever_they_stand(tmp_path):
    token = "hf_" + "a1B2c3D4e5" * 4
    found = written_runs.write(
        tmp_path / "run",
        {"logger": {"api_key": "0123456789abcdef"}, "note": f"use {token}"},
        typed=(f"model.token={token}",),
        manifest_json={"environment": {"variables": {"MY_PASSWORD": "correct-horse-battery"}}, "argv": [token]},
        status_json={**written_runs.STATUS, "error": f"refused: {token}"},
    )
    (found / "logs" / "rank0.log").write_text(f"logged in with {token}\n")

    source = Page(found).source

    assert token not in source
    assert "0123456789abcdef" not in source
    assert "correct-horse-battery" not in source
    assert "&lt;secret&gt;" in source


def test_a_file_that_leads_elsewhere_is_not_read_and_said_so(run, tmp_path):
    (tmp_path / "private.json").write_text('{"metrics": {"private": 42}}')
    (run / "result.json").unlink()
    (run / "result.json").symlink_to(tmp_path / "private.json")

    with pytest.raises(RunError, match=r"result\.json is a link, to"):
        Page(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("status.json", "{torn"),
        ("status.json", "[1, 2]"),
        ("result.json", "[" * 100_000),
        ("manifest.json", '{"code": '),
        ("overrides.yaml", "a: !!python/object/apply:os.system [true]"),
        ("config.yaml", "a: [1, 2"),
        ("config.yaml", "a: &a [x]\nb: *a"),
        ("metrics.csv", "step,loss\n" + "1" * 2_000_000),
    ],
)
def test_a_broken_file_is_named_and_the_rest_is_shown(run, name, content):
    (run / name).write_text(content)

    found = Page(run)

    assert f"not read {name}: " in found.sections["header"]
    assert "initial weights" in found.sections["fingerprint"]


@pytest.mark.parametrize("value", [None, 10**400, float("nan"), "", "\ud800\0", [[1]], {"": {}}], ids=repr)
def test_whatever_stands_in_place_of_a_value_there_is_a_page(run, tmp_path, value):
    preflight = [{"key": value, "then": value, "now": value, "effect": value}, value]
    verdict = {
        "of": value,
        "verdict": value,
        "first_diverging_step": value,
        "difference": value,
        "preflight": preflight,
    }
    checks = {"checks": [{"what": value, "equal": value, "said": value}, value]}
    odd = written_runs.write(
        tmp_path / "odd",
        metrics_csv="step,a\n0,1e308\n1e400,5\n2,5e-324\n",
        status_json=dict.fromkeys(written_runs.STATUS, value),
        result_json={"metrics": {"a": value}},
        manifest_json={"code": value, "environment": {"python": value}, "other": value},
        fingerprint_json={"initial_weights": value, "losses": {"sha256": value, "steps": value}, "complete": value},
        reproduction_json=verdict | {"compared": checks},
    )

    assert Page(odd).source.encode()
    assert Page(run, odd).source.encode()


def test_a_run_that_has_not_begun_has_a_page(tmp_path):
    queued = {"status": "queued", "created": "2026-03-01T10:00:00+00:00", "attempts": 0}
    found = Page(written_runs.write(tmp_path / "run", status_json=queued, manifest_json=None))

    assert "… queued" in found.sections["header"]
    assert "Nothing was logged so far" in found.sections["curves"]
    assert "Not recorded." in found.sections["manifest"]


def test_why_a_run_failed_stands_at_the_top(tmp_path):
    status = {**written_runs.STATUS, "status": "failed", "error": "RuntimeError: out of memory"}
    path = written_runs.write(tmp_path / "run", status_json=status)
    (path / "logs" / "rank0.log").write_text("Traceback (most recent call last):\n")

    found = Page(path)

    assert "failed RuntimeError: out of memory" in found.sections["header"]
    assert ("details", {"open": None}) in found.elements
    assert "Traceback" in found.sections["log"]


def test_hundreds_of_thousands_of_rows_make_a_small_page_that_keeps_the_spike(tmp_path):
    values = np.random.default_rng(0).random(300_000)
    values[123_456] = 77.5
    lines = "".join(f"{step},{value!r},{value / 2!r}\n" for step, value in enumerate(values.tolist()))
    path = written_runs.write(tmp_path / "run", metrics_csv=f"step,train_loss,grad\n{lines}")

    found = Page(path)

    assert len(found.source) < 200_000
    (points,) = (attributes["data-y"] for tag, attributes in found.elements if "77.5" in attributes.get("data-y", ""))
    assert len(points.split()) < 500


def test_thousands_of_metrics_make_a_page_below_two_megabytes(tmp_path):
    names = ",".join(f"metric_{number}" for number in range(1500))
    lines = "".join(f"{step},{','.join(str((step * 7) % 11 + 0.123456) for _ in range(1500))}\n" for step in range(40))
    runs = [written_runs.write(tmp_path / str(at), metrics_csv=f"step,{names}\n{lines}") for at in range(6)]

    found = Page(*runs)

    assert len(found.source.encode()) < 2_000_000
    assert "1420 more are in metrics.csv" in found.sections["not-drawn"]


def test_figures_are_found_by_what_was_measured(tmp_path):
    names = [
        "train_loss_step",
        "train_loss_epoch",
        "val/loss",
        "params_norm",
        "lr-Adam/pg1",
        "lr-Adam/pg2",
        "cpu_percent",
    ]
    names += ["train/device/samples_per_sec", "train/samples"]
    rows = "".join(f"{step},{','.join(str(step + at) for at in range(9))}\n" for step in range(3))
    path = written_runs.write(tmp_path / "run", metrics_csv=f"step,{','.join(names)}\n{rows}")

    found = Page(path)

    titles = [attributes["aria-label"] for tag, attributes in found.elements if tag == "figure"]
    assert titles == [
        *("loss over step", "params_norm over step", "learning rate over step", "device/samples_per_sec over step"),
        "cpu_percent over step",
    ]
    assert "train (epoch)" in found.sections["curves"]
    assert "lr-Adam/pg2" in found.sections["learning-rate-and-throughput"]
    assert "cpu_percent" in found.sections["machine"]
    assert "train/samples" not in found.sections["results"]


def test_values_that_are_no_numbers_are_counted_not_drawn(tmp_path):
    path = written_runs.write(tmp_path / "run", metrics_csv="step,loss\n0,1.0\n10,2.0\n20,nan\n30,inf\n")

    found = Page(path)

    assert "2 values are not finite (nan or inf), the first at step 20" in found.sections["curves"]


def test_a_comparison_shows_only_what_differs_first(tmp_path):
    first = written_runs.write(tmp_path / "one", typed=("seed=1",), metrics_csv=written_runs.metrics())
    other = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1}, "seed": 1}
    second = written_runs.write(
        tmp_path / "two", other, typed=("seed=1", "optimizer=sgd"), metrics_csv="step,val_acc\n"
    )

    found = Page(first, second)

    start = found.sections["config"].partition("All values")[0]
    assert "optimizer._target_torch.optim.AdamWtorch.optim.SGD" in start
    assert "optimizer.lr0.0030.1" in start
    assert "seed" not in start.partition("optimizer.lr")[2]
    assert "paths.run_dir" not in start
    assert "The manifests are equal." in found.sections["manifest"]
    assert found.classes("tr").count("differs") == 2


def test_runs_are_named_by_what_was_typed_for_them_alone(tmp_path):
    long = f"callbacks=[{','.join('abcdefghijklmnopqrst')}]"
    words = [("seed=1",), ("seed=1", long, "model.hidden=[8]"), ("seed=1", "optimizer=sgd", "optimizer.lr=0.1")]
    runs = [written_runs.write(tmp_path / str(at), typed=typed) for at, typed in enumerate(words)]

    found = Page(*runs)

    names = [row[0] for row in found.rows[1:4]]
    assert names == ["defaults", "model.hidden=[8] …", "optimizer=sgd optimizer.lr=0.1"]


def test_a_reproduction_is_named_as_one(run):
    verdict = {"of": str(run), "verdict": "exact"}
    copy = written_runs.write(run.parent / "first-reproduced", typed=("seed=1",), reproduction_json=verdict)

    found = Page(run, copy)

    assert [row[0] for row in found.rows[1:3]] == ["defaults", "defaults (reproduced)"]
    assert found.sections["reproduction"].count("exact") == 1


def test_runs_that_were_typed_alike_are_named_by_their_directories(tmp_path):
    runs = [written_runs.write(tmp_path / name, typed=("seed=1",)) for name in ("one", "two")]

    found = Page(*runs)

    assert [row[0] for row in found.rows[1:3]] == ["one", "two"]


def test_the_verdict_of_a_reproduction_beside_the_run_is_shown(run):
    found = {"of": str(run), "verdict": "different", "first_diverging_step": 17, "difference": 0.25, "preflight": []}
    written_runs.write(run.parent / "first-reproduced", reproduction_json=found)

    shown = Page(run).sections["reproduction"]

    assert "✗ different repeated as first-reproduced; first diverging step 17, by 0.25" in shown


def test_the_verdict_in_the_directory_itself_is_shown(run):
    checks = [{"what": "final weights", "equal": True, "said": "sha256 d4d4"}]
    preflight = [{"key": "environment.python", "then": "3.11.9", "now": "3.12.1", "effect": "may"}]
    verdict = {"of": "/gone/original", "verdict": "exact", "preflight": preflight, "compared": {"checks": checks}}
    (run / "reproduction.json").write_text(json.dumps(verdict))

    found = Page(run)

    assert "✓ exact repeats original" in found.sections["reproduction"]
    assert ["final weights", "equal", "sha256 d4d4"] in found.rows
    assert ["environment.python", "may break exactness", "3.11.9", "3.12.1"] in found.rows


def test_fingerprints_side_by_side_say_whether_they_agree(run, tmp_path):
    other = {**FINGERPRINT, "final_weights": {"step": 24000, "sha256": "ee" * 32}}
    second = written_runs.write(tmp_path / "second", fingerprint_json=other)

    found = Page(run, second)

    assert ["initial weights", "a1" * 6, "a1" * 6, "equal"] in found.rows
    assert ["final weights", "d4" * 6, "ee" * 6, "differ"] in found.rows


def test_the_loss_of_every_step_is_drawn_where_it_was_recorded(run):
    np.linspace(2.0, 0.1, 1000).astype("<f8").tofile(run / "losses.f64")

    figures = [attributes.get("aria-label") for tag, attributes in Page(run).elements if tag == "figure"]

    assert "loss of every training step over batch" in figures


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"holds no config\.yaml"):
        gather(tmp_path)


def test_more_runs_than_can_be_told_apart_are_refused(run):
    with pytest.raises(ConfigurationError, match=r"25 runs were given .* Choose some of them"):
        page([gather(run)] * 25)


def test_the_command_writes_a_page_and_replaces_it_by_a_newer_one(run, capsys):
    assert main([str(run)]) == 0
    assert main([str(run), "--out", "report.html"]) == 0

    assert capsys.readouterr().out == "report  report.html\n" * 2
    assert Path("report.html").read_text().startswith("<!doctype html><!-- leyden report -->\n")


def test_the_command_replaces_nothing_but_reports(run, capsys):
    Path("thesis.html").write_text("years of work")

    assert main([str(run), "--out", "thesis.html"]) == 2
    assert main([str(run), "--out", str(run)]) == 2

    said = capsys.readouterr().err
    assert "thesis.html exists already and is no report" in said
    assert "is a directory. Name a file in it" in said
    assert Path("thesis.html").read_text() == "years of work"


def test_the_command_refuses_what_is_no_run(capsys):
    assert main(["nowhere"]) == 2

    assert "nowhere is no directory" in capsys.readouterr().err
    assert not Path("report.html").exists()
