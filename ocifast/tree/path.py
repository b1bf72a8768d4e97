"""Paths of entries as they are compared: without slashes at their ends, empty parts, and `.`.

Nothing is resolved, and `..` is a part like any other: whether it may stand in a path is decided by
whoever reads the layer. Invariant: paths that name the same entry of a layer become equal.
"""

from __future__ import annotations

__all__ = ["components", "plain_path"]


def components(path: bytes) -> list[bytes]:
    """Give the parts of a path that mean something.

    Example:
        >>> components(b"./etc//motd/")
        [b'etc', b'motd']
    """
    return [part for part in path.split(b"/") if part not in {b"", b"."}]


def plain_path(path: bytes) -> bytes:
    """Give a path in its one form; empty for the root.

    Example:
        >>> plain_path(b"/./etc/"), plain_path(b"./")
        (b'etc', b'')
    """
    return b"/".join(components(path))
