"""Which entries make a changeset: what came or differs, what goes with it, and whiteouts.

Columns in, columns out; names are touched of whiteouts only. Invariant: applied on top of the first
tree, what is given makes the second one, as far as the differences that count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._native.tree_join import spread_down, sum_up
from ocifast.formats.tar import DIRECTORY, FILE, FLAG_OPAQUE, FLAG_WHITEOUT, EntryTable
from ocifast.ops.columns import kinship_of
from ocifast.tree.whiteout import OPAQUE_NAME, WHITEOUT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.columns import Array

__all__ = ["Changeset", "changeset_of", "changeset_table"]

WORTH_OPAQUE: Final = 2
"""An opaque whiteout stands for all whiteouts in a folder, so it has to replace some."""


class Changeset(NamedTuple):
    """Rows of the second tree that are written, ascending, and whiteouts.

    A whiteout is its path and the row of the folder it is in, -1 at the top.
    """

    rows: Array
    whiteouts: list[tuple[bytes, int]]


def changeset_of(
    a: EntryTable, b: EntryTable, pairs: Array, changed: Array, *, whole_inodes: bool = True
) -> Changeset:
    """Give the changeset of two tables in order; `pairs` as joined, `changed` numbers of them.

    With what has changed go the folders it is in, so that they keep their metadata, and, with
    `whole_inodes`, all names of its inode, so that a link finds its target in the layer.
    """
    import numpy as np

    parents_a, (parents, inodes) = kinship_of(a).parents, kinship_of(b)
    differ = pairs[changed]
    taken = np.zeros(len(b), dtype=bool)
    taken[differ[differ[:, 1] >= 0, 1]] = True
    if whole_inodes:
        is_other = np.zeros(len(b), dtype=bool)
        is_other[inodes[taken]] = True
        taken |= is_other[inodes]
    is_gone = np.zeros(len(a), dtype=bool)
    is_gone[differ[differ[:, 1] < 0, 0]] = True
    gone, folders = _topmost(parents_a, b, pairs, np.flatnonzero(is_gone))
    inside = taken.astype(np.int64)
    inside[folders[folders >= 0]] += 1
    sum_up(parents.data, inside.data)
    taken = inside != 0
    is_opaque = _opaque(_kept(parents_a, pairs, taken, is_gone), pairs, folders, parents)
    return Changeset(
        np.flatnonzero(taken), list(_whiteouts(a, b, gone, folders, is_opaque, parents))
    )


def _topmost(parents_a: Array, b: EntryTable, pairs: Array, gone: Array) -> tuple[Array, Array]:
    """Of rows that are gone, those whose folder is still one, and the row of that folder in `b`."""
    import numpy as np

    folders_a = parents_a[gone]
    now = np.full(
        len(parents_a) + 1, -1, dtype=np.int32
    )  # the last one stands for the root, row -1
    both = pairs[(pairs >= 0).all(axis=1)]
    now[both[:, 0]] = both[:, 1]
    folders = now[folders_a]
    is_folder = np.append(b.array["type"] == DIRECTORY, False)
    stays = (folders_a < 0) | is_folder[folders]
    return gone[stays], folders[stays]


def _kept(parents_a: Array, pairs: Array, taken: Array, is_gone: Array) -> Array:
    """Flag folders of the first tree that hold what is neither gone nor written anew."""
    import numpy as np

    both = pairs[(pairs >= 0).all(axis=1)]
    is_other = is_gone.copy()
    is_other[both[taken[both[:, 1]], 0]] = True
    kept = (~is_other).astype(np.int64)
    own = kept.copy()
    sum_up(parents_a.data, kept.data)
    return np.asarray(kept != own)


def _opaque(kept: Array, pairs: Array, folders: Array, parents: Array) -> Array:
    """Flag folders all of whose old content is gone or written anew: one whiteout does for all.

    Not the root: engines agree least about what is opaque there. What is below one has none of its
    own.
    """
    import numpy as np

    both = pairs[(pairs >= 0).all(axis=1)]
    keeps = np.zeros(len(parents), dtype=bool)
    keeps[both[:, 1]] = kept[both[:, 0]]
    removed = np.bincount(folders[folders >= 0], minlength=len(parents))
    is_opaque = (removed >= WORTH_OPAQUE) & ~keeps
    below = is_opaque.astype(np.uint8)
    spread_down(parents.data, below.data)
    inside = (parents >= 0) & (below[parents] != 0)
    return np.asarray(is_opaque & ~inside)


def _whiteouts(
    a: EntryTable, b: EntryTable, gone: Array, folders: Array, is_opaque: Array, parents: Array
) -> Iterator[tuple[bytes, int]]:
    """Name the whiteouts; what is in or below an opaque folder needs none of its own."""
    import numpy as np

    hidden = is_opaque.astype(np.uint8)
    spread_down(parents.data, hidden.data)
    hidden = np.append(hidden, 0)
    for row, folder in zip(gone.tolist(), folders.tolist(), strict=True):
        if not hidden[folder]:
            path, slash, name = a[row].path.rstrip(b"/").rpartition(b"/")
            yield path + slash + WHITEOUT_PREFIX + name, folder
    for row in np.flatnonzero(is_opaque).tolist():
        yield b[row].path + OPAQUE_NAME, row


def changeset_table(table: EntryTable, chosen: Changeset) -> EntryTable:
    """The rows of a changeset, each whiteout right behind the folder it is in."""
    import numpy as np

    heap = bytearray(table.heap)
    blank = np.zeros(len(chosen.whiteouts), dtype=table.array.dtype)
    for row, (path, _) in zip(blank, chosen.whiteouts, strict=True):
        row["path_offset"], row["path_size"], row["type"] = len(heap), len(path), FILE
        row["flags"] = FLAG_WHITEOUT | FLAG_OPAQUE * path.endswith(OPAQUE_NAME)
        heap += path
    places = [2 * folder + 1 for _, folder in chosen.whiteouts]
    keys = np.concatenate([2 * chosen.rows.astype(np.int64), np.array(places, dtype=np.int64)])
    rows = np.concatenate([table.array[chosen.rows], blank])
    return EntryTable(rows[np.argsort(keys, kind="stable")].tobytes(), bytes(heap))
