"""Reading IDX files, the format MNIST and its relatives come in, plain or gzip.

    bytes 0-1   zero
    byte  2     type of the values: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
    byte  3     number of dimensions
    4 bytes     size of each dimension, big-endian
    the rest    the values, row-major, big-endian

The file says itself what it holds, so what it says is checked against what is there.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from leyden.errors import ConfigurationError

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | Path) -> Tensor:
    """Read one IDX file; a gzip one is recognised by its first bytes, whatever its name.

    Returns:
        A tensor of the shape and type the file declares, in the machine's byte order.

    Raises:
        ConfigurationError: If the file is absent, damaged, or no IDX file. It names the file.
    """
    path = Path(path)
    raw = _contents(path)
    if len(raw) < 4 or raw[:2] != b"\x00\x00" or raw[2] not in DTYPES or raw[3] == 0:
        raise ConfigurationError(
            f"{path} is not an IDX file: it begins with the bytes {raw[:4].hex(' ') or '(none)'}. Expected 00 00, "
            f"a type code ({', '.join(f'{code:02x}' for code in DTYPES)}) and a number of dimensions. "
            f"Replace the file; a download that failed often leaves a web page in its place."
        )
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise ConfigurationError(
            f"{path} ends within its header, after {len(raw)} of {start} bytes. Replace the file by a complete one."
        )
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    dtype = np.dtype(DTYPES[raw[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise ConfigurationError(
            f"{path} holds {len(raw)} bytes, but its header declares values of type {dtype.name} and shape {shape}, "
            f"which make {expected}. Replace the file by a complete one."
        )
    values = np.frombuffer(raw, dtype, offset=start).reshape(shape)
    return torch.from_numpy(values.astype(dtype.newbyteorder("=")))  # astype copies: the bytes are read-only


def _contents(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} does not exist. Expected an IDX file, plain or gzip.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ConfigurationError(
            f"{path} is a damaged gzip file ({error}). Replace it by a complete one, or delete it to download it again."
        ) from error
