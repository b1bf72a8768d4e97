"""What a layer contains: entries and whiteouts, as values.

Nothing here knows tar, compression or the file system. Invariant: names are bytes, as stored.
"""

from ocifast.tree.entry import Entry, EntryKind
from ocifast.tree.whiteout import (
    AUFS_PREFIX,
    OPAQUE_NAME,
    WHITEOUT_PREFIX,
    hidden_path,
    is_aufs_path,
    is_opaque_path,
    is_whiteout_path,
)

__all__ = [
    "AUFS_PREFIX",
    "OPAQUE_NAME",
    "WHITEOUT_PREFIX",
    "Entry",
    "EntryKind",
    "hidden_path",
    "is_aufs_path",
    "is_opaque_path",
    "is_whiteout_path",
]
