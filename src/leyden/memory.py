"""Memory of a device: whether an error says that there is not enough, and giving back what nobody uses."""

from __future__ import annotations

import gc

import torch

# Before torch had an exception for it, and still on some devices, only the text tells.
_TEXTS = (
    ("CUDA", "out of memory"),
    ("MPS backend out of memory",),
    ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED.",),  # what cuDNN says when its work space does not fit
    ("DefaultCPUAllocator: can't allocate memory",),
    ("DefaultCPUAllocator: not enough memory",),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether *error* says that memory, of the device or of the computer, was too small."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    message = str(error)
    return isinstance(error, RuntimeError) and any(all(word in message for word in words) for words in _TEXTS)


def release() -> None:
    """Collect garbage, and give torch's unused CUDA memory back."""
    gc.collect()
    try:
        torch.cuda.empty_cache()
    except RuntimeError as error:  # a device that ran out of memory may say so once more
        if not is_out_of_memory(error):
            raise
