"""File systems, as fsspec knows them."""

from __future__ import annotations

import os
from typing import Any


def get_filesystem(path: str | os.PathLike[str], **kwargs: Any) -> Any:
    """Return the fsspec file system that *path* is on; *kwargs* are its options."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    return url_to_fs(str(path), **kwargs)[0]
