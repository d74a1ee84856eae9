"""What looks like a secret, and what is written in its place.

Three things give one away: the name it stands under (``api_key``), its own form (the prefix
of a token, a password inside a URL), and being the value of an environment variable with such
a name. Nothing that is written to a run directory may hold one: a config refers to the variable
(``${oc.env:WANDB_API_KEY}``), everything else says `MASK`.

Words that name a secret only sometimes, ``token`` above all, need a value that looks like one:
``pad_token: "[PAD]"`` and ``max_tokens: 512`` are no secrets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

MASK = "<secret>"

_WORDS = "password passwd passphrase credential credentials secret".split()
_PAIRS = (
    *((first, "key") for first in "api access secret private signing encryption".split()),
    *((first, "token") for first in "auth access api bearer refresh session".split()),
)
_CERTAIN = f"(?:{'|'.join([*_WORDS, *(f'{first}[_-]?{last}' for first, last in _PAIRS)])})"
_CERTAIN_NAME = re.compile(rf"(?:^|_){_CERTAIN}$")
_POSSIBLE_NAME = re.compile(r"(?:^|_)(?:token|auth|pwd|pass|authorization)$")
_VARIABLE = re.compile(
    r"(?:^|_)(?:KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PWD|PASS|CREDENTIALS?|AUTH)(?:_|$)"
)
_FORMS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
    r"|wandb_v1_[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^'\"]{0,10000}?-----END [A-Z ]*PRIVATE KEY-----|[^\n'\"]*)")
_FORM_STEMS = "hf_ sk- ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xox AKIA AIza wandb_v1_ eyJ".split()
_NAME_STEMS = (
    "passw",
    "passphrase",
    "credential",
    "secret",
    *(f"{a}{dash}{b}" for a, b in _PAIRS for dash in ("", "_", "-")),
)
_IN_URL = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_ASSIGNED = re.compile(rf"(?i)(?<![A-Za-z0-9])((?:[\w.-]*_)?{_CERTAIN}['\"]?\s*[=:]\s*)(['\"]?)([^\s'\",&}}\])]+)\2")
_LITERAL = re.compile(rf"(?i)((?:\b|_){_CERTAIN}['\"]?(?:\s*:\s*\w+)?\s*[=:]\s*)(['\"])([^'\"\n]{{8,}})\2")

_PATHS = ("/", "~", "./", "../")

_SEEN: set[str] = set()


def certain(name: str) -> bool:
    """Tell whether *name*, of a key or argument, stands for a secret whatever its value."""
    return _CERTAIN_NAME.search(_snake(name)) is not None


@lru_cache(maxsize=4096)
def names_variable(name: str) -> bool:
    """Tell whether an environment variable called *name* holds a secret."""
    return _VARIABLE.search(name.upper()) is not None


def is_secret(name: str, value: Any) -> bool:
    """Tell whether *value*, found under the key *name*, looks like a secret.

    Numbers count under a name that is certain from four digits on; paths, empty texts and
    the words for nothing never do.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return certain(name) and abs(value) > 999
    if not isinstance(value, str) or not value or value.lower() in ("none", "null", "true", "false", MASK, "???"):
        return False
    if holds_secret(value):
        return True
    if value.startswith(_PATHS):
        return False
    return certain(name) or (_POSSIBLE_NAME.search(_snake(name)) is not None and _random(value))


def holds_secret(text: str) -> bool:
    """Tell whether *text* gives a secret away by itself, wherever it stands."""
    forms = (_FORMS, _PEM, _IN_URL)
    return any(form.search(text) for form in forms) or variable_of(text) is not None


def variable_of(text: str) -> str | None:
    """Return the environment variable whose secret value *text* holds; None if it holds none."""
    return next((name for name, value in _variables() if value in text), None)


def remember(value: Any) -> None:
    """Mask *value* from now on in whatever this process writes: it was looked up as a secret."""
    if isinstance(value, str) and len(value) >= 6:
        _SEEN.add(value)


def masked(text: str) -> str:
    """Return *text*, of a message or a command line, with every secret replaced."""
    return _in_lines(_ASSIGNED, _replaced, _plainly_masked(text), _NAME_STEMS)


def masked_code(text: str) -> str:
    """Return *text*, of a program, with every secret replaced; only literals are, no expressions."""
    return _in_lines(_LITERAL, _replaced, _plainly_masked(text), _NAME_STEMS)


def masked_values(value: Any, name: str = "") -> Any:
    """Return a tree of dicts and lists with every secret in it replaced."""
    if isinstance(value, Mapping):
        return {key: masked_values(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked_values(item, name) for item in value]
    if "${" not in str(value) and is_secret(name, value):
        return MASK
    return masked(value) if isinstance(value, str) else value


def _plainly_masked(text: str) -> str:
    for value in sorted({*_SEEN, *(value for _, value in _variables())}, key=len, reverse=True):
        text = text.replace(value, MASK)
    if "PRIVATE KEY-----" in text:
        text = _PEM.sub(_each_line, text)
    return _IN_URL.sub(MASK, _in_lines(_FORMS, MASK, text, _FORM_STEMS))


def _in_lines(
    pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str], text: str, stems: Iterable[str]
) -> str:
    """Substitute in the lines of *text* where one of *stems* occurs: a patch is long, and they are found fast."""
    searched, starts = text.lower(), set()
    if len(searched) != len(text):  # some letters become two, and places in the one are not those in the other
        return pattern.sub(by, text)
    for stem in map(str.lower, stems):
        at = searched.find(stem)
        while at >= 0:
            starts.add(searched.rfind("\n", 0, at) + 1)
            at = searched.find(stem, (searched.find("\n", at) + 1) or len(searched))
    for start in sorted(starts, reverse=True):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end]
        changed = pattern.sub(by, line)
        if changed != line:
            text = text[:start] + changed + text[end:]
    return text


def _each_line(found: re.Match[str]) -> str:
    """Cover a text of several lines without joining them: those of a patch are counted, and marked in front."""
    first, *others = found.group(0).split("\n")
    return "\n".join([MASK if first else first, *(f"{line[:1] if line[:1] in '+- ' else ''}{MASK}" for line in others)])


def _replaced(found: re.Match[str]) -> str:
    before, quote, value = found.groups()
    kept = value.startswith(("${", MASK)) or value.lower() in ("none", "null", "true", "false", "str", "")
    return found.group(0) if kept else f"{before}{quote}{MASK}{quote}"


def _variables() -> Iterator[tuple[str, str]]:
    """Yield the environment variables that hold secrets, with their values."""
    for name in filter(names_variable, os.environ):
        value = os.environ.get(name, "")
        if _random(value, 8):
            yield name, value


def _random(value: str, length: int = 12) -> bool:
    """Tell whether *value* could have been drawn by a machine: one long word with digits among its letters."""
    return (
        len(value) >= length
        and not re.search(r"[\s<>\[\]{}|]|://", value)
        and not value.startswith(_PATHS)
        and any(map(str.isdigit, value))
        and any(map(str.isalpha, value))
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
