"""How many entries the parts of a checkpoint had when it was written, so that one that was emptied since is refused.

An optimizer without states, a metric without sums or a loader without a position are valid: training has not got to
them yet. So a part that something else has emptied cannot be told by looking at it; it would train on as another run.
The numbers are taken when the hooks of a save are done, and compared before those of a load: what a hook takes out is
left out on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from leyden.contents import wrong

_DEPTHS = {  # how many levels below a part are counted as well; may grow only, or older checkpoints seem to lack parts
    "optimizer_states": 2, "lr_schedulers": 1, "callbacks": 2,
    "leyden.loader": 4, "leyden.metrics": 3, "leyden.gradients": 0, "leyden.loggers": 1, "leyden.ranks": 2,
}  # fmt: skip

_MAPPINGS = (dict, Mapping)  # most are dicts, and these are told sooner
_CONTAINERS = (*_MAPPINGS, list, tuple)


def written(checkpoint: Mapping[str, Any]) -> str:
    """Return what a checkpoint says of the sizes of its parts, as JSON: one text costs torch less than many numbers."""
    return json.dumps(sizes(checkpoint))


def sizes(checkpoint: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of entries of each part that training goes on from, by its path."""
    found: dict[str, int] = {}
    for path, depth in _DEPTHS.items():
        _count(_at(checkpoint, path), path, depth, found)
    for number, state in enumerate(_items(checkpoint.get("optimizer_states"))):
        each = _at(state, "state")
        if isinstance(each, Mapping):
            inner = [len(its) for its in each.values() if isinstance(its, Mapping)]
            found[f"optimizer_states.{number}.state.*"] = sum(inner)
    return found


def check_sizes(checkpoint: Mapping[str, Any], path: str) -> None:
    """Compare a checkpoint with the numbers that it holds; of an older one that holds fewer, with these.

    Raises:
        DamagedCheckpointError: Names the part that has fewer entries than when it was written. The state of a callback
            may come from Lightning, or a person: it is refused where a part is there and empty.
    """
    said = _at(checkpoint, "leyden.sizes")
    try:
        found = json.loads(said) if isinstance(said, str) else {}
    except (ValueError, RecursionError):
        raise wrong(path, "leyden.sizes", "is no JSON", "the sizes of its parts") from None
    now = sizes(checkpoint)
    for part, then in found.items() if isinstance(found, dict) else ():
        here = now.get(part, 0)
        if part.startswith("callbacks."):
            lost = then and part in now and not here
        else:
            lost = not isinstance(then, int) or here < then
        if lost:
            raise wrong(path, part, f"holds {_entries(here)}", f"{_entries(then)}, as when it was written")


def _entries(count: int) -> str:
    if count == 0:
        return "nothing"
    return "1 entry" if count == 1 else f"{count} entries"


def _at(found: Any, path: str) -> Any:
    for key in path.split("."):
        found = found.get(key) if isinstance(found, _MAPPINGS) else None
    return found


def _items(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else []


def _count(value: Any, path: str, depth: int, found: dict[str, int]) -> None:
    if not isinstance(value, _CONTAINERS):
        return
    found[path] = len(value)
    if depth and value:
        for key, item in value.items() if isinstance(value, _MAPPINGS) else enumerate(value):
            _count(item, f"{path}.{key}", depth - 1, found)
