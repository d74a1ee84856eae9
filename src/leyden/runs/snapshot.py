"""The sources of a project in one archive, for runs that must not depend on a repository."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from leyden import atomic, secrets
from leyden.runs.code import masked_source
from leyden.runs.source_files import found_in, read_source

FILE = "code.tar.gz"


def take(root: Path, target: Path) -> list[str]:
    """Write the source files below *root* to the archive *target*.

    Time stamps and owners are left out: the same sources make the same archive.

    Returns:
        The source files that are not in it: too large, unreadable, or with a secret inside.
    """
    kept: dict[str, bytes] = {}
    left_out: list[str] = []
    for path in found_in(root):
        content = read_source(root / path)
        if content is None or _gives_away(content, path):
            left_out.append(path)
        else:
            kept[path] = content
    archive = io.BytesIO()
    with gzip.GzipFile(fileobj=archive, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in kept.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    atomic.write(target, lambda file: file.write(archive.getvalue()))
    return left_out


def _gives_away(content: bytes, path: str) -> bool:
    text = content.decode("utf-8", errors="replace")
    return masked_source(text, path) != text or secrets.holds_secret(path)
