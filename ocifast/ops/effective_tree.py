"""A tree as one table in the order of a walk, wherever it comes from: a folder or layers.

With it goes what is known of its contents and where they can be read. Invariant: rows are those of
`tree_walk`: relative paths, a folder before its content, the first name of an inode is the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ocifast._native.tree_merge import TreeMerge
from ocifast._native.tree_walk import walk
from ocifast.formats.tar import DIRECTORY, EntryTable
from ocifast.ops.columns import column
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer

    from ocifast.limits import Limits
    from ocifast.ops.columns import Array

__all__ = [
    "DIGEST_BYTES",
    "EffectiveTree",
    "TreeLayer",
    "of_folder",
    "of_layers",
    "put_in_front",
    "root_row",
]

DIGEST_BYTES: Final = 32
NO_LAYER: Final = 2**32 - 1


def put_in_front(folder: str, error: OSError) -> None:
    """Put a folder in front of the name of a file in it that cannot be read."""
    if isinstance(error.filename, str):
        error.filename = os.path.join(folder, error.filename)


@dataclass(slots=True)
class TreeLayer:
    """A layer as it is applied: its table and, where they were asked for, digests of contents.

    `is_flat` says that the table is in the order of a tree already and has no whiteouts.
    """

    table: EntryTable
    contents: ReadableBuffer | None
    is_flat: bool = False


@dataclass(slots=True)
class EffectiveTree:
    """A table, digests of contents (32 bytes a row, zeros where unknown), and where they lie.

    `root` is the open folder of a tree on disk; of layers, `origin` has the number of the layer of
    each row, and places in rows are those of its tar.
    """

    table: EntryTable
    contents: ReadableBuffer | None = None
    root: int | None = None
    path: str = ""
    origin: Array | None = None
    has_xattrs: bool = True
    """Whether the table has them; of a folder they may be listed later."""
    findings: list[str] = field(default_factory=list)

    def put_in_front(self, error: OSError) -> None:
        """Put the folder in front of the name of a file that cannot be read."""
        put_in_front(self.path, error)

    def digest(self, row: int) -> Digest | None:
        """Give the digest of a file's content, if it is known."""
        raw = self.raw_digest(row)
        return Digest.of_sha256(raw) if any(raw) else None

    def raw_digest(self, row: int) -> bytes:
        """Give the 32 bytes of it; zeros, or none at all, where it is not known."""
        if self.contents is None:
            return b""
        return bytes(memoryview(self.contents)[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES])


def of_folder(root: int, path: str, *, xattrs: bool = True) -> EffectiveTree:
    """List an open folder, which stays the caller's; `path` is what it is called.

    Raises:
        TreeError: It holds what no layer can hold.
        OSError: It cannot be read.
    """
    try:
        rows, heap, left_out = walk(root, xattrs=xattrs)
    except OSError as error:
        put_in_front(path, error)
        raise
    tree = EffectiveTree(EntryTable(rows, heap), root=root, path=path, has_xattrs=xattrs)
    tree.findings = [f"{os.fsdecode(name)}: a socket, which is left out" for name in left_out]
    return tree


def of_layers(
    layers: Sequence[TreeLayer], limits: Limits, *, as_entries: bool = False
) -> EffectiveTree:
    """Apply layers from the base up; with `as_entries` whiteouts are entries like others.

    Raises:
        FormatError: A path leads nowhere.
        LimitExceeded: The tree has too many entries.
    """
    import numpy as np

    if len(layers) == 1 and layers[0].is_flat:
        only = layers[0]
        origin = np.zeros(len(only.table), dtype=np.uint32)
        return EffectiveTree(only.table, only.contents, origin=origin)
    merge = TreeMerge(limits)
    for layer in layers:
        _, rows, heap = layer.table.to_buffers()
        merge.apply(rows, heap, as_entries=as_entries)
    findings = _findings(merge)
    rows_, heap_, source = merge.take()
    pairs = column(source, "u4", 2)
    table = EntryTable(rows_, heap_)
    contents = _gathered(layers, pairs)
    origin = np.ascontiguousarray(pairs[:, 0])
    return EffectiveTree(table, contents, origin=origin, findings=findings)


def _findings(merge: TreeMerge) -> list[str]:
    found = []
    if merge.unmatched:
        found.append(f"{merge.unmatched} whiteouts remove what is not there")
    if merge.dangling:
        found.append(f"{merge.dangling} hard links have no target")
    return found


def _gathered(layers: Sequence[TreeLayer], source: Array) -> ReadableBuffer | None:
    """Bring digests of contents into the order of the tree; None unless all layers have them."""
    import numpy as np

    if any(layer.contents is None for layer in layers):
        return None
    out = np.zeros((len(source), DIGEST_BYTES), dtype=np.uint8)
    for number, layer in enumerate(layers):
        assert layer.contents is not None
        known = column(layer.contents, "u1", DIGEST_BYTES)
        here = np.flatnonzero(source[:, 0] == number)
        out[here] = known[source[here, 1]]
    return out.reshape(-1).data


def root_row(table: EntryTable) -> int | None:
    """Find the last entry of the root itself in a layer: one whose path has no name in it."""
    import numpy as np

    array, heap = table.array, np.frombuffer(table.heap, dtype=np.uint8)
    folders = np.flatnonzero((array["type"] == DIRECTORY) & (array["path_size"] > 0))
    first = array["path_offset"][folders]
    last = heap[first + array["path_size"][folders] - 1]
    above = heap[np.maximum(first + array["path_size"][folders], 2) - 2]
    alike = [np.isin(each, (ord("."), ord("/"))) for each in (heap[first], last, above)]
    found: list[int] = folders[np.all(alike, axis=0)].tolist()
    for row in reversed(found):
        if all(name in {b"", b"."} for name in table[row].path.split(b"/")):
            return row
    return None
