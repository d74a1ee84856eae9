"""Lightning's names for the ways in which memory can be too small; `leyden.memory` asks for any of them."""

from __future__ import annotations

import torch


def is_cuda_out_of_memory(exception: BaseException) -> bool:
    """Tell whether a CUDA device ran out of memory."""
    said = str(exception)
    return isinstance(exception, torch.OutOfMemoryError) or (
        isinstance(exception, RuntimeError) and "CUDA" in said and "out of memory" in said
    )


def is_cudnn_snafu(exception: BaseException) -> bool:
    """Tell whether this is what cuDNN says when its work space does not fit."""
    return isinstance(exception, RuntimeError) and "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED." in str(exception)


def is_out_of_cpu_memory(exception: BaseException) -> bool:
    """Tell whether torch ran out of the computer's memory."""
    return isinstance(exception, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(exception)
