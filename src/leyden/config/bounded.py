"""Reading small files that anybody may have written: limited in size and depth, and nothing but plain YAML.

A config says what to build by names (``_target_``), never by YAML tags. So tags are refused,
whatever they stand for, and aliases, too: a few lines of them expand to more than any memory holds.
Sizes are looked at before anything is read, and nothing but a regular file is opened for long.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import yaml

from leyden import regular
from leyden.errors import ConfigurationError

LARGEST = 4 * 2**20  # bytes; a config has a few thousand
DEEPEST = 50  # dicts and lists within each other


def read_text(path: str | os.PathLike[str], largest: int = LARGEST) -> str:
    """Read a whole text file in UTF-8, if it is a regular one of no more than *largest* bytes, and no link.

    Raises:
        UnsafeFileError: If it is anything else.
        ConfigurationError: If it is no text.
        FileNotFoundError: If it is not there.
    """
    content = regular.read(os.path.dirname(path) or ".", os.path.basename(path), largest)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{os.fspath(path)} is no text: {error.reason} at byte {error.start}. Expected UTF-8. Restore it from a "
            "copy, or remove it."
        ) from None


def check_plain(text: str) -> None:
    """Refuse YAML that is more than dicts, lists and scalars.

    Raises:
        ConfigurationError: If it has tags, anchors or aliases, or is too deep.
        yaml.YAMLError: If it is no YAML.
    """
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ConfigurationError(
                f"line {line} is more than {DEEPEST} levels deep. Expected a config; it was not read."
            )
        if getattr(event, "tag", None) is not None:
            raise ConfigurationError(
                f"line {line} has the YAML tag {event.tag!r:.80}, which stands for an object. Nothing of it was "
                "built. Expected plain values: leave the tag out."
            )
        if getattr(event, "anchor", None) is not None:
            raise ConfigurationError(
                f"line {line} has the YAML anchor or alias {event.anchor!r:.80}. Expected plain values: write them out."
            )


def read_json(path: str | os.PathLike[str], largest: int = LARGEST) -> dict[str, Any]:
    """Read the mapping in a JSON file; an empty one if the file is broken, as a process that was killed leaves it.

    Raises:
        ConfigurationError: If it is too large or too deep to be read.
    """
    text = read_text(path, largest)
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    except RecursionError:
        raise ConfigurationError(f"{os.fspath(path)} is too deep. Expected a few levels; it was not read.") from None
    return found if isinstance(found, dict) else {}
