"""A report is whole in a browser: nothing is complained of or loaded, nothing overlaps, and its switches work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from leyden.runs.report import gather, page
from tests import written_runs
from tests.browser.chromium import Chromium

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"
WIDTHS = (360, 800, 1600)
SHOWN_FIGURES = "[...document.querySelectorAll('.area')].filter(each => each.offsetParent)"
OVERLAPS = """(() => {
  const found = [];
  for (const area of [...document.querySelectorAll('.area')].filter(each => each.offsetParent)) {
    const labels = [...area.querySelectorAll('b.x, b.y')]
      .map(each => [each.textContent, each.getBoundingClientRect()]);
    const card = area.closest('figure').getBoundingClientRect();
    labels.forEach(([one, a], at) => {
      if (a.left < card.left || a.right > card.right) found.push(one + ' leaves its figure');
      for (const [other, b] of labels.slice(at + 1))
        if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
          found.push(one + ' on ' + other);
    });
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Reports about one run, three, a failed one, one that has not begun, and one full of attempts."""
    folder = tmp_path_factory.mktemp("pages")
    first = written_runs.write(folder / "one", typed=("seed=1",), metrics_csv=written_runs.metrics())
    (first / "logs" / "rank0.log").write_text(written_runs.log())
    other = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.05}}
    second = written_runs.write(
        folder / "two", other, ("seed=1", "optimizer=sgd"), metrics_csv=written_runs.metrics(shift=0.4)
    )
    status = {**written_runs.STATUS, "status": "failed", "error": "RuntimeError: out of memory " * 9}
    rows = written_runs.metrics(steps=20_000, every=40)
    failed = written_runs.write(
        folder / "three", typed=("seed=1", "model.hidden=[8]"), status_json=status, metrics_csv=rows
    )
    queued = written_runs.write(folder / "four", status_json={"status": "queued"}, manifest_json=None)
    evil = written_runs.write(
        folder / "five",
        {"name": EVIL, "evil": EVIL, "long": "x" * 300},
        metrics_csv=f'step,"{EVIL}",loss\n0,1,nan\n5,2,1e-30\n9000000,3,1e30\n',
        status_json={**written_runs.STATUS, "error": EVIL},
        manifest_json={"code": {EVIL: EVIL}},
        reproduction_json={"of": EVIL, "verdict": EVIL},
    )
    runs = {"run": [first], "three": [first, second, failed], "failed": [failed], "queued": [queued], "evil": [evil]}
    for name, directories in runs.items():
        (folder / f"{name}.html").write_text(page([gather(path) for path in directories]))
    return {name: folder / f"{name}.html" for name in runs}


@pytest.fixture
def browser(tmp_path) -> Iterator[Chromium]:
    """A browser whose page has complained of nothing and loaded nothing but the report, at the end."""
    (tmp_path / "profile").mkdir()
    with Chromium(tmp_path / "profile") as browser:
        yield browser
        assert browser.complaints == []
        assert {address.rpartition("/")[0] for address in browser.loaded} <= {browser.loaded[0].rpartition("/")[0]}
        assert all(address.endswith(".html") for address in browser.loaded)


@pytest.mark.parametrize("name", ["run", "three", "failed", "queued", "evil"])
def test_nothing_overlaps_or_leaves_the_window(browser, pages, name):
    for width in WIDTHS:
        browser.show(pages[name], width=width)
        for each in range(int(browser.value("document.querySelectorAll('.to-log').length"))):
            assert browser.value(OVERLAPS) == []
            browser.value(f"document.querySelectorAll('.to-log')[{each}].click()")
        browser.value("document.querySelectorAll('details').forEach(each => { each.open = true })")

        assert browser.value(OVERLAPS) == []
        assert browser.value("document.documentElement.scrollWidth") <= width


def test_what_is_hostile_is_text(browser, pages):
    browser.show(pages["evil"])

    assert browser.value("document.querySelectorAll('script').length") == 1
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.value("document.querySelector('h1').textContent").startswith(EVIL[:40])


def test_the_scale_is_switched(browser, pages):
    browser.show(pages["run"])
    before = _area_kinds(browser)

    browser.click(".to-log")

    assert before[:2] == ["linear", "linear"]
    assert _area_kinds(browser)[:2] == ["log", "linear"]


def test_the_page_needs_no_script(browser, pages):
    browser.without_scripts()
    browser.show(pages["run"])

    browser.click(".to-log")

    assert _area_kinds(browser)[:2] == ["log", "linear"]


def test_the_values_under_the_pointer_are_shown(browser, pages):
    browser.show(pages["three"])
    x, y, width, height = browser.value(
        f"(box => [box.x, box.y, box.width, box.height])({SHOWN_FIGURES}[1].getBoundingClientRect())"
    )

    browser.move(x + width * 0.001, y + height / 2)

    said = browser.value(f"{SHOWN_FIGURES}[1].querySelector('.tip').innerText").split()
    assert said[:2] == ["step", "999"]
    assert "defaults" in said
    assert "optimizer=sgd" in said


def test_a_curve_is_switched_off_and_on(browser, pages):
    browser.show(pages["run"])
    curve = "[...document.querySelector('.linear').querySelectorAll('path.s1')]"
    count = f"{curve}.filter(each => getComputedStyle(each).display !== 'none').length"
    shown = browser.value(count)

    browser.click(".legend button.s1")
    hidden = browser.value(count)
    browser.click(".legend button.s1")

    assert (shown > 0, hidden, browser.value(count)) == (True, 0, shown)


@pytest.mark.parametrize("dark", [False, True])
def test_the_picture_has_the_colors_of_the_curves_on_the_ground_of_the_scheme(browser, pages, tmp_path, dark):
    browser.show(pages["three"], dark=dark)

    picture = _pixels(browser.picture(tmp_path / "report.png"))

    ground = picture[2, 2].mean()
    assert (ground < 60) == dark
    colors = ["#4aa8e8", "#ff8a3c", "#2fc79b"] if dark else ["#0072b2", "#d55e00", "#009e73"]
    for color in colors:
        assert _count(picture, color) > 500, f"{color} is hardly to be seen"


def _area_kinds(browser: Chromium) -> Any:
    return browser.value(f"{SHOWN_FIGURES}.map(each => each.parentElement.className.split(' ')[1])")


def _pixels(path: Path) -> np.ndarray[Any, Any]:
    return (matplotlib.image.imread(path)[:, :, :3] * 255).round().astype(int)


def _count(picture: np.ndarray[Any, Any], color: str) -> int:
    wanted = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)])
    return int((np.abs(picture - wanted).max(axis=2) < 4).sum())
