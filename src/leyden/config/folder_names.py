"""Names of folders that a config gives: below the folder they belong to, and such as file systems take."""

from __future__ import annotations

LONGEST = 255  # bytes of one part: ext4, XFS, NFS, Lustre and APFS agree


def no_folder(name: str) -> str | None:
    """Say why *name* names no folder within another one, in words that follow its value; None if it does.

    Args:
        name: Parts are divided by slashes.
    """
    parts = name.split("/")
    if any(not part.strip() or part in (".", "..") for part in parts):
        return "but names a folder within another one. Expected a name such as wide, or digits/wide"
    if not name.isprintable():
        return "which has characters that cannot be printed. Expected letters, digits, - and _"
    longest = max(len(part.encode()) for part in parts)
    return f"{longest} bytes long. Expected at most {LONGEST}, which file systems take" if longest > LONGEST else None
