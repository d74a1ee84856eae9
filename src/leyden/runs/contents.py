"""One hash over whatever a data set holds: tensors, arrays, files, numbers, and objects made of them.

The same content has the same hash in every process: nothing depends on addresses, on the
order of sets, or on where a folder of files lies. What cannot be looked into (an open file, a
connection) is named in `Contents.unknown` instead of being passed over silently.
"""

from __future__ import annotations

import functools
import hashlib
import io
import random
import types
from collections.abc import Mapping
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leyden.datamodule import LightningDataModule
from leyden.module import LightningModule
from leyden.runs.file_hashes import identify

WHOLE = 2**30  # bytes of one array; of larger ones evenly spread blocks are read
_BLOCK = 2**16
_DEEPEST = 8
_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)
_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype, torch.dtype, torch.device, range)


class Contents:
    """Collects one hash; `add` values, then read the attributes.

    Attributes:
        arrays: Bytes of tensors and arrays that went in.
        files: What `identify` said of each file or folder, by the name of the attribute.
        unknown: Where there was something that cannot be looked into.
        sampled: Whether of some array only a part was read.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._on_the_way: set[int] = set()
        self._roots: list[str] = []
        self.arrays = 0
        self.files: dict[str, dict[str, Any]] = {}
        self.unknown: list[str] = []
        self.sampled = False

    @property
    def sha256(self) -> str:
        """The hash of everything added so far."""
        return self._hash.hexdigest()

    def add(self, name: str, value: Any) -> None:
        """Add *value*, called *name*."""
        if isinstance(value, Tensor):
            self._tensor(name, value)
        elif isinstance(value, np.memmap) and value.filename is not None:
            self._note(name, str(value.dtype), str(value.shape), str(value.offset))
            self._file(name, Path(value.filename))
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self._array(name, str(value.dtype), value.shape, np.ascontiguousarray(value).reshape(-1).view(np.uint8))
        elif isinstance(value, (str, Path)) and (path := _path(name, value)) is not None:
            self._file(name, path)
        elif isinstance(value, (*_PLAIN, PurePath)):
            self._note(name, type(value).__name__, self._relative(repr(value)))
        elif isinstance(value, _NAMED):
            self._note(name, f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}")
        elif isinstance(value, (*_GENERATORS, LightningModule, LightningDataModule)):
            self._note(name, type(value).__name__)  # their state changes as they are used
        else:
            self._inside(name, value)

    def _inside(self, name: str, value: Any) -> None:
        """Add what *value* consists of, once, and not endlessly deep."""
        if id(value) in self._on_the_way:
            return
        if len(self._on_the_way) >= _DEEPEST or isinstance(value, io.IOBase):
            self.unknown.append(name)
            return
        self._on_the_way.add(id(value))
        try:
            self._parts(name, value)
        finally:
            self._on_the_way.discard(id(value))

    def _parts(self, name: str, value: Any) -> None:
        self._note(name, f"{type(value).__module__}.{type(value).__qualname__}")
        if isinstance(value, (set, frozenset)):
            value = sorted(value, key=repr)
        if isinstance(value, functools.partial):
            value = {"func": value.func, "args": value.args, "keywords": value.keywords}
        if isinstance(value, np.ndarray):  # of objects
            value = value.tolist()
        if isinstance(value, (list, tuple, Mapping)):
            self._items(name, value)
        elif type(value).__module__.split(".")[0] == "datasets" and isinstance(vars(value).get("_fingerprint"), str):
            self._note(name, vars(value)["_fingerprint"])  # of Hugging Face: it stands for content and transforms
        elif hasattr(value, "__dict__"):
            attributes = {key: item for key, item in vars(value).items() if not key.startswith("__")}
            self._roots += [str(item) for key, item in attributes.items() if _path(key, item) is not None]
            for key, item in sorted(attributes.items()):
                self.add(f"{name}.{key}", item)
        else:
            self.unknown.append(name)

    def _items(self, name: str, value: Any) -> None:
        if _is_plain(value):
            self._note(name, self._relative(repr(value)))
            return
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in pairs:
            self.add(f"{name}.{key}", item)

    def _tensor(self, name: str, value: Tensor) -> None:
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            self.unknown.append(name)
            return
        flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8)
        self._array(name, str(value.dtype), tuple(value.shape), flat.numpy())

    def _array(self, name: str, dtype: str, shape: tuple[int, ...], content: np.ndarray[Any, Any]) -> None:
        self._note(name, dtype, str(shape))
        self.arrays += content.nbytes
        if content.nbytes <= WHOLE:
            self._hash.update(content.data)
            return
        self.sampled = True
        for start in np.linspace(0, content.nbytes - _BLOCK, WHOLE // _BLOCK, dtype=np.int64):
            self._hash.update(content[start : start + _BLOCK].data)

    def _file(self, name: str, path: Path) -> None:
        found = identify(path.resolve())
        self.files[name.lstrip(".")] = found
        self._note(name, found["sha256"])

    def _note(self, *words: str) -> None:
        for word in words:
            self._hash.update(f"{len(word)}:{word}".encode(errors="surrogatepass"))

    def _relative(self, text: str) -> str:
        """Take the folders of the data out of a text: the same files may lie elsewhere."""
        for root in self._roots:
            text = text.replace(root, "")
        return text


def _is_plain(value: Any, depth: int = 2) -> bool:
    """Tell whether a container, maybe a long one, holds plain values and lists of such only; fast."""
    items = list(chain(value.keys(), value.values())) if isinstance(value, Mapping) else value
    kinds = {kind for kind in set(map(type, items)) if not issubclass(kind, _PLAIN)}
    if not kinds or depth == 0 or not kinds <= {list, tuple}:
        return not kinds
    return _is_plain(list(chain.from_iterable(item for item in items if type(item) in (list, tuple))), depth - 1)


def _path(name: str, value: Any) -> Path | None:
    """Return *value* as a path if it is meant as one and leads to something."""
    if isinstance(value, str):
        last = name.rpartition(".")[2].strip("_").lower()
        hinted = any(word in last for word in ("root", "path", "dir", "file", "folder"))
        if not value or len(value) > 1024 or "\n" in value or "\0" in value or not (hinted or "/" in value):
            return None
    elif not isinstance(value, Path):
        return None
    path = Path(value)
    try:
        return path if path.exists() and path.resolve() not in (Path.cwd(), *Path.cwd().parents) else None
    except OSError:
        return None
