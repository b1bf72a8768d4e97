"""Buffers of native code as numpy columns, without a copy.

numpy is imported when the first column is made, not before. Invariant: a column borrows its buffer
and can be written to when that can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ocifast._native.tree_join import join, kinship

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer

    from ocifast.formats.tar import EntryTable

    Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

__all__ = ["Joined", "Kinship", "column", "joined", "kinship_of"]


def column(buffer: ReadableBuffer, dtype: str, width: int = 0) -> Array:
    """View a buffer as numbers of a type, `width` of them a row if it is given.

    Example:
        >>> column(bytes(8), "u2", 2).tolist()
        [[0, 0], [0, 0]]
    """
    import numpy as np

    found: Array = np.frombuffer(memoryview(buffer).cast("B"), dtype=np.dtype(dtype))
    return found.reshape(-1, width) if width else found


class Kinship(NamedTuple):
    """Of each row of a table in the order of a tree, two other rows."""

    parents: Array
    """Its folder's; -1 at the top."""
    inodes: Array
    """That of the first name of its inode."""


def kinship_of(table: EntryTable) -> Kinship:
    """Find out both, in one pass over the table: to be called once."""
    _, rows, heap = table.to_buffers()
    parents, inodes = kinship(rows, heap)
    return Kinship(column(parents, "i4"), column(inodes, "u4"))


class Joined(NamedTuple):
    """Two tables joined, as `_native.tree_join.join` gives it."""

    pairs: Array
    """Rows of both (two i4), -1 for none."""
    masks: Array
    """What differs of each pair; can be written to."""
    unread: Array
    """Of files that have to be read: number of the pair, rows of the two files (three u4)."""


def joined(
    a: EntryTable,
    b: EntryTable,
    contents_a: ReadableBuffer | None = None,
    contents_b: ReadableBuffer | None = None,
) -> Joined:
    """Join two tables in the order of a tree; contents are digests, 32 bytes a row."""
    _, rows_a, heap_a = a.to_buffers()
    _, rows_b, heap_b = b.to_buffers()
    pairs, masks, unread = join(rows_a, heap_a, contents_a, rows_b, heap_b, contents_b)
    return Joined(column(pairs, "i4", 2), column(masks, "u2").copy(), column(unread, "u4", 3))
