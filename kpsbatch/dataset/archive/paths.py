"""Paths of members, as they would lie on disk."""

from __future__ import annotations

OUTSIDE = "its path leads out of the archive"


def clean(path: bytes, *, backslashes: bool = False) -> bytes | None:
    """A member's path without `./`, double or leading slashes, and without a slash at its end.

    Args:
        path: As in the archive, UTF-8.
        backslashes: Whether the archive may have been made on Windows, by a program that wrote \\ for /.

    Returns:
        The path, or None where it leads out of the archive.
    """
    if backslashes and b"\\" in path and b"/" not in path:
        path = path.replace(b"\\", b"/")
    if b"/." in path or b"//" in path or path.startswith((b"/", b".")):
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        return None if b".." in parts else b"/".join(parts)
    return path.rstrip(b"/")
