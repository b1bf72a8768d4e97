"""Which rows make one layer of several: what they change of the tree below them, and no more.

Columns in, columns out. Two trees are compared, that of the layers below and that of all: which
inode a name has says whether it is another one, so no content is read. Invariant: applied on top of
the lower tree, what is given makes the whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast.formats.tar import (
    DIRECTORY,
    FILE,
    FLAG_OPAQUE,
    FLAG_SPARSE,
    FLAG_WHITEOUT,
    HARDLINK,
    EntryTable,
)
from ocifast.ops.changeset_rows import changeset_of
from ocifast.ops.columns import joined, kinship_of
from ocifast.ops.effective_tree import NO_LAYER, TreeLayer, of_layers, root_row
from ocifast.tree.whiteout import OPAQUE_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.limits import Limits
    from ocifast.ops.columns import Array
    from ocifast.ops.effective_tree import EffectiveTree

__all__ = ["LayerRows", "applied", "in_tar_order", "rows_between", "with_root"]

ROOT: Final = b"./"
FIRST, SMALL, CONTENT, LINK = range(4)
"""The order of a layer: folders with whiteouts, what has no payload, payload as it comes by, and
links behind their targets."""


class LayerRows(NamedTuple):
    """A layer in the order of its tar, and of each row the layer that has its payload."""

    table: EntryTable
    origin: Array


def applied(layers: Sequence[EntryTable], limits: Limits) -> EffectiveTree:
    """What layers come to, without hard links to nothing: no engine makes anything of those.

    Raises:
        FormatError: A path leads nowhere.
        LimitExceeded: The tree has too many entries.
    """
    tree = of_layers([TreeLayer(table, None) for table in layers], limits)
    array = tree.table.array
    # the merge knows no place of those that name another row
    nothing = (array["type"] == HARDLINK) & (array["payload_offset"] > 0)
    if nothing.any():
        assert tree.origin is not None
        tree.table = EntryTable(array[~nothing].tobytes(), tree.table.heap)
        tree.origin = tree.origin[~nothing]
        tree.findings[:] = [each for each in tree.findings if "hard links" not in each]
        tree.findings.append(f"{nothing.sum()} hard links have no target, and are left out")
    return tree


def rows_between(lower: EffectiveTree, whole: EffectiveTree) -> LayerRows:
    """Give the layer that makes the whole tree of the lower one."""
    import numpy as np

    pairs = joined(lower.table, whole.table).pairs
    assert whole.origin is not None
    both = (pairs >= 0).all(axis=1)
    same = np.zeros(len(pairs), dtype=bool)
    same[both] = (_identity(lower)[pairs[both, 0]] == _identity(whole)[pairs[both, 1]]).all(axis=1)
    chosen = changeset_of(
        lower.table, whole.table, pairs, np.flatnonzero(~same), whole_inodes=False
    )
    stays = np.zeros(len(whole.table), dtype=bool)
    stays[pairs[same, 1]] = True
    rows = chosen.rows[~(stays & (whole.origin == NO_LAYER))[chosen.rows]]
    table = _with_whiteouts(_linked(whole.table, rows, stays), chosen.whiteouts)
    places = np.concatenate([2 * rows, [2 * folder + 1 for _, folder in chosen.whiteouts]])
    missing = np.full(len(chosen.whiteouts), NO_LAYER, dtype=np.uint32)
    origin = np.concatenate([whole.origin[rows], missing])
    return in_tar_order(LayerRows(table, origin), places)


def _identity(tree: EffectiveTree) -> Array:
    """What tells inodes apart: the layer and the place in it where one was brought."""
    import numpy as np

    assert tree.origin is not None
    inodes = kinship_of(tree.table).inodes
    places = tree.table.array["header_offset"][inodes]
    return np.stack([tree.origin[inodes].astype(np.uint64), places], axis=1)


def _linked(table: EntryTable, rows: Array, stays: Array) -> EntryTable:
    """Take rows; names of an inode that has a name below are links to that one.

    Of other inodes the first name is a file, as it is in the whole tree.
    """
    import numpy as np

    inodes, array = kinship_of(table).inodes, table.array
    below = np.full(len(table), -1, dtype=np.int64)
    named = np.flatnonzero(stays & (array["type"] != DIRECTORY))[::-1]
    below[inodes[named]] = named  # of several, the first: it is written last
    found = array[rows].copy()
    targets = below[inodes[rows]]
    links = np.flatnonzero((targets >= 0) & (found["type"] != DIRECTORY))
    target = array[targets[links]]
    for column in ("size", "stored_size", "sparse_regions", "payload_offset", "flags"):
        found[column][links] = 0
    found["type"][links] = HARDLINK
    found["flags"] &= FLAG_SPARSE  # a folder that is implied has an entry now
    found["link_offset"][links], found["link_size"][links] = (
        target["path_offset"],
        target["path_size"],
    )
    return EntryTable(found.tobytes(), table.heap)


def _with_whiteouts(table: EntryTable, whiteouts: Sequence[tuple[bytes, int]]) -> EntryTable:
    import numpy as np

    heap = bytearray(table.heap)
    blank = np.zeros(len(whiteouts), dtype=table.array.dtype)
    for row, (path, _) in zip(blank, whiteouts, strict=True):
        row["path_offset"], row["path_size"], row["type"] = len(heap), len(path), FILE
        row["flags"] = FLAG_WHITEOUT | FLAG_OPAQUE * path.endswith(OPAQUE_NAME)
        heap += path
    return EntryTable(np.concatenate([table.array, blank]).tobytes(), bytes(heap))


def in_tar_order(layer: LayerRows, places: Array) -> LayerRows:
    """Bring rows into the order of a tar that is made front to back; `places` is that of a tree."""
    import numpy as np

    array = layer.table.array
    kind, whiteout = array["type"], (array["flags"] & (FLAG_WHITEOUT | FLAG_OPAQUE)) != 0
    has_payload = (kind == FILE) & (array["stored_size"] > 0)
    group = np.full(len(array), SMALL)
    group[(kind == DIRECTORY) | whiteout] = FIRST
    group[has_payload] = CONTENT
    group[kind == HARDLINK] = LINK
    streams = np.where(has_payload, layer.origin, 0)
    payload = np.where(has_payload, array["payload_offset"], 0)
    order = np.lexsort((places, payload, streams, group))
    table = EntryTable(array[order].tobytes(), layer.table.heap)
    return LayerRows(table, streams[order].astype(np.uint32))


def with_root(layer: LayerRows, layers: Sequence[EntryTable]) -> LayerRows:
    """Put the entry of the root itself in front: that of the last layer which has one."""
    for table in reversed(layers):
        row = root_row(table)
        if row is not None:
            return _put_in_front(layer, table, row)
    return layer


def _put_in_front(layer: LayerRows, table: EntryTable, row: int) -> LayerRows:
    import numpy as np

    xattrs = b"".join(
        len(name).to_bytes(4, "little") + len(value).to_bytes(4, "little") + name + value
        for name, value in sorted(dict(table[row].xattrs).items())
    )
    first, heap = table.array[row : row + 1].copy(), layer.table.heap
    for column in ("link_offset", "link_size", "sparse_offset", "sparse_regions"):
        first[column] = 0
    first["path_offset"], first["path_size"] = len(heap), len(ROOT)
    first["xattr_offset"], first["xattr_size"] = len(heap) + len(ROOT), len(xattrs)
    rows = np.concatenate([first, layer.table.array])
    origin = np.concatenate([np.zeros(1, dtype=np.uint32), layer.origin])
    return LayerRows(EntryTable(rows.tobytes(), bytes(heap) + ROOT + xattrs), origin)
