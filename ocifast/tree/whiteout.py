"""Names by which a layer removes things of the layers below it (image-spec, layer.md, "Whiteouts").

Only names are judged here; whether an entry of that name may be a whiteout is up to the reader.
Invariant: a path is exactly one of ordinary, whiteout (opaque or not), AUFS housekeeping.
"""

from __future__ import annotations

from typing import Final

from ocifast.tree.path import components

__all__ = [
    "AUFS_PREFIX",
    "OPAQUE_NAME",
    "WHITEOUT_PREFIX",
    "hidden_path",
    "is_aufs_path",
    "is_opaque_path",
    "is_whiteout_path",
]

WHITEOUT_PREFIX: Final = b".wh."
OPAQUE_NAME: Final = b".wh..wh..opq"
AUFS_PREFIX: Final = b".wh..wh."
"""In the root of a layer: link store and orphans of AUFS. Engines skip them."""


def is_aufs_path(path: bytes) -> bool:
    """Whether the path is, or is below, housekeeping of AUFS in the root of the layer."""
    if AUFS_PREFIX not in path:
        return False
    parts = components(path)
    return parts[0].startswith(AUFS_PREFIX) and parts != [OPAQUE_NAME]


def is_whiteout_path(path: bytes) -> bool:
    """Whether the last component says that something of the lower layers is gone."""
    if WHITEOUT_PREFIX not in path:
        return False
    return components(path)[-1].startswith(WHITEOUT_PREFIX) and not is_aufs_path(path)


def is_opaque_path(path: bytes) -> bool:
    """Whether it hides everything the lower layers have in its directory."""
    return OPAQUE_NAME in path and components(path)[-1] == OPAQUE_NAME and not is_aufs_path(path)


def hidden_path(path: bytes) -> bytes:
    """The path a whiteout removes; for an opaque one the directory (b"" is the root).

    Example:
        >>> hidden_path(b"etc/.wh.motd"), hidden_path(b"./srv/.wh..wh..opq")
        (b'etc/motd', b'srv')
    """
    if not is_whiteout_path(path):
        raise ValueError(f"{path!r} is not a whiteout")
    *parents, name = components(path)
    hidden = [] if name == OPAQUE_NAME else [name.removeprefix(WHITEOUT_PREFIX)]
    return b"/".join([*parents, *hidden])
