"""Where a tree has grown: bytes that came and went by folder, without making a change an object.

Invariant: a folder counts what is in it at any depth, so the figures of folders that are inside one
another overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ocifast._native.tree_join import sum_up
from ocifast.formats.tar import DIRECTORY
from ocifast.ops.columns import kinship_of

if TYPE_CHECKING:
    from ocifast.ops.columns import Array
    from ocifast.ops.difference import TreeDiff

__all__ = ["FolderGrowth", "folder_growth"]

MOSTLY = 0.9
"""A folder that is as large as one folder in it says nothing new."""
LOOKED_AT = 8
"""Of so many times the folders wanted, those that say something are chosen."""


class FolderGrowth(NamedTuple):
    """Bytes of content that came into a folder and that went; `path` has no slash at its end."""

    path: bytes
    grown: int
    shrunk: int

    @property
    def net(self) -> int:
        """By how much it has grown; negative when it shrank."""
        return self.grown - self.shrunk

    @property
    def moved(self) -> int:
        """Bytes that came and bytes that went, together."""
        return self.grown + self.shrunk


def folder_growth(parts: list[TreeDiff], most: int) -> list[FolderGrowth]:
    """Give the folders in which most bytes came and went, at most `most` of them.

    Left out is the root, and a folder that is mostly one folder in it.
    """
    found: dict[bytes, tuple[int, int]] = {}
    for part in parts:
        for path, grown, shrunk in _of_part(part, most * LOOKED_AT):
            before = found.get(path, (0, 0))
            found[path] = before[0] + grown, before[1] + shrunk
    ranked = [FolderGrowth(path, *sizes) for path, sizes in found.items()]
    ranked.sort(key=lambda each: (-each.moved, each.path))
    largest: dict[bytes, int] = {}
    for each in ranked:
        for parent in _folders_of(each.path):
            largest[parent] = max(largest.get(parent, 0), each.moved)
    telling = (each for each in ranked if largest.get(each.path, 0) < MOSTLY * each.moved)
    return [each for each, _ in zip(telling, range(most), strict=False)]


def _folders_of(path: bytes) -> list[bytes]:
    return [path[:at] for at, byte in enumerate(path) if byte == ord("/")]


def _of_part(part: TreeDiff, most: int) -> list[tuple[bytes, int, int]]:
    import numpy as np

    growth, pairs = part.growth(), part.pairs[part.changed]
    came = pairs[:, 1] >= 0
    found = []
    for tree, rows, values in (
        (part.b, pairs[came, 1], growth[came]),
        (part.a, pairs[~came, 0], growth[~came]),
    ):
        if not values.any():
            continue
        parents = kinship_of(tree.table).parents
        grown = _summed(parents, rows, np.maximum(values, 0))
        shrunk = _summed(parents, rows, np.maximum(-values, 0))
        moved = grown + shrunk
        moved[tree.table.array["type"] != DIRECTORY] = 0
        for row in np.argsort(-moved, kind="stable")[:most].tolist():
            if moved[row]:
                path = tree.table[row].path.rstrip(b"/")
                found.append((path, int(grown[row]), int(shrunk[row])))
    return found


def _summed(parents: Array, rows: Array, values: Array) -> Array:
    import numpy as np

    total = np.zeros(len(parents), dtype=np.int64)
    total[rows] = values
    sum_up(parents.data, total.data)
    return total
