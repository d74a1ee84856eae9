"""What looks like a secret, and what is written in its place.

Three things give one away: the name it stands under (``api_key``), its own form or its surroundings (the prefix
of a token, a password inside a URL, a header: `leyden.secret_forms`), and being the value of an environment
variable with such a name. Nothing that is written to a run directory may hold one: a config refers to the variable
(``${oc.env:WANDB_API_KEY}``), everything else says `MASK`.

Words that name a secret only sometimes, ``token`` above all, need a value that looks like one:
``pad_token: "[PAD]"`` and ``max_tokens: 512`` are no secrets.

One verdict: `is_secret` on a name and a value decides in trees, messages and programs alike.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

from leyden.secret_forms import (
    ASSIGNED,
    BASIC,
    CALLED,
    CALLS,
    CERTAIN,
    CONTEXTS,
    DEFAULT,
    FLAG,
    FORMS,
    IN_QUERY,
    LITERAL,
    MORE,
    NAME_STEMS,
    PEM,
    PLACEHOLDER,
    POSSIBLE,
    SURE_VARIABLE,
    VARIABLE,
)

MASK = "<secret>"

_PATHS = ("/", "~", "./", "../")
_BEFORE = 64  # letters of a name that are looked at
_NAME_LETTERS = f"{ascii_letters}{digits}_.-[]"
_BOUNDED = 12  # letters; a shorter value is looked for as a whole word
_REFERENCE = re.compile(r"\$\{[^${}]*\}")

_SEEN: set[str] = set()


@lru_cache(maxsize=4096)
def certain(name: str) -> bool:
    """Tell whether *name*, of a key or argument, stands for a secret whatever its value."""
    return CERTAIN.search(_snake(name)) is not None


@lru_cache(maxsize=4096)
def names_variable(name: str) -> bool:
    """Tell whether an environment variable called *name* holds a secret."""
    return VARIABLE.search(name.upper()) is not None


def is_secret(name: str, value: Any) -> bool:
    """Tell whether *value*, found under the key *name*, looks like a secret.

    Numbers count under a name that is certain from four digits on; paths, empty texts,
    the words for nothing and what refers to something else never do.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return certain(name) and abs(value) > 999
    return isinstance(value, str) and bool(value) and (_named(name, value) or holds_secret(value))


def holds_secret(text: str) -> bool:
    """Tell whether *text* gives a secret away by itself, wherever it stands."""
    if _plainly_masked(text) != text:
        return True
    if any(_named_in(text, (IN_QUERY,))):
        return True
    named = _named_in(text, (ASSIGNED, FLAG))
    return any(_drawn(text[start:end]) or text[start - 1] in "='\"" for start, end in named)


def variable_of(text: str) -> str | None:
    """Return the environment variable whose secret value *text* holds; None if it holds none."""
    return next((name for name, value in _variables() if _without(value, text) != text), None)


def remember(value: Any) -> None:
    """Mask *value* from now on in whatever this process writes: it was looked up as a secret."""
    if isinstance(value, str) and len(value) >= 6 and PLACEHOLDER.fullmatch(value) is None:
        _SEEN.add(value)


def masked(text: str) -> str:
    """Return *text*, of a message, a command line or a file of settings, with every secret replaced."""
    return _masked(text, (ASSIGNED, IN_QUERY, FLAG))


def masked_code(text: str) -> str:
    """Return *text*, of a program, with every secret replaced; only literals are, no expressions."""
    return _masked(text, (LITERAL, IN_QUERY, CALLED, DEFAULT))


def masked_words(words: Sequence[str]) -> list[str]:
    """Return the *words* of a command line with every secret replaced, also behind ``--password`` and ``-p``."""
    before = ["", *words]
    return [MASK if _behind(flag, word) else masked(word) for flag, word in zip(before, words, strict=False)]


def masked_values(value: Any, name: str = "") -> Any:
    """Return a tree of dicts and lists with every secret in it replaced, in keys as well."""
    return _masked_values(value, name) if any_in(value, name) else _as_lists(value)


def any_in(value: Any, name: str = "") -> bool:
    """Tell whether there may be a secret in a tree of dicts and lists: all of its texts are looked at together."""
    texts = list(_texts_in(value, name))
    joined = "\n".join(filter(None, texts))
    return None in texts or masked(joined) != joined


def _masked_values(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {
            masked(key) if isinstance(key, str) else key: _masked_values(item, str(key)) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked_values(item, name) for item in value]
    if isinstance(value, str):
        return MASK if _named(name, value) else masked(value)
    return MASK if is_secret(name, value) else value


def _texts_in(value: Any, name: str) -> Iterator[str | None]:
    """Yield the texts of a tree; None in the place of a value that its name makes a secret."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key if isinstance(key, str) else ""
            yield from _texts_in(item, str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts_in(item, name)
    elif isinstance(value, str):
        yield None if value and _named(name, value) else value
    else:
        yield None if is_secret(name, value) else ""


def _as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def _named(name: str, value: str) -> bool:
    """Tell whether *name* makes a secret of a text that does not look like one by itself."""
    if PLACEHOLDER.fullmatch(value) is not None or value.startswith(_PATHS) or "${" in value:
        return False
    if value.isdecimal() and int(value[:9]) <= 999:
        return False
    return certain(name) or (POSSIBLE.search(_snake(name)) is not None and _random(value))


def _behind(flag: str, word: str) -> bool:
    """Tell whether *word* is the secret that the option before it announces."""
    if not flag.startswith("-") or "=" in flag or word.startswith("-"):
        return False
    return (_drawn(word) and len(word) >= 6) if flag == "-p" else _named(flag.lstrip("-"), word)


def _masked(text: str, assignments: Sequence[re.Pattern[str]]) -> str:
    clean = _plainly_masked(text)
    return _covered_at(clean, _named_in(clean, assignments))


def _named_in(text: str, patterns: Sequence[re.Pattern[str]]) -> Iterator[tuple[int, int]]:
    """Yield where in *text* values stand that their names make secrets, one after the other."""
    done = 0
    for at in _sites(_lowered(text), NAME_STEMS):
        for pattern in patterns if at >= done else ():
            found = pattern.match(text, at)
            if found is not None and _counts(pattern, found, text):
                bare = found.groupdict().get("bare") is not None
                start, done = found.span("bare" if bare else "quoted")
                done = MORE.match(text, done).end() if bare else done  # type: ignore[union-attr]
                yield start, done
                break


def _counts(pattern: re.Pattern[str], found: re.Match[str], text: str) -> bool:
    """Tell whether what stands behind a word is a secret, by the name that ends in this word and what is before it."""
    before = text[max(0, found.start() - _BEFORE) : found.start()]
    outside = before.rstrip(_NAME_LETTERS)
    groups = found.groupdict()
    name, value = before[len(outside) :] + found["word"], groups.get("bare") or groups.get("quoted") or ""
    if pattern is IN_QUERY:
        certainly = certain(name) or POSSIBLE.search(_snake(name)) is not None
        return outside[-1:] in ("?", "&", ";") and certainly and PLACEHOLDER.fullmatch(found["bare"]) is None
    if pattern is CALLED and CALLS.search(outside) is None:
        return False
    if pattern in (FLAG, DEFAULT) and not name.startswith("-"):
        return False
    if pattern is FLAG and not (_drawn(value) or len(value) >= 8):
        return False  # --password is an option, a text says
    return bool(value) and _named(name, value)


def _covered_at(text: str, places: Iterable[tuple[int, int]]) -> str:
    parts: list[str] = []
    done = 0
    for start, end in places:
        parts += [text[done:start], MASK]
        done = end
    return "".join([*parts, text[done:]]) if parts else text


def _plainly_masked(text: str) -> str:
    for value in sorted({*_SEEN, *(value for _, value in _variables())}, key=len, reverse=True):
        text = _without(value, text)
    if "PRIVATE KEY-----" in text:
        text = PEM.sub(_each_line, text)
    lowered = _lowered(text)
    if not any(map(lowered.__contains__, _STEMS)):  # most texts are short and harmless
        return text
    clean = _covered_at(text, _tokens_in(text, lowered))
    for stems, change in _CHANGES:
        lowered = lowered if clean is text else _lowered(clean)
        text = clean
        if any(map(lowered.__contains__, stems)):
            clean = _in_lines(clean, lowered, stems, change)
    return clean


def _tokens_in(text: str, lowered: str) -> Iterator[tuple[int, int]]:
    """Yield where tokens stand that their own form tells."""
    done = 0
    there = [(stem, form) for stem, form in FORMS.items() if stem in lowered]
    found = [each.span() for stem, form in there for at in _found(lowered, stem) if (each := form.match(text, at))]
    for start, end in sorted(found):
        if start >= done:
            yield start, end
            done = end


def _pairs_covered(text: str) -> str:
    return BASIC.sub(lambda found: _covered(found) if _is_pair(found["secret"]) else found.group(0), text)


def _contexts_covered(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(_covered, text)


def _covered(found: re.Match[str]) -> str:
    secret, whole = found["secret"], found.group(0)
    if MASK in secret or "${" in secret:
        return whole
    start, end = found.start("secret") - found.start(), found.end("secret") - found.start()
    return f"{whole[:start]}{MASK}{whole[end:]}"


def _is_pair(encoded: str) -> bool:
    """Tell whether *encoded* is a name and a password in base64."""
    try:
        return b":" in base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=None)
    except (binascii.Error, ValueError):
        return False


def _in_lines(text: str, lowered: str, stems: Sequence[str], change: Callable[[str], str]) -> str:
    """Change the lines of *text* where one of *stems* occurs: a patch is long, and they are found fast."""
    parts: list[str] = []
    done = 0
    for start in sorted({text.rfind("\n", 0, at) + 1 for at in _sites(lowered, stems)}):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end]
        changed = change(line)
        if changed != line:
            parts += [text[done:start], changed]
            done = end
    return "".join([*parts, text[done:]]) if parts else text


def _sites(lowered: str, stems: Sequence[str]) -> list[int]:
    """Return where one of *stems* stands, in their order."""
    there = filter(lowered.__contains__, stems)
    return sorted({at for stem in there for at in _found(lowered, stem)})


def _found(text: str, stem: str) -> Iterator[int]:
    at = text.find(stem)
    while at >= 0:
        yield at
        at = text.find(stem, at + len(stem))


def _lowered(text: str) -> str:
    """Return *text* in small letters, each at the place it was at."""
    lowered = text.lower()
    if len(lowered) == len(text):  # some letters become two
        return lowered
    return re.sub("[^\0-\x7f]", "?", text).lower()


def _each_line(found: re.Match[str]) -> str:
    """Cover a text of several lines without joining them: those of a patch are counted, and marked in front."""
    first, *others = found.group(0).split("\n")
    return "\n".join([MASK if first else first, *(f"{line[:1] if line[:1] in '+- ' else ''}{MASK}" for line in others)])


def _without(value: str, text: str) -> str:
    """Return *text* with *value* replaced, as it is and as URLs and JSON write it."""
    for form in _forms_of(value):
        if form in text:
            text = _word(form).sub(MASK, text) if len(form) < _BOUNDED else text.replace(form, MASK)
    return text


@lru_cache(maxsize=1024)
def _forms_of(value: str) -> tuple[str, ...]:
    plain = (value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1], repr(value)[1:-1])
    return tuple(dict.fromkeys((*plain, base64.b64encode(value.encode(errors="replace")).decode())))


@lru_cache(maxsize=1024)
def _word(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])")


def _variables() -> Iterator[tuple[str, str]]:
    """Yield the environment variables that hold secrets, with their values."""
    for name in filter(names_variable, os.environ):
        value = os.environ.get(name, "")
        if _random(value, 8) or (SURE_VARIABLE.search(name.upper()) is not None and _password(value)):
            yield name, value


def _password(value: str) -> bool:
    """Tell whether *value* of a variable that holds a secret is no ordinary word, which would be found everywhere."""
    usable = PLACEHOLDER.fullmatch(value) is None and not value.startswith(_PATHS) and "\n" not in value
    return usable and ((len(value) >= 6 and _drawn(value) and not value.isdecimal()) or len(value) >= _BOUNDED)


def _drawn(value: str) -> bool:
    """Tell whether *value* is more than a word of letters."""
    return len(value) >= 4 and not value.isalpha()


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
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


_CHANGES: tuple[tuple[tuple[str, ...], Callable[[str], str]], ...] = (
    (("basic",), _pairs_covered),
    *((stems, partial(_contexts_covered, pattern)) for stems, pattern in CONTEXTS),
)
_STEMS = (*FORMS, *dict.fromkeys(stem for stems, _ in _CHANGES for stem in stems))
