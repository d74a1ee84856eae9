"""The page: one file that needs nothing else, neither a network nor a server.

Whatever comes from a run directory is escaped. Should that ever fail, the browser still runs no
script but ours: the page's own policy names its hash and forbids all else, loading included.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from string import Template

from leyden import __version__
from leyden.errors import ConfigurationError
from leyden.runs.report import proof, settings
from leyden.runs.report.curves import curves
from leyden.runs.report.gathering import Run
from leyden.runs.report.markup import Html, join, section, tag, text
from leyden.runs.report.overview import badge, labels, logs, overview, results, troubles

MARK = "<!doctype html><!-- leyden report -->"
"""What a report begins with; a file that does not is never replaced by one."""
MOST_RUNS = 24


def page(runs: Sequence[Run]) -> str:
    """Return the whole page about *runs*.

    Raises:
        ConfigurationError: If there are more than can be told apart.
    """
    if len(runs) > MOST_RUNS:
        raise ConfigurationError(
            f"{len(runs)} runs were given for one report, but more than {MOST_RUNS} curves in a figure cannot be told "
            "apart. Choose some of them; leyden runs ls lists and sorts them all."
        )
    names, script = labels(runs), _own("page.js")
    return Template(_own("page.html")).substitute(
        policy=_policy(script),
        title=text(_title(runs)),
        style=_own("page.css"),
        header=_heading(runs) + overview(runs, names) + troubles(runs, names),
        main=join(_parts(runs, names)),
        footer=text(f"Made by leyden {__version__} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."),
        script=script,
    )


def _parts(runs: Sequence[Run], names: Sequence[str]) -> list[Html]:
    figures = curves(runs, names)
    drawn = [section(title, inside, title.lower().replace(" ", "-")) for title, inside in figures]
    missing = Html("") if figures else section("Curves", tag("p", text("Nothing was logged so far.")), "curves")
    return [
        *drawn,
        missing,
        section("Results", results(runs, names), "results"),
        section("Reproduction", proof.reproduction(runs, names), "reproduction"),
        section("Fingerprint", proof.fingerprint(runs, names), "fingerprint"),
        section("Config", settings.config(runs, names), "config"),
        section("Manifest", settings.manifest(runs, names), "manifest"),
        section("Log", logs(runs, names), "log"),
    ]


def _heading(runs: Sequence[Run]) -> Html:
    if len(runs) > 1:
        return Html(f"<h1>{text(_title(runs))}</h1>")
    place = tag("p", tag("code", text(runs[0].path)), "place")
    return Html(f"<h1>{text(_title(runs))} {badge(runs[0].state)}</h1>{place}")


def _title(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(str(run.config.get("name") or run.path.parent.name)[:60] for run in runs))
    return names[0] if len(runs) == 1 else f"{len(runs)} runs of {', '.join(names)}"


def _policy(script: str) -> str:
    """Return what the browser may do: show the page's own style and icon, and run its own script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _own(name: str) -> str:
    return files("leyden.runs.report").joinpath(name).read_text(encoding="utf-8")
