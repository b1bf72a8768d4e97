"""Which paths of two tables do not count: patterns, asked of folders first, and of what differs.

Invariant: what is in a folder that is left out is left out, as git has it, and is never asked
about; a path that is the same on both sides is asked about only if it is a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast._native.tree_join import spread_down
from ocifast.formats.tar import DIRECTORY
from ocifast.ops.columns import kinship_of
from ocifast.ops.tree_selection import selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.formats.tar import EntryTable
    from ocifast.ops.columns import Array

__all__ = ["PathFilter"]


class PathFilter:
    """Patterns as in a .gitignore; false when there are none.

    Raises:
        ValueError: A pattern cannot be read.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._keep = selection(patterns, None)

    def __bool__(self) -> bool:
        return self._keep is not None

    def in_folders(self, a: EntryTable, b: EntryTable, pairs: Array) -> Array:
        """Say of each pair of rows (-1 for none) whether no folder it is in is left out."""
        import numpy as np

        out = np.zeros(len(pairs), dtype=bool)
        for table, column in ((a, pairs[:, 0]), (b, pairs[:, 1])):
            out |= np.append(self._folders(table), False)[column]
        return ~out

    def _folders(self, table: EntryTable) -> Array:
        """Flag folders that are left out, and all that is in them."""
        import numpy as np

        assert self._keep is not None
        parents = kinship_of(table).parents
        flags, above = np.zeros(len(table), dtype=np.uint8), parents.tolist()
        for row in np.flatnonzero(table.array["type"] == DIRECTORY).tolist():
            inside = above[row] >= 0 and flags[above[row]]
            flags[row] = inside or not self._keep(table[row].path.rstrip(b"/"), True)  # noqa: FBT003
        spread_down(parents.data, flags.data)
        return flags.astype(bool)

    def kept(self, a: EntryTable, b: EntryTable, pairs: Array) -> list[bool]:
        """Say of each pair of rows that differ whether no pattern leaves out its path."""
        assert self._keep is not None
        found = []
        for row_a, row_b in pairs.tolist():
            path = a[row_a].path if row_a >= 0 else b[row_b].path
            found.append(self._keep(path.rstrip(b"/"), path.endswith(b"/")))
        return found
