"""One entry of a layer as a value: what it is, its metadata, where its bytes stand in the tar.

It is a record, not a handle: nothing is opened, resolved or cleaned. Invariant: `path` and
`link_target` are the bytes of the archive; `name` is only for showing and for os functions.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import NamedTuple

from ocifast.tree import whiteout

__all__ = ["Entry", "EntryKind"]


class EntryKind(Enum):
    """The seven things a layer can hold; the value is the word of the OCI image-spec, layer.md."""

    FILE = "file"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    CHAR_DEVICE = "char-device"
    BLOCK_DEVICE = "block-device"
    DIRECTORY = "directory"
    FIFO = "fifo"


class Entry(NamedTuple):
    """One entry. A named tuple because a table makes hundreds of thousands of them a second.

    Example:
        >>> Entry(b"etc/.wh.motd", EntryKind.FILE).is_whiteout
        True
    """

    path: bytes
    kind: EntryKind
    size: int = 0
    """Bytes of the file; the holes of a sparse file count."""
    stored_size: int = 0
    """Bytes of payload in the tar."""
    mode: int = 0
    """The twelve permission bits."""
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    link_target: bytes = b""
    """Of a symlink as stored; of a hardlink the path of the other entry in the archive."""
    dev_major: int = 0
    dev_minor: int = 0
    start_offset: int = 0
    """Where its first extension header stands, or its own header when it has none."""
    header_offset: int = 0
    payload_offset: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    """(name, value) in the order stored; of a repeated name the last one counts, as in dict()."""
    regions: tuple[tuple[int, int], ...] | None = None
    """(offset, size) of the data of a sparse file, whose payload is these run together."""

    @property
    def name(self) -> str:
        """The path as str, in the encoding of the file system with surrogateescape."""
        return os.fsdecode(self.path)

    @property
    def is_sparse(self) -> bool:
        """Whether the payload is regions of the file instead of the file."""
        return self.regions is not None

    @property
    def is_whiteout(self) -> bool:
        """Whether it removes something of the lower layers; an opaque whiteout does too."""
        return whiteout.is_whiteout_path(self.path)

    @property
    def is_opaque(self) -> bool:
        """Whether it hides all that the lower layers have in its directory."""
        return whiteout.is_opaque_path(self.path)

    @property
    def is_aufs(self) -> bool:
        """Whether it is housekeeping of AUFS that old engines left in layers: to be skipped."""
        return whiteout.is_aufs_path(self.path)
