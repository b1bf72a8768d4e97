"""A tree that is on no disk: entries and contents from Python, as the tar they make.

For those who have files in memory or in another store. Invariant: as many bytes of a content go
into the tar as its entry says, or an error names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ocifast._native.tree_tar import entry_headers
from ocifast.errors import TreeError
from ocifast.formats.tar import FIELDS, ROW
from ocifast.formats.tar_writer import END, padding
from ocifast.tree.entry import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import ReadableBuffer

    from ocifast.ops.source import Readable

    Content: TypeAlias = "ReadableBuffer | Readable | None"
    Items: TypeAlias = Iterable[tuple[Entry, Content]]

__all__ = ["VirtualTree"]

PIECE_BYTES: Final = 1 << 20
_TYPES: Final = {
    EntryKind.FILE: b"0",
    EntryKind.HARDLINK: b"1",
    EntryKind.SYMLINK: b"2",
    EntryKind.CHAR_DEVICE: b"3",
    EntryKind.BLOCK_DEVICE: b"4",
    EntryKind.DIRECTORY: b"5",
    EntryKind.FIFO: b"6",
}


class VirtualTree:
    r"""Implements `Reader` over ``(entry, content)`` pairs, in their order.

    Of an entry, what says where it stands in a tar is not looked at. The content of a file is a
    buffer or has ``read(size)``; its size is that of the buffer, or the entry's.

    Example:
        >>> tree = VirtualTree([(Entry(b"motd", EntryKind.FILE, mode=0o644), b"hello\n")])
        >>> tree.readinto(memoryview(bytearray(4096)))
        2048
    """

    def __init__(self, items: Items, prefix: bytes = b"") -> None:
        self.size: int | None = None
        self._prefix = prefix + b"/" if prefix else b""
        self._pieces = self._tar(items)
        self._piece = memoryview(b"")

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end.

        Raises:
            TreeError: A content is shorter or longer than its entry says.
        """
        filled = 0
        while filled < len(out):
            if not self._piece:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._piece = memoryview(piece).cast("B")
            count = min(len(self._piece), len(out) - filled)
            out[filled : filled + count] = self._piece[:count]
            self._piece, filled = self._piece[count:], filled + count
        return filled

    def close(self) -> None:
        """Let go of contents."""
        self._pieces.close()  # type: ignore[attr-defined]
        self._piece = memoryview(b"")

    def _tar(self, items: Items) -> Iterator[ReadableBuffer]:
        for entry, content in items:
            view, size = None, entry.size
            if entry.kind is not EntryKind.FILE:
                size = 0
            elif content is None or not hasattr(content, "read"):
                view = memoryview(b"" if content is None else content).cast("B")
                size = len(view)
            yield self._headers(entry, size)
            if view is not None:
                yield view
            elif size:
                yield from _read(entry, content)  # type: ignore[arg-type]
            yield padding(size)
        yield END

    def _headers(self, entry: Entry, size: int) -> bytes:
        path = self._prefix + entry.path
        link = entry.link_target
        if entry.kind is EntryKind.HARDLINK:
            link = self._prefix + link
        xattrs = b"".join(
            len(name).to_bytes(4, "little") + len(value).to_bytes(4, "little") + name + value
            for name, value in sorted(entry.xattrs)
        )
        row = dict.fromkeys(FIELDS, 0)
        row.update(
            size=size,
            stored_size=size,
            mtime_ns=entry.mtime_ns,
            link_offset=len(path),
            xattr_offset=len(path) + len(link),
            path_size=len(path),
            link_size=len(link),
            xattr_size=len(xattrs),
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            dev_major=entry.dev_major,
            dev_minor=entry.dev_minor,
            type=ord(_TYPES[entry.kind]),
        )
        return entry_headers(ROW.pack(*row.values()), path + link + xattrs, 0)


def _read(entry: Entry, content: Readable) -> Iterator[ReadableBuffer]:
    left = entry.size
    while left:
        piece = memoryview(content.read(min(left, PIECE_BYTES))).cast("B")
        if not 0 < len(piece) <= left:
            reason = f"its content ends {left} bytes before the {entry.size} its entry says"
            raise TreeError(entry.name, reason)
        left -= len(piece)
        yield piece
    if memoryview(content.read(1)):
        raise TreeError(
            entry.name, f"its content is longer than the {entry.size} bytes of its entry"
        )
