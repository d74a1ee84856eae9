"""What a ``_target_`` names: finding it, and reading which arguments it takes.

Finding imports the module and reads an attribute; nothing is ever called here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

from leyden.config.problems import closest, did_you_mean
from leyden.errors import ConfigurationError
from leyden.tracebacks import place

_PACKAGES = {
    "comet_ml": "comet-ml", "cv2": "opencv-python", "datasets": "datasets", "lightning": "lightning",
    "mlflow": "mlflow", "optuna": "optuna", "PIL": "pillow", "pytorch_lightning": "pytorch-lightning",
    "sklearn": "scikit-learn", "timm": "timm", "torchaudio": "torchaudio", "torchvision": "torchvision",
    "transformers": "transformers", "wandb": "wandb",
}  # fmt: skip


def locate(target: str) -> Any:
    """Import what the dotted path *target* names.

    Raises:
        ConfigurationError: If a part does not exist or its module fails to import; says
            which part, the closest match, and what to install when that is known.
    """
    if not target or not all(part.isidentifier() for part in target.split(".")):
        raise ConfigurationError(f"{target!r} is no dotted path of a class or function, such as 'torch.optim.AdamW'")
    parts = target.split(".")
    found: Any = _import(parts[0])
    for at, part in enumerate(parts[1:], start=1):
        prefix = ".".join(parts[:at])
        try:
            found = getattr(found, part)
        except AttributeError:
            if not isinstance(found, ModuleType):
                known = [name for name in dir(found) if not name.startswith("_")]
                hint = did_you_mean(part, known, "It has")
                raise ConfigurationError(f"{prefix} has no attribute {part!r}. {hint}") from None
            found = _import(f"{prefix}.{part}")
        except Exception as error:  # a package that imports its names when they are first asked for
            raise _failed(f"{prefix}.{part}", error) from error
    return found


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise ConfigurationError(_no_module(name)) from None
        if error.name is not None and name.startswith(f"{error.name}."):
            raise ConfigurationError(_no_module(error.name)) from None
        raise _failed(name, error) from error
    except Exception as error:  # the user's module runs here: whatever it raises is the answer
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> ConfigurationError:
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        return ConfigurationError(f"importing {name} failed: no module named {error.name!r}{_install(error.name)}")
    said = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    return ConfigurationError(f"importing {name} failed: {said} (raised at {place(error)})")


def _no_module(name: str) -> str:
    parent, _, last = name.rpartition(".")
    if not parent:
        close = closest(name, (module.name for module in pkgutil.iter_modules()))
        hint = f". Did you mean {close!r}?" if close and name not in _PACKAGES else _install(name)
        return f"no module named {name!r}{hint}"
    package = sys.modules[parent]
    inside = {module.name for module in pkgutil.iter_modules(getattr(package, "__path__", []))}
    inside |= {known for known in dir(package) if not known.startswith("_")}
    return f"{parent} has no {last!r}. {did_you_mean(last, inside, 'It has')}"


def _install(module: str) -> str:
    package = _PACKAGES.get(module.partition(".")[0])
    return "" if package is None else f". Install it with: pip install {package}"


@dataclass(frozen=True)
class Arguments:
    """The arguments a target takes.

    Args:
        parameters: Those that can be given by name, without ``self``.
        positional: Names of those that ``_args_`` fills, in order.
        anything: Whether ``**kwargs`` takes any other name as well.
        globals: Namespace in which annotations written as text are read.
    """

    parameters: dict[str, inspect.Parameter]
    positional: tuple[str, ...]
    anything: bool
    globals: dict[str, Any]

    def required(self) -> list[str]:
        """Return the names without a default."""
        empty = inspect.Parameter.empty
        return [name for name, parameter in self.parameters.items() if parameter.default is empty]

    def annotation(self, name: str) -> Any:
        """Return the annotation of *name* as a type, or `typing.Any` when it cannot be read.

        A name imported only for type checkers does not exist at run time; such an
        annotation says nothing.
        """
        written = self.parameters[name].annotation
        if written is inspect.Parameter.empty:
            return Any
        holder = SimpleNamespace(__annotations__={name: written})
        try:
            return typing.get_type_hints(holder, globalns=self.globals, include_extras=True)[name]
        except Exception:  # any error of evaluating somebody's annotation means it cannot be read
            return Any


def arguments_of(target: Callable[..., Any]) -> Arguments | None:
    """Read the arguments of *target*; None for what has no signature (some built-ins)."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    kinds = inspect.Parameter
    parameters = signature.parameters.values()
    by_name = (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    by_place = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    return Arguments(
        parameters={parameter.name: parameter for parameter in parameters if parameter.kind in by_name},
        positional=tuple(parameter.name for parameter in parameters if parameter.kind in by_place),
        anything=any(parameter.kind is kinds.VAR_KEYWORD for parameter in parameters),
        globals=getattr(function, "__globals__", {}),
    )
