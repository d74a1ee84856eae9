"""Run cases under Lightning's DDP and under ours in the same ranks, and note where they differ.

    torchrun --nproc-per-node 2 tests/distributed/parity_on_ranks.py FOLDER

Each rank has batches of its own. It writes ``FOLDER/rank<N>.json``: by case, what differs; null where nothing does.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from cases import CASES
from distributed_cases import DISTRIBUTED_CASES
from twins import LEYDEN, LIGHTNING, fit

import leyden


def strategy_of(library: Any, options: dict[str, Any]) -> Any:
    """Make the same strategy of *library*; every case may leave parameters unused."""
    kind = library.strategies.DDPStrategy if library is LIGHTNING else leyden.strategies.DDPStrategy
    return kind(timeout=timedelta(seconds=60), **{"find_unused_parameters": True, **options})


def outcome(library: Any, folder: Path, name: str) -> Any:
    """Run one case; an exception is its outcome, too."""
    make, options = ALL[name]
    options = dict(options)
    strategy = strategy_of(library, options.pop("ddp", {}))
    try:
        found = fit(library, folder, make, strategy=strategy, devices=2, use_distributed_sampler=False, **options)
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    return dataclasses.asdict(found)


def difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str | None:
    """Say what differs first."""
    if "raised" in theirs or "raised" in ours:
        if "raised" in theirs and "raised" in ours:
            return f"both raised: {theirs['raised']} | {ours['raised']}"
        return f"only {'Lightning' if 'raised' in theirs else 'Leyden'} raised: {theirs.get('trace') or ours['trace']}"
    return next(
        (f"{what}: {ours[what]!r:.700} but {theirs[what]!r:.700}" for what in theirs if ours[what] != theirs[what]),
        None,
    )


ALL = {**CASES, **DISTRIBUTED_CASES}


def main(folder: Path, names: list[str]) -> None:
    """Run the cases called *names*, or all."""
    torch.set_num_threads(1)
    rank = leyden.ranks.current().rank
    found = {}
    for name in names or ALL:
        theirs, ours = (outcome(library, folder / library.__name__ / name, name) for library in (LIGHTNING, LEYDEN))
        found[name] = difference(theirs, ours)
    (folder / f"rank{rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    import leyden.ranks
    import leyden.strategies

    main(Path(sys.argv[1]), sys.argv[2:])
