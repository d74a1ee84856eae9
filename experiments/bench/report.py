"""The figures as a table for a person, as JSON for a program, and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# What we hold ourselves to; ratios to the hand-written loop, prices in its steps, and so on.
BARS = {
    ("steps", "mlp", "leyden bare, own collate"): 1.03,
    ("steps", "mlp", "leyden everything, own collate"): 1.08,
    ("steps", "mlp", "leyden bare"): 0.75,
    ("steps", "mlp", "leyden bare, fused"): 0.60,
    ("steps", "cnn", "leyden everything"): 1.02,
    ("steps", "lm", "leyden everything"): 1.02,
    ("prices", "leyden five logs"): 0.03,
    ("prices", "leyden accuracy, updated"): 0.3,
    ("prices", "leyden accuracy, called"): 0.3,
    ("prices", "leyden clipping"): 0.15,
    ("prices", "leyden ten idle callbacks"): 0.0,
    ("prices", "leyden ten hooked callbacks"): 0.01,
    ("prices", "leyden bar"): 0.05,
    ("prices", "leyden fingerprint"): 0.01,
    ("fits", "leyden bare"): 5.0,
    ("imports", "leyden, Trainer and all"): 1.10,
    ("starts", "leyden train"): 1.20,
    ("saving", "leyden"): 1.05,
}
_ONE_OF = {"five logs": "one more log", "ten idle callbacks": "an idle callback", "bar": "the bar"}
_ONE_OF["ten hooked callbacks"] = "a callback with an empty hook"


def table(results: dict[str, Any]) -> str:
    """Return all that was measured as text; a bar, where there is one, stands in the last column."""
    return "\n".join(line.rstrip() for line in _lines(results))


def _lines(results: dict[str, Any]) -> Iterator[str]:
    for task, figures in results.get("steps", {}).items():
        yield from _head(
            f"a step, {task}", "x raw loop", "quartiles", "CPU time", "CPU, of all", "peak MiB", "same weights", "bar"
        )
        for name, each in figures.items():
            low, middle, high = each["ratio"]
            spread, total, peak = f"{low:.2f} - {high:.2f}", f"{each['cpu_of_all']:.2f}", f"{each['peak_mib']:.0f}"
            yield _row(
                name,
                f"{middle:.2f}",
                spread,
                f"{each['cpu'][1]:.2f}",
                total,
                peak,
                _same(each),
                _bar("steps", task, name),
            )
    if "prices" in results:
        yield from _head("price of a feature, mlp", "raw steps", "quartiles", "bar")
        for name, (low, middle, high) in results["prices"].items():
            library, _, feature = name.partition(" ")
            said = f"{library} {_ONE_OF.get(feature, feature)}"
            yield _row(said, f"{middle:+.3f}", f"{low:+.3f} - {high:+.3f}", _bar("prices", name))
    if "fits" in results:
        yield from _head("a fit of one batch", "x raw", "ms", "ms above raw", "bar")
        for name, each in results["fits"].items():
            above = (each["ratio"][1] - 1) * results["fits"]["raw"]["ms"]  # the ratio is taken beside; times are not
            yield _row(name, f"{each['ratio'][1]:.2f}", f"{each['ms']:.1f}", f"{above:.1f}", _bar("fits", name))
    if "saving" in results:
        yield from _head("a checkpoint of 200 MB", "x torch.save", "quartiles", "extra MiB", "bar")
        for name, each in results["saving"].items():
            low, middle, high = each["ratio"]
            yield _row(
                name, f"{middle:.2f}", f"{low:.2f} - {high:.2f}", f"{each['extra_mib']:.0f}", _bar("saving", name)
            )
    for part, title, base in (("imports", "an import", "torch"), ("starts", "start to first step", "raw script")):
        if part in results:
            yield from _head(title, f"x {base}", "CPU, to the end", "seconds", "modules added", "peak MiB", "bar")
        for name, each in results.get(part, {}).items():
            added = str(each["modules_added"]) if part == "imports" else ""
            seconds, peak = f"{each['seconds']:.2f}", f"{each['peak_mib']:.0f}"
            yield _row(name, f"{each['ratio']:.2f}", f"{each['cpu']:.2f}", seconds, added, peak, _bar(part, name))


def _head(title: str, *columns: str) -> Iterator[str]:
    yield ""
    yield _row(title, *columns)
    yield "-" * len(_row(title, *columns))


def _row(title: str, *columns: str) -> str:
    return f"{title:<34}" + "".join(f"{each:>17}" for each in columns)


def _bar(*place: str) -> str:
    return f"{BARS[place]:.2f}" if place in BARS else ""


def _same(figures: dict[str, Any]) -> str:
    if "equal" not in figures:
        return ""
    return "yes" if figures["equal"] else f"{figures['weights_apart']:.0e} apart"


def draw(results: dict[str, Any], path: Path) -> bool:
    """Draw the ratios of all steps; return whether there is a picture, for which matplotlib is needed."""
    tasks = results.get("steps", {})
    if not tasks or find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    most = max(map(len, tasks.values()))
    figure, axes = plt.subplots(1, len(tasks), figsize=(5.5 * len(tasks), 1 + 0.3 * most), squeeze=False)
    for axis, (task, figures) in zip(axes[0], tasks.items(), strict=True):
        names = sorted(figures, key=lambda name: -figures[name]["ratio"][1])
        low, middle, high = zip(*(figures[name]["ratio"] for name in names), strict=True)
        spread = [
            [m - at for m, at in zip(middle, low, strict=True)],
            [at - m for m, at in zip(middle, high, strict=True)],
        ]
        colours = ["tab:orange" if name.startswith("leyden") else "tab:gray" for name in names]
        axis.barh(names, middle, xerr=spread, color=colours, error_kw={"linewidth": 0.8})
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_title(f"{task}: a step, over the hand-written loop")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True
