"""A copy of a checkpoint that nothing can change: what is written while training goes on.

    checkpoint ──pickle──► bytes, and its storages ──copied, each once──► memory of the computer
                             └────────────────── unpickle ──────────────────┘
                                                     └─► the checkpoint, for torch.save

This is the first half of `torch.save` and the last of `torch.load`, so that whatever can be saved can be copied, and
what cannot is refused at once. Tensors that share a storage still do. A file holds on which device a tensor was: the
copies of a device's tensors say so, too.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch import UntypedStorage
from torch.storage import TypedStorage

from leyden.plain import Sealed

_locations: dict[int, str] = {}  # of copies that are alive, by the address of the storage


class Copy:
    """A copy of *checkpoint* as it is now; tensors are in the memory of the computer.

    Copies from CUDA go to pinned memory, all of them at once: there is one wait, at the end.

    Args:
        checkpoint: What `torch.save` could write.

    Raises:
        Exception: What pickling a part of it raises.
    """

    def __init__(self, checkpoint: Any) -> None:
        content = io.BytesIO()
        copying = _Copying(content)
        copying.dump(checkpoint)
        for device in copying.devices:
            torch.accelerator.current_stream(device).synchronize()
        self._content, self._parts = content.getvalue(), copying.parts
        self._located = copying.located
        _locations.update(self._located)

    def checkpoint(self) -> Any:
        """Return the copy."""
        return _Thawing(io.BytesIO(self._content), self._parts).load()

    def close(self) -> None:
        """Forget where the tensors were; to be called when the copy has been written."""
        for address in self._located:
            _locations.pop(address, None)


class _Copying(pickle.Pickler):
    """Pickles all but storages, which it copies, and what is written as it is.

    Attributes:
        parts: The copies, in the order in which they are met.
        devices: From which copies are under way.
        located: Where a copy's original is, if not in the memory of the computer.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)  # that of torch.save
        self.parts: list[Any] = []
        self.devices: set[torch.device] = set()
        self.located: dict[int, str] = {}
        self._copies: dict[int, tuple[UntypedStorage, UntypedStorage]] = {}  # the original keeps its address meanwhile

    def persistent_id(self, obj: Any) -> int | None:
        """Return the number of the part that stands for *obj*; None for what is pickled."""
        if isinstance(obj, TypedStorage):
            storage = self._copied(obj._untyped_storage)
            typed: Any = TypedStorage
            return self._part(typed(wrap_storage=storage, dtype=obj.dtype, _internal=True))
        if isinstance(obj, UntypedStorage):
            return self._part(self._copied(obj))
        if isinstance(obj, Sealed):  # would be opened by unpickling; nobody else has it
            return self._part(obj)
        return None

    def _part(self, part: Any) -> int:
        self.parts.append(part)
        return len(self.parts) - 1

    def _copied(self, storage: UntypedStorage) -> UntypedStorage:
        if storage._cdata not in self._copies:
            self._copies[storage._cdata] = storage, self._copy(storage)
        return self._copies[storage._cdata][1]

    def _copy(self, storage: UntypedStorage) -> UntypedStorage:
        pinned = storage.device.type == "cuda"
        found = torch.empty(storage.nbytes(), dtype=torch.uint8, pin_memory=pinned).untyped_storage()
        found.copy_(storage, non_blocking=pinned)
        if pinned:
            self.devices.add(storage.device)
        if storage.device.type != "cpu":
            self.located[found._cdata] = torch.serialization.location_tag(storage)
        return found


class _Thawing(pickle.Unpickler):
    """Puts a copy together again, of bytes that this very process has made."""

    def __init__(self, file: io.BytesIO, parts: list[Any]) -> None:
        super().__init__(file)
        self._parts = parts

    def persistent_load(self, pid: Any) -> Any:
        return self._parts[pid]


def _location(storage: Any) -> str | None:
    return _locations.get(storage._cdata) if _locations else None


torch.serialization.register_package(0, _location, lambda storage, location: None)
