"""``leyden report DIR... [--out FILE.html] [--open]``: a page about a run, or about several side by side."""

from __future__ import annotations

import argparse
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from leyden import atomic
from leyden.errors import ConfigurationError, RunError
from leyden.launch.jobs.listing import in_order, runs_meant
from leyden.runs.listing import default_root
from leyden.terminal import complain, printable


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        out = _free(arguments.out)
        atomic.write_text(out, _written(arguments.places, arguments.root or default_root()))
    except (ConfigurationError, RunError) as error:
        complain(error)
        return 2
    print(f"report  {printable(out)}")
    if arguments.open:
        webbrowser.open(out.resolve().as_uri())
    return 0


def _written(places: Sequence[str], root: Path) -> str:
    from leyden.runs.report import gather, page

    return page([gather(path) for path in _directories(places, root)])


def _directories(places: Sequence[str], root: Path) -> list[str]:
    """Return the run directories meant by *places*, those of a folder in the order of their names.

    Raises:
        RunError: If there are none.
    """
    found = []
    for place in places:
        known = Path(place).is_dir() or root.is_dir()  # otherwise the report itself says that there is nothing
        if (Path(place) / "config.yaml").is_file() or not known:  # whatever else it lacks: the report says so
            found.append(place)
        else:
            found += sorted((run.path for run in runs_meant([place], root)), key=in_order)
    if not found:
        raise RunError(f"there are no runs in {', '.join(places)}. Give run directories, or a folder that holds some.")
    return list(dict.fromkeys(found))


def _free(out: Path) -> Path:
    """Refuse to replace anything but an older report.

    Raises:
        ConfigurationError: If there is something else.
    """
    from leyden.runs.report.page import MARK

    if out.is_dir():
        raise ConfigurationError(f"{out}, given by --out, is a directory. Name a file in it: --out {out}/report.html")
    if out.is_file():
        with open(out, "rb") as file:
            if file.read(len(MARK)) == MARK.encode():
                return out
    if out.exists():
        raise ConfigurationError(
            f"{out} exists already and is no report: it would be lost. Name another file with --out, or remove it."
        )
    return out


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leyden report",
        description="Write one HTML page about a run or a comparison of several: curves, results, config, manifest, "
        "reproduction. It holds everything it shows, and needs no network.",
    )
    parser.add_argument(
        "places", nargs="+", metavar="PLACE", help="a run directory, a folder with runs in it (of a grid, say), or last"
    )
    parser.add_argument("--in", dest="root", metavar="FOLDER", type=Path, help="the output folder (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="(%(default)s)")
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    return parser
