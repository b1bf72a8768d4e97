"""The table of a tar's entries: rows of 120 bytes and a heap that holds their names.

It is not a reader: `ocifast._native.tar.TarParser` fills it, and payload is never in it.
Invariant: every span of every row lies within the heap; a table that breaks it cannot be made.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ocifast._native.tar import check_table
from ocifast.errors import FormatError
from ocifast.tree.entry import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from _typeshed import ReadableBuffer

__all__ = ["FIELDS", "ROW", "EntryTable"]

FIELDS: Final = {
    "start_offset": "Q",
    "header_offset": "Q",
    "payload_offset": "Q",
    "size": "Q",
    "stored_size": "Q",
    "mtime_ns": "q",
    "path_offset": "Q",
    "link_offset": "Q",
    "xattr_offset": "Q",
    "sparse_offset": "Q",
    "path_size": "I",
    "link_size": "I",
    "xattr_size": "I",
    "sparse_regions": "I",
    "mode": "I",
    "uid": "I",
    "gid": "I",
    "dev_major": "I",
    "dev_minor": "I",
    "type": "B",
    "flags": "B",
    "reserved": "H",
}
"""Columns of a row, as struct characters; the same order as ocf_tar_row in ext/csrc/tar.h."""

ROW: Final = Struct("=" + "".join(FIELDS.values()))
assert ROW.size == 120

FILE: Final = ord("0")
HARDLINK: Final = ord("1")
DIRECTORY: Final = ord("5")
"""Of the column `type`."""
FLAG_WHITEOUT: Final = 1
FLAG_OPAQUE: Final = 2
FLAG_SPARSE: Final = 4
FLAG_IMPLIED: Final = 16
_KINDS: Final = dict(
    zip(
        b"0123456",
        (
            EntryKind.FILE,
            EntryKind.HARDLINK,
            EntryKind.SYMLINK,
            EntryKind.CHAR_DEVICE,
            EntryKind.BLOCK_DEVICE,
            EntryKind.DIRECTORY,
            EntryKind.FIFO,
        ),
        strict=True,
    )
)

_MAGIC: Final = b"OCITABLE"
_HEADER: Final = Struct("=8sIIQQ")  # magic, version, row size, rows, heap bytes; native endian
_VERSION: Final = 1
_XATTR: Final = Struct("=II")
_REGION: Final = Struct("=QQ")

Array: TypeAlias = "np.ndarray[Any, np.dtype[np.void]]"


class EntryTable:
    """The entries of one layer in archive order; immutable.

    It borrows both buffers: they live as long as the table or any array of it.

    Raises:
        FormatError: a row does not fit the heap.

    Example:
        >>> from ocifast._native.tar import TarParser
        >>> from ocifast.limits import Limits
        >>> parser = TarParser(Limits())
        >>> parser.feed(bytes(1024))
        >>> parser.finish()
        >>> len(EntryTable(*parser.take_table()))
        0
    """

    __slots__ = ("_heap", "_rows")

    def __init__(self, rows: ReadableBuffer, heap: ReadableBuffer) -> None:
        self._rows = memoryview(rows).cast("B").toreadonly()
        self._heap = memoryview(heap).cast("B").toreadonly()
        check_table(self._rows, self._heap)

    def __len__(self) -> int:
        return self._rows.nbytes // ROW.size

    def __iter__(self) -> Iterator[Entry]:
        heap = self._heap
        for row in ROW.iter_unpack(self._rows):
            yield _entry(row, heap)

    def __getitem__(self, index: int) -> Entry:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"entry {index} of a table of {len(self)}")
        return _entry(ROW.unpack_from(self._rows, position * ROW.size), self._heap)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EntryTable):
            return NotImplemented
        # as bytes: memoryviews compare item by item, 50 times slower
        return bytes(self._rows) == bytes(other._rows) and bytes(self._heap) == bytes(other._heap)

    __hash__ = None  # type: ignore[assignment]  # as large as the table, so not offered

    def __repr__(self) -> str:
        return f"<EntryTable of {len(self)} entries, {self.nbytes} bytes>"

    def __reduce__(self) -> tuple[object, ...]:
        return EntryTable.from_buffer, (self.to_bytes(),)

    @property
    def nbytes(self) -> int:
        """Memory of rows and heap."""
        return self._rows.nbytes + self._heap.nbytes

    @property
    def heap(self) -> memoryview:
        """Names, link targets, xattrs and sparse regions; the spans of rows point into it."""
        return self._heap

    @property
    def array(self) -> Array:
        """The rows as a structured numpy array without a copy; read-only. Imports numpy."""
        import numpy as np  # a tenth of a second, and few need it

        return np.frombuffer(self._rows, dtype=np.dtype([(k, f"={v}") for k, v in FIELDS.items()]))

    def to_buffers(self) -> tuple[bytes, memoryview, memoryview]:
        """The parts of to_bytes() for os.writev(), without a copy of rows or names."""
        header = _HEADER.pack(_MAGIC, _VERSION, ROW.size, len(self), self._heap.nbytes)
        return header, self._rows, self._heap

    def to_bytes(self) -> bytes:
        """The whole table as one blob for from_buffer() of the same kind of machine."""
        return b"".join(self.to_buffers())

    @classmethod
    def from_buffer(cls, data: ReadableBuffer) -> EntryTable:
        """Read a blob of to_bytes() in place, without a copy.

        Raises:
            FormatError: it is not a table of this version and byte order, or is not sound.
        """
        view = memoryview(data).cast("B")
        if view.nbytes < _HEADER.size:
            raise FormatError("an entry table is cut short")
        magic, version, row_size, rows, heap = _HEADER.unpack_from(view)
        if (magic, version, row_size) != (_MAGIC, _VERSION, ROW.size):
            raise FormatError("not an entry table of this version")
        split = _HEADER.size + rows * ROW.size
        if split + heap != view.nbytes:
            raise FormatError("an entry table is not as long as it says")
        return cls(view[_HEADER.size : split], view[split:])


def _entry(row: tuple[Any, ...], heap: memoryview) -> Entry:
    (start, header, payload, size, stored, mtime, path, link, xattr, sparse) = row[:10]
    (path_size, link_size, xattr_size, regions, mode, uid, gid, major, minor) = row[10:19]
    return Entry(
        heap[path : path + path_size].tobytes(),
        _KINDS[row[19]],
        size,
        stored,
        mode,
        uid,
        gid,
        mtime,
        heap[link : link + link_size].tobytes() if link_size else b"",
        major,
        minor,
        start,
        header,
        payload,
        _xattrs(heap[xattr : xattr + xattr_size]) if xattr_size else (),
        _regions(heap[sparse : sparse + regions * _REGION.size]) if row[20] & FLAG_SPARSE else None,
    )


def _xattrs(run: memoryview) -> tuple[tuple[bytes, bytes], ...]:
    """Split a run of [u32 name size][u32 value size][name][value]."""
    found, at = [], 0
    while at < run.nbytes:
        name_size, value_size = _XATTR.unpack_from(run, at)
        at += _XATTR.size
        value = at + name_size
        found.append((run[at:value].tobytes(), run[value : value + value_size].tobytes()))
        at = value + value_size
    return tuple(found)


def _regions(run: memoryview) -> tuple[tuple[int, int], ...]:
    return tuple((offset, size) for offset, size in _REGION.iter_unpack(run))
