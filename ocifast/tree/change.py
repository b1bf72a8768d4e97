"""One difference between two trees, as a value: which path, what became of it, which fields differ.

It holds entries and knows nothing of where they come from. Invariant: an added path has no `old`, a
deleted one no `new`, and only what is on both sides has `fields`.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ocifast.tree.entry import Entry

__all__ = ["FIELDS", "Change", "ChangeKind"]

FIELDS: Final = (
    "type",
    "mode",
    "owner",
    "size",
    "mtime",
    "link",
    "device",
    "xattrs",
    "links",
    "content",
)
"""What can differ; `link` is the target of a symlink, `links` the inode a name is one of."""


class ChangeKind(Enum):
    """What became of a path; the value is its mark in lists."""

    ADDED = "A"
    MODIFIED = "M"
    DELETED = "D"
    RENAMED = "R"


class Change(NamedTuple):
    """One path that differs. Entries are those of a tree: paths relative, folders with a slash.

    Example:
        >>> from ocifast.tree.entry import Entry, EntryKind
        >>> change = Change(ChangeKind.ADDED, b"motd", None, Entry(b"motd", EntryKind.FILE, 5))
        >>> change.growth, change.name
        (5, 'motd')
    """

    kind: ChangeKind
    path: bytes
    old: Entry | None
    new: Entry | None
    fields: tuple[str, ...] = ()
    """Of `FIELDS`, in that order."""
    old_path: bytes = b""
    """Of a rename, where it was."""
    old_digest: str | None = None
    """Of a regular file's content, as ``sha256:...``, where it was found out."""
    new_digest: str | None = None
    layer: int | None = None
    """Which layer of the image, from 0, when layers are compared one by one."""

    @property
    def name(self) -> str:
        """The path as str, in the encoding of the file system with surrogateescape."""
        return os.fsdecode(self.path)

    @property
    def growth(self) -> int:
        """Bytes of content that came minus those that went; a hard link has none of its own."""
        return (self.new.size if self.new else 0) - (self.old.size if self.old else 0)
