"""Configs of many runs, read quickly: each top-level part of a file is parsed once for all runs that share it.

Ten thousand runs of a project differ in a few parts: the seed, a width, a path. So a file
is cut where a line begins with a key, the run's own directory is replaced by a stand-in,
and a part whose text has been seen before is not parsed again:

    seed: 3                     ─►  section 17   {"seed": 3}
    model:                      ─►  section 4    {"model._target_": "leyden.models.MLP", "model.hidden": [64]}
      _target_: ...

Only values come out: no tag of YAML is obeyed, aliases are refused (a few lines of them
can stand for gigabytes), and so are files larger than any config.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import yaml

from leyden.config.bounded import DEEPEST, LARGEST
from leyden.errors import RunError
from leyden.paths import relocated
from leyden.runs.signature import identity

RUN_DIR = "<run_dir>"
_CUT = re.compile(r"^(?=[^\s\-#])", re.MULTILINE)
_RUN_DIR_LINE = re.compile(r"^paths:\n(?:  .*\n)*?  run_dir: (/[\w./+-]+)$", re.MULTILINE)
_NUMBER = re.compile(r"^[-+]?\d+(?:_\d+)*(?:\.[\d_]*)?[eE][-+]?\d+$")  # floats of OmegaConf that YAML 1.1 has not


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain values as OmegaConf reads them: ``1e-3`` is a number, a date is a text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(":timestamp")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


def parse(text: str) -> Any:
    """Return the plain values that the YAML *text* holds.

    Raises:
        RunError: If it is no YAML, too large, or holds anything but plain values.
    """
    if len(text) > LARGEST:
        raise RunError(f"it has {len(text)} characters; a config has less than {LARGEST}")
    try:
        _check(text)
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RunError(" ".join(str(error).split())) from error


def _check(text: str) -> None:
    """Refuse an alias before it is followed, and what is nested so deep that building it would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise RunError(f"it has an alias, *{event.anchor}, which no config that Leyden wrote has")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise RunError(f"it is nested more than {DEEPEST} levels deep")


def flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every value below *path* with its dotted path; lists and empty dicts are values."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{str(key).replace('.', chr(92) + '.')}")
    else:
        yield path, value


class Sections:
    """Parts of configs, by number.

    Args:
        rows: What `rows` was before, to go on with.

    Attributes:
        rows: For each part the digest of its text, its top-level key, its values by dotted
            path, and its contribution to a signature.
    """

    def __init__(self, rows: list[list[Any]] | None = None) -> None:
        self.rows = rows or []
        self._numbers = {row[0]: number for number, row in enumerate(self.rows)}

    def read(self, text: str) -> dict[str, int]:
        """Return the number of each top-level part of a config or of an ``overrides.yaml``.

        Raises:
            RunError: If the text cannot be read as a mapping of plain values.
        """
        if len(text) > LARGEST:
            parse(text)
        found = _RUN_DIR_LINE.search(text)
        if found is None and re.search(r"^paths:", text, re.MULTILINE):
            return self._whole(text)
        if found is not None:
            if RUN_DIR in text:
                return self._whole(text)
            for end in "/\n'\" ":  # not a folder whose name only begins like it
                text = text.replace(found[1] + end, RUN_DIR + end)
        try:
            numbers = [self._part(part) for part in _CUT.split(text) if part.strip()]
        except RunError:
            return self._whole(text)
        return {self.rows[number][1]: number for number in numbers}

    def values(self, numbers: Mapping[str, int]) -> dict[str, Any]:
        """Return all values of one file, by dotted path."""
        return {key: value for number in numbers.values() for key, value in self.rows[number][2].items()}

    def _part(self, text: str) -> int:
        digest = _digest(text)
        if digest in self._numbers:
            return self._numbers[digest]
        values = parse(text)
        if not isinstance(values, dict) or len(values) != 1:
            raise RunError("it is no mapping")
        return self._add(digest, *next(iter(values.items())))

    def _whole(self, text: str) -> dict[str, int]:
        """Read a text that cannot be cut where lines begin."""
        values = parse(text)
        if not isinstance(values, dict):
            raise RunError(f"it holds {type(values).__name__}, not the mapping that a config is")
        part = values.get("paths")
        run_dir = part.get("run_dir") if isinstance(part, dict) else None
        if isinstance(run_dir, str):
            values = relocated(values, run_dir, RUN_DIR)
        return {str(top): self._known(top, value) for top, value in values.items()}

    def _known(self, top: Any, value: Any) -> int:
        digest = _digest(f"{top!r} {value!r}")
        return self._numbers[digest] if digest in self._numbers else self._add(digest, top, value)

    def _add(self, digest: str, top: Any, value: Any) -> int:
        name = str(top).replace(".", "\\.")
        values = dict(flat(value, name))
        self.rows.append([digest, name, values, identity(name, values)])
        self._numbers[digest] = len(self.rows) - 1
        return self._numbers[digest]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
