"""Buffers of native code as numpy columns, without a copy.

numpy is imported when the first column is made, not before. Invariant: a column borrows its buffer
and can be written to when that can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ocifast._native.tree_join import kinship

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer

    from ocifast.formats.tar import EntryTable

    Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

__all__ = ["column", "inodes_of", "parents_of"]


def column(buffer: ReadableBuffer, dtype: str, width: int = 0) -> Array:
    """View a buffer as numbers of a type, `width` of them a row if it is given.

    Example:
        >>> column(bytes(8), "u2", 2).tolist()
        [[0, 0], [0, 0]]
    """
    import numpy as np

    found: Array = np.frombuffer(memoryview(buffer).cast("B"), dtype=np.dtype(dtype))
    return found.reshape(-1, width) if width else found


def parents_of(table: EntryTable) -> Array:
    """Of each row of a table in the order of a tree, the row of its folder; -1 at the top."""
    return column(_kinship(table)[0], "i4")


def inodes_of(table: EntryTable) -> Array:
    """Of each row of a table in the order of a tree, the row of its inode's first name."""
    return column(_kinship(table)[1], "u4")


def _kinship(table: EntryTable) -> tuple[bytes, bytes]:
    _, rows, heap = table.to_buffers()
    return kinship(rows, heap)
