"""Which entries make a changeset: what came or differs, what goes with it, and whiteouts.

Columns in, columns out; names are touched of whiteouts only. Invariant: applied on top of the first
tree, what is given makes the second one, as far as the differences that count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._native.tree_join import kinship
from ocifast.ops.columns import column
from ocifast.tree.whiteout import OPAQUE_NAME, WHITEOUT_PREFIX

if TYPE_CHECKING:
    from ocifast.formats.tar import EntryTable
    from ocifast.ops.columns import Array

__all__ = ["Changeset", "changeset_of"]

DIRECTORY: Final = ord("5")
WORTH_OPAQUE: Final = 2
"""An opaque whiteout stands for all whiteouts in a folder, so it has to replace some."""


class Changeset(NamedTuple):
    """Rows of the second tree that are written, ascending, and whiteouts.

    A whiteout is its path and the row of the folder it is in, -1 at the top.
    """

    rows: Array
    whiteouts: list[tuple[bytes, int]]


def changeset_of(a: EntryTable, b: EntryTable, pairs: Array, changed: Array) -> Changeset:
    """Give the changeset of two tables in order; `pairs` as joined, `changed` numbers of them.

    With what has changed go all names of its inode, so that a link finds its target in the layer,
    and the folders it is in, so that they keep their metadata.
    """
    import numpy as np

    parents_b, inodes_b = _kinship(b)
    taken = np.zeros(len(b) + 1, dtype=bool)  # the last one stands for the root, row -1
    differ = pairs[changed]
    taken[differ[differ[:, 1] >= 0, 1]] = True
    of_inode = np.zeros(len(b) + 1, dtype=bool)
    of_inode[inodes_b[taken[:-1]]] = True
    taken[:-1] |= of_inode[inodes_b]
    gone = differ[differ[:, 1] < 0, 0]
    tops, folders = _topmost(a, b, pairs, gone)
    whiteouts, folders = _whiteouts(
        a, b, tops, folders, _opaque(b, pairs, taken, folders, parents_b)
    )
    _take_parents(taken, parents_b, folders)
    return Changeset(
        np.flatnonzero(taken[:-1]), list(zip(whiteouts, folders.tolist(), strict=True))
    )


def _kinship(table: EntryTable) -> tuple[Array, Array]:
    _, rows, heap = table.to_buffers()
    parents, inodes = kinship(rows, heap)
    return column(parents, "i4"), column(inodes, "u4")


def _take_parents(taken: Array, parents: Array, also: Array) -> None:
    taken[also] = True
    level = parents[taken[:-1]]
    while len(level := level[~taken[level] & (level >= 0)]):
        taken[level] = True
        level = parents[level]


def _topmost(a: EntryTable, b: EntryTable, pairs: Array, gone: Array) -> tuple[Array, Array]:
    """Of rows that are gone, those whose folder is still one, and the row of that folder in `b`."""
    import numpy as np

    parents, _ = _kinship(a)
    now = np.full(len(a) + 1, -1, dtype=np.int32)
    both = pairs[(pairs >= 0).all(axis=1)]
    now[both[:, 0]] = both[:, 1]
    folders = now[parents[gone]]
    is_folder = np.append(b.array["type"] == DIRECTORY, True)
    stays = (parents[gone] < 0) | ((folders >= 0) & is_folder[folders])
    return gone[stays], np.where(parents[gone] < 0, -1, folders)[stays]


def _opaque(b: EntryTable, pairs: Array, taken: Array, folders: Array, parents: Array) -> Array:
    """Folders of `b` all of whose old content is gone or written anew: one whiteout does.

    Not the root: engines agree least about what is opaque there.
    """
    import numpy as np

    kept = np.zeros(len(b) + 1, dtype=np.int64)
    both = pairs[(pairs >= 0).all(axis=1), 1]
    kept[both[~taken[both]]] = 1
    depth = _depths(parents)
    for level in range(int(depth.max(initial=0)), 0, -1):
        here = np.flatnonzero(depth == level)
        np.add.at(kept, parents[here], kept[here])
    # what is below it, itself left out
    own = np.zeros(len(b) + 1, dtype=np.int64)
    own[both[~taken[both]]] = 1
    found, counts = np.unique(folders[folders >= 0], return_counts=True)
    opaque: Array = found[(counts >= WORTH_OPAQUE) & (kept[found] - own[found] == 0)]
    return opaque


def _depths(parents: Array) -> Array:
    import numpy as np

    depth = np.zeros(len(parents), dtype=np.int32)
    above = parents.copy()
    while (inside := above >= 0).any():
        depth[inside] += 1
        above[inside] = parents[above[inside]]
    return depth


def _whiteouts(
    a: EntryTable, b: EntryTable, tops: Array, folders: Array, opaque: Array
) -> tuple[list[bytes], Array]:
    """Name the whiteouts; what is in or below an opaque folder needs none of its own."""
    import numpy as np

    parents, _ = _kinship(b)
    is_opaque = np.zeros(len(b) + 1, dtype=bool)
    is_opaque[opaque] = True
    hidden, above = is_opaque[folders] & (folders >= 0), folders.copy()
    while (inside := above >= 0).any():
        above[inside] = parents[above[inside]]
        hidden |= is_opaque[above] & (above >= 0)
    names = [_plain(a[row].path) for row in tops[~hidden].tolist()]
    topmost = [row for row in opaque.tolist() if not _is_below(row, is_opaque, parents)]
    names += [b[row].path.rstrip(b"/") + b"/" + OPAQUE_NAME for row in topmost]
    return names, np.append(folders[~hidden], np.array(topmost, dtype=folders.dtype))


def _plain(path: bytes) -> bytes:
    folder, slash, name = path.rstrip(b"/").rpartition(b"/")
    return folder + slash + WHITEOUT_PREFIX + name


def _is_below(row: int, is_opaque: Array, parents: Array) -> bool:
    above = int(parents[row])
    while above >= 0:
        if is_opaque[above]:
            return True
        above = int(parents[above])
    return False
