"""The table of a tree, changed before it is packed: owners, times, order.

Columns are worked on as numpy arrays, so a million entries take a moment; names are not touched.
Invariant: every function gives a new table, and the one it was given stays what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.formats.tar import EntryTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.formats.tar import Array
    from ocifast.ops.pack_options import OwnerRule

__all__ = ["by_extension", "clamped", "mapped", "owned", "with_rows"]

SECOND_NS = 10**9


def with_rows(table: EntryTable, rows: Array) -> EntryTable:
    """Give a table of other rows over the same heap."""
    return EntryTable(rows.tobytes(), table.heap)


def clamped(table: EntryTable, epoch: int) -> EntryTable:
    """Make nothing younger than `epoch`, seconds since 1970 (SOURCE_DATE_EPOCH)."""
    import numpy as np

    rows = table.array.copy()
    rows["mtime_ns"] = np.minimum(rows["mtime_ns"], epoch * SECOND_NS)
    return with_rows(table, rows)


def owned(table: EntryTable, uid: int, gid: int) -> EntryTable:
    """Let everything belong to one owner."""
    rows = table.array.copy()
    rows["uid"], rows["gid"] = uid, gid
    return with_rows(table, rows)


def mapped(table: EntryTable, rules: Sequence[OwnerRule]) -> EntryTable:
    """Change owners by the first rule that matches each entry."""
    import numpy as np

    before = table.array
    rows, open_ = before.copy(), np.ones(len(before), dtype=bool)
    for rule in rules:
        hit = open_.copy()
        if rule.uid is not None:
            hit &= before["uid"] == rule.uid
        if rule.gid is not None:
            hit &= before["gid"] == rule.gid
        if rule.new_uid is not None:
            rows["uid"][hit] = rule.new_uid
        if rule.new_gid is not None:
            rows["gid"][hit] = rule.new_gid
        open_ &= ~hit
    return with_rows(table, rows)


def by_extension(table: EntryTable) -> EntryTable:
    """Put directories first, then files of a kind side by side, hard links last.

    Within a kind the order of the tree stays, so the result depends on names alone.
    """
    rows, heap = table.array, bytes(table.heap)

    def key(index: int) -> tuple[int, bytes]:
        row = rows[index]
        kind = bytes([row["type"]])
        if kind in b"15":
            return (0 if kind == b"5" else 2, b"")
        start = int(row["path_offset"])
        name = heap[start : start + int(row["path_size"])].rpartition(b"/")[2]
        return 1, name.rpartition(b".")[2] if b"." in name.lstrip(b".") else b""

    order = sorted(range(len(rows)), key=key)
    return with_rows(table, rows[order])
