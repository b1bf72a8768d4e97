"""Layers as folders for overlayfs, a folder each: whiteouts become devices, opaque ones an xattr.

Folders that a layer implies and does not name look as those below do, which they would hide
otherwise. Invariant: a mount of all the folders shows the tree that the layers come to.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from ocifast._native.tree_join import spread_down, sum_up
from ocifast._native.tree_place import MARK_HIDES, MARK_NOT, MARK_OPAQUE, MARK_THERE
from ocifast.errors import TreeError
from ocifast.formats.tar import DIRECTORY, FLAG_IMPLIED, FLAG_OPAQUE, FLAG_WHITEOUT, EntryTable
from ocifast.ops.columns import joined, kinship_of
from ocifast.ops.staging import FOLDER
from ocifast.ops.tree_on_disk import (
    Contents,
    MadeTree,
    MergedTree,
    finish_root,
    merged,
    opaque_xattr,
    place,
    refuse_dangling,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.ops.columns import Array
    from ocifast.ops.unpack_options import UnpackOptions

__all__ = ["overlaid"]

DEVICE: Final = ord("3")


def overlaid(
    tables: Sequence[EntryTable],
    contents: Sequence[Contents],
    root: int,
    options: UnpackOptions,
    path: str,
) -> MadeTree:
    """Make a folder for each layer: ``0`` is the base. Raises as `place`.

    The folder they are in stays its owner's alone: set-uid files lie in them.

    Raises:
        TreeError: A hard link leads into a layer below, where no link can from another folder; or
            a device is what overlayfs takes for a whiteout.
    """
    total = MadeTree()
    for number in range(len(tables)):
        name = str(number)
        os.mkdir(name, 0o755, dir_fd=root)
        folder = os.open(name, FOLDER, dir_fd=root)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, folder)
            tree, below = _layer(tables[: number + 1], options)
            tree.marks, opaque = _marks(tree.table, below)
            made = place(tree, [contents[number]], folder, options, f"{path}/{name}")
            finish_root(folder, tables[: number + 1], options, is_new=True)
            if opaque:
                os.setxattr(folder, opaque_xattr(options), b"y")
        total.entries += made.entries
        total.size += made.size
        total.findings += made.findings
    return total


def _layer(
    tables: Sequence[EntryTable], options: UnpackOptions
) -> tuple[MergedTree, EntryTable | None]:
    """Give the uppermost layer as a tree, implied folders as they look, and what is below it."""
    own = merged(tables[-1:], options, as_entries=True)
    reason = "it is a hard link into a layer below, which a folder for overlayfs cannot have"
    refuse_dangling(own.table, reason)
    flags = own.table.array["flags"]
    if len(tables) == 1 or not (flags & (FLAG_IMPLIED | FLAG_WHITEOUT | FLAG_OPAQUE)).any():
        return own, None
    below = merged(tables[:-1], options).table
    _look_alike(own, below, (flags & FLAG_IMPLIED) != 0)
    return own, below


def _look_alike(own: MergedTree, below: EntryTable, implied: Array) -> None:
    """Give implied folders the metadata of the folders below them."""
    pairs = joined(own.table, below).pairs
    both = pairs[(pairs >= 0).all(axis=1)]
    both = both[implied[both[:, 0]]]
    for ours, theirs in both[below.array["type"][both[:, 1]] != DIRECTORY].tolist()[:1]:
        reason = "its way leads through what is no folder in a layer below"
        raise TreeError(os.fsdecode(own.table[ours].path or below[theirs].path), reason)
    rows = own.table.array.copy()
    for name in ("mode", "uid", "gid", "mtime_ns", "xattr_offset", "xattr_size"):
        rows[name][both[:, 0]] = below.array[name][both[:, 1]]
    rows["xattr_offset"][both[:, 0]] += len(own.table.heap)
    heap = b"".join((own.table.heap, below.heap))  # a copy of both, so that spans are of one
    own.table = EntryTable(rows.view("u1").data, heap)


def _marks(table: EntryTable, below: EntryTable | None) -> tuple[bytes, bool]:
    """Mark whiteouts and opaque folders; says also whether the root is opaque.

    A whiteout that hides nothing, or what an opaque folder hides already, is left out: overlayfs
    would show it as a name that cannot be opened.
    """
    import numpy as np

    array = table.array
    devices = (array["type"] == DEVICE) & (array["dev_major"] == 0) & (array["dev_minor"] == 0)
    if devices.any():
        row = int(np.flatnonzero(devices)[0])
        raise TreeError(os.fsdecode(table[row].path), "overlayfs would take this for a whiteout")
    marks = np.zeros(len(array), dtype=np.uint8)
    whiteouts = np.flatnonzero((array["flags"] & FLAG_WHITEOUT) != 0)
    opaque = np.flatnonzero((array["flags"] & FLAG_OPAQUE) != 0)
    if not len(whiteouts) and not len(opaque):
        return marks.tobytes(), False
    parents = kinship_of(table).parents
    folders = parents[opaque]
    covered = np.zeros(len(array), dtype=np.uint8)
    covered[folders[folders >= 0]] = 1
    marks[folders[folders >= 0]] = MARK_OPAQUE
    marks[opaque] = MARK_THERE  # the file itself is nowhere
    everything = bool((folders < 0).any())
    targets = {_target(table[row].path): row for row in whiteouts.tolist()}
    for row in np.flatnonzero(array["type"] == DIRECTORY).tolist():
        covered[row] |= table[row].path.rstrip(b"/") in targets  # it will be opaque
    spread_down(parents.data, covered.data)
    known = set() if below is None or everything else {entry.path.rstrip(b"/") for entry in below}
    for path, row in targets.items():
        parent = int(parents[row])
        hides = path in known and not (parent >= 0 and covered[parent])
        marks[row] = MARK_HIDES if hides else MARK_THERE
    acts = marks == MARK_HIDES
    for row in opaque.tolist():
        acts[row] = table[row].path.rpartition(b"/")[0] in known
    _leave_out_empty(table, marks, acts, parents)
    return marks.tobytes(), everything


def _target(path: bytes) -> bytes:
    """Give the path that a whiteout hides."""
    folder, slash, name = path.rpartition(b"/")
    return folder + slash + name.removeprefix(b".wh.")


def _leave_out_empty(table: EntryTable, marks: Array, acts: Array, parents: Array) -> None:
    """Mark folders that nobody wrote and that hold nothing but whiteouts that do nothing."""
    import numpy as np

    flags = table.array["flags"]
    values = ((flags & (FLAG_IMPLIED | FLAG_WHITEOUT | FLAG_OPAQUE)) == 0).astype(np.int64)
    values[acts] = 1
    sum_up(parents.data, values.data)
    marks[((flags & FLAG_IMPLIED) != 0) & (values == 0)] = MARK_NOT
