"""Which layer each file of a tree goes into: by its path, so that it is the same one next time.

Files are sorted by keys of their folders and paths; a group that is too large is parted by the next
bit of its keys, as often as it takes. So a group depends on what is in it, and hardly on anything
else. Columns in, columns out. Invariant: the layers, applied in order, make the tree; all names of
an inode are in one layer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ocifast._native.path_key import path_keys
from ocifast._native.tree_join import sum_up
from ocifast.formats.tar import DIRECTORY, FILE, FLAG_SPARSE, EntryTable
from ocifast.ops.columns import column, kinship_of
from ocifast.ops.squash_rows import LayerRows, in_tar_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.columns import Array
    from ocifast.ops.effective_tree import EffectiveTree

__all__ = ["chunked"]

DEPTH: Final = 5
"""Components of a folder that make a group: what belongs to usr/lib/python3/dist-packages/numpy is
together. Do not change: layers of new versions would share nothing with those of old ones."""
STEPS: Final = 4
"""Sizes that are tried to come to a number of layers: four to each power of two. A size that is
made to measure would be another one whenever a file grows by a byte."""
HEADER_BYTES: Final = 512


def chunked(
    tree: EffectiveTree, *, layers: int | None = None, max_size: int | None = None
) -> list[LayerRows]:
    """Give layers of at most so many bytes of tar, or at most so many layers, of about one size.

    A file of more than half of that is alone; on top is a layer of all folders.
    """
    if layers == 1:
        return [_whole(tree)]
    files = _Files(tree)
    if max_size is not None:
        groups = files.groups(max_size)
    else:
        assert layers is not None
        groups = files.groups_of(layers - 1)
    return [*files.layers(groups), files.folders()]


def _whole(tree: EffectiveTree) -> LayerRows:
    import numpy as np

    return _taken(tree, np.arange(len(tree.table)))


def _taken(tree: EffectiveTree, rows: Array, below: Array | None = None) -> LayerRows:
    """Rows as a layer; of folders `below` the layer on top has the rest to say.

    A time that changes with every file in a folder would change each layer that needs the folder.
    """
    assert tree.origin is not None
    found = tree.table.array[rows].copy()
    found["flags"] &= FLAG_SPARSE
    if below is not None:
        found["mtime_ns"][below] = found["xattr_size"][below] = 0
    table = EntryTable(found.tobytes(), tree.table.heap)
    return in_tar_order(LayerRows(table, tree.origin[rows]), rows)


class _Files:
    """The inodes of a tree that are no folders, in the order of their keys."""

    def __init__(self, tree: EffectiveTree) -> None:
        import numpy as np

        self._tree = tree
        array = tree.table.array
        _, rows, heap = tree.table.to_buffers()
        self._parents, self._inodes = kinship_of(tree.table)
        self._is_folder = array["type"] == DIRECTORY
        size = np.where(array["type"] == FILE, array["size"], 0).astype(np.int64)
        sizes = -(-size // HEADER_BYTES) * HEADER_BYTES + HEADER_BYTES
        sizes = np.bincount(self._inodes, sizes, len(array)).astype(np.int64)
        first = np.flatnonzero((self._inodes == np.arange(len(array))) & ~self._is_folder)
        keys = column(path_keys(rows, heap, DEPTH), "u8")[first]
        order = np.argsort(keys, kind="stable")
        self._rows, self._keys = first[order], keys[order]
        self._sizes = sizes[self._rows]

    def groups(self, size: int) -> list[Array]:
        """Part all files into groups of at most that size; gives the rows of inodes of each."""
        alone = self._sizes > size // 2
        keys, rows = self._keys[~alone], self._rows[~alone]
        found = [rows[start:end] for start, end in _parted(keys, self._sizes[~alone], size)]
        return [*found, *(self._rows[at : at + 1] for at in alone.nonzero()[0].tolist())]

    def groups_of(self, count: int) -> list[Array]:
        """Part them into at most so many groups: of the least size of a series that does."""
        step = max(int(self._sizes.sum()) // count, 1).bit_length() * STEPS - STEPS
        while True:
            groups = self.groups(int(2.0 ** (step / STEPS)))
            if len(groups) <= count:
                return groups
            step += 1

    def layers(self, groups: list[Array]) -> Iterator[LayerRows]:
        """Make layers of groups: all names of their inodes, and the folders those are in."""
        import numpy as np

        number = np.full(len(self._tree.table), -1, dtype=np.int64)
        for at, rows in enumerate(groups):
            number[rows] = at
        number = np.where(self._is_folder, -1, number[self._inodes])
        by_group = np.argsort(number, kind="stable")
        ends = np.searchsorted(number[by_group], np.arange(len(groups) + 1))
        for start, end in pairwise(ends.tolist()):
            inside = np.zeros(len(number), dtype=np.int64)
            inside[by_group[start:end]] = 1
            sum_up(self._parents.data, inside.data)
            rows = np.flatnonzero(inside)
            yield _taken(self._tree, rows, self._is_folder[rows])

    def folders(self) -> LayerRows:
        """The layer of all folders."""
        return _taken(self._tree, self._is_folder.nonzero()[0])


def _parted(keys: Array, sizes: Array, most: int) -> Iterator[tuple[int, int]]:
    """Part sorted keys by their bits, the highest first, into ranges of at most that size."""
    import numpy as np

    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
    left = [(0, len(keys))] if len(keys) else []
    while left:
        start, end = left.pop()
        differ = int(keys[start]) ^ int(keys[end - 1])
        if before[end] - before[start] <= most or not differ:
            yield start, end
            continue
        bit = 1 << (differ.bit_length() - 1)
        border = int(keys[end - 1]) & -bit
        middle = start + int(np.searchsorted(keys[start:end], np.uint64(border)))
        left += [(middle, end), (start, middle)]
