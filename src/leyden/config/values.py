"""A value from a config against the annotation of the argument it is meant for.

Pydantic judges, bounds in ``Annotated`` included; its conversions are not used, because
the constructor gets the value as it was written. So what would be *converted* between
text, numbers and truth values is refused here, while a list for a tuple, an int for a
float or a text for a path pass: constructors take those.

What pydantic does not know (a class of yours, a tensor) is not judged: many constructors
accept a name or a list there and convert it themselves. Only a number, a truth value or a
mapping is refused for an object.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

from leyden.config.problems import closest


def mismatch(value: Any, annotation: Any) -> str | None:
    """Say why *value* does not fit *annotation*; None when it does, or cannot be judged.

    Args:
        value: Plain: None, bool, number, text, or lists and dicts of them.
        annotation: A type as an argument of a function has it.

    Example:
        >>> mismatch(True, int)
        'expects int, got True (bool)'
    """
    adapter = _adapter(_Key(annotation))
    if adapter is None:
        return None
    from pydantic import ValidationError

    try:
        converted = adapter.validate_python(value)
    except ValidationError as error:
        return _reason(value, annotation, error.errors(include_url=False))
    except Exception:  # a validator of somebody's own type may raise anything: not judged
        return None
    return None if _same_kind(value, converted) else _expected(value, annotation)


class _Key:
    """An annotation as a cache key by identity: not every annotation can be hashed."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    def __hash__(self) -> int:
        return id(self.annotation)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.annotation is self.annotation


@lru_cache(maxsize=512)
def _adapter(key: _Key) -> Any:
    """Return pydantic's judge of an annotation; None if it cannot make one."""
    from pydantic import ConfigDict, TypeAdapter

    if key.annotation is Any:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about annotations that are not ours
        try:
            return TypeAdapter(key.annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except Exception:  # pydantic refuses what it cannot build a schema for, with many types of error
            pass
        try:
            return TypeAdapter(key.annotation)  # a type with a config of its own takes none from outside
        except Exception:
            return None


_OBJECTS = {"is_instance_of", "is_subclass_of", "callable_type"}


def _reason(value: Any, annotation: Any, errors: list[Any]) -> str | None:
    objects = [error for error in errors if error["type"] in _OBJECTS]
    if len(objects) < len(errors):  # float | Tensor, as torch's optimizers have it: no name of a tensor is meant
        objects = [error for error in objects if error.get("ctx", {}).get("class") != "Tensor"]
    if objects and (isinstance(value, str | list) or any(isinstance(error["input"], str | list) for error in objects)):
        return None  # a name or numbers that the constructor may well turn into the object
    choices = next((error["ctx"]["expected"] for error in errors if error["type"] in ("literal_error", "enum")), None)
    if choices is not None:
        close = closest(str(value), [choice.strip("'") for choice in str(choices).replace(" or ", ", ").split(", ")])
        others = [name for name in type_name(annotation).split(" | ") if not name.startswith("Literal[")]
        known = ", ".join("true, false" if name == "bool" else name for name in others)
        return f"expects {known}{', ' if known else ''}{choices}, got {_shown(value)}" + (
            f". Did you mean {close!r}?" if close else ""
        )
    bounds = [error["msg"].removeprefix("Input ") for error in errors if error["type"] in _BOUNDS]
    if bounds:
        return f"is {_shown(value)}, but {bounds[0]}"
    return _expected(value, annotation)


_BOUNDS = {
    "greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of", "finite_number",
    "too_short", "too_long", "string_too_short", "string_too_long", "string_pattern_mismatch",
}  # fmt: skip


def _expected(value: Any, annotation: Any) -> str:
    said = f"expects {type_name(annotation)}, got {_shown(value)}"
    names = type_name(annotation).split(" | ")
    if isinstance(value, int | float) and "str" in names:
        return f"{said}. Quote it, once for the shell and once for Hydra: \"'{value}'\""
    if isinstance(value, str) and any(name.startswith(("list", "Sequence", "tuple")) for name in names):
        return f"{said}. A list is written [{value}]"
    if isinstance(value, float) and value.is_integer() and "int" in names:
        return f"{said}. Write {int(value)}"
    return said


def _shown(value: Any) -> str:
    return "null" if value is None else f"{value!r} ({type(value).__name__})"


def type_name(annotation: Any) -> str:
    """Write an annotation as in source code, without module names and ``Annotated``."""
    if annotation is None or annotation is type(None):
        return "null"
    origin, arguments = getattr(annotation, "__origin__", None), getattr(annotation, "__args__", ())
    if hasattr(annotation, "__metadata__"):
        return type_name(origin)
    if type(annotation).__name__ in ("UnionType", "Union", "_UnionGenericAlias"):
        return " | ".join(type_name(argument) for argument in arguments)
    if arguments and origin is not None:
        inside = ", ".join("..." if argument is ... else type_name(argument) for argument in arguments)
        return f"{getattr(origin, '__name__', origin)}[{inside}]"
    return str(getattr(annotation, "__name__", annotation))


def _same_kind(value: Any, converted: Any) -> bool:
    """Tell whether pydantic left *value* what it was: no text read as a number, no 1.0 taken for 1."""
    if isinstance(value, list) and isinstance(converted, list | tuple):
        return all(_same_kind(one, other) for one, other in zip(value, converted, strict=False))
    if isinstance(value, dict) and isinstance(converted, dict):
        return all(_same_kind(one, other) for one, other in zip(value.values(), converted.values(), strict=False))
    if isinstance(value, bool):
        return not isinstance(converted, int | float) or isinstance(converted, bool)
    if isinstance(value, str):
        return not isinstance(converted, bool | int | float)
    if isinstance(value, float):
        return not isinstance(converted, int) or isinstance(converted, bool)
    return True
