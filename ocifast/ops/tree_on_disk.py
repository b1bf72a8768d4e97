"""A tree made on disk: the table of what layers come to, and contents that wait for it.

Invariant: nothing is made before every name of the tree is known; what is placed was proven.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._native.tree_merge import TreeMerge
from ocifast._native.tree_place import MARK_THERE, Placement, set_metadata
from ocifast.errors import FormatError, LimitExceeded, TreeError, WorkerError
from ocifast.formats.tar import DIRECTORY, FILE, HARDLINK, EntryTable
from ocifast.ops.columns import column, kinship_of
from ocifast.ops.effective_tree import root_row
from ocifast.ops.unpack_options import mapped
from ocifast.ops.unpack_pass import HOMES, losses, metadata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer

    from ocifast._native.tar import HeapBytes
    from ocifast._native.tree_meta import Metadata
    from ocifast.ops.columns import Array
    from ocifast.ops.unpack_options import UnpackOptions

__all__ = [
    "Contents",
    "MadeTree",
    "MergedTree",
    "check",
    "contents_of",
    "finish_root",
    "merged",
    "opaque_xattr",
    "place",
    "refuse_dangling",
]

ROWS: Final = 4096
"""Rows that a thread places at a time: whole folders, but for the first and the last of them."""
CHARACTER, BLOCK = b"34"
DEFAULT_MODE: Final = 0o755
"""Of the root, where no layer says."""
THREADS: Final = 2
"""Renames between folders take turns in the kernel; more threads only wait longer."""


class Contents(NamedTuple):
    """Contents of a layer's files: the open folder they lie in, the layer's table, their homes."""

    folder: int
    rows: ReadableBuffer
    heap: ReadableBuffer
    homes: bytes


@dataclass(slots=True)
class MergedTree:
    """What tables come to: `source` has layer and row of each, `marks` what is special about it."""

    table: EntryTable
    source: HeapBytes
    marks: bytes = b""
    findings: list[str] = field(default_factory=list)

    @property
    def origin(self) -> Array:
        """Layer and row of each."""
        return column(self.source, "u4", 2)


@dataclass(slots=True)
class MadeTree:
    """What became of a tree on disk."""

    entries: int = 0
    size: int = 0
    findings: list[str] = field(default_factory=list)


def contents_of(folder: int, table: EntryTable) -> Contents:
    """Find what the pass over a layer has put into a folder.

    Raises:
        OSError: It cannot be read.
    """
    _, rows, heap = table.to_buffers()
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(HOMES, flags, dir_fd=folder), "rb") as file:
        homes = file.read(4 * len(table) + 1)
    if len(homes) > 4 * len(table):
        raise WorkerError("a worker found homes for more files than the layer has")
    return Contents(folder, rows, heap, homes)


def merged(
    tables: Sequence[EntryTable], options: UnpackOptions, *, as_entries: bool = False
) -> MergedTree:
    """Apply tables from the base up.

    Raises:
        FormatError: A path leads nowhere; in strict also, a whiteout removes what is not there.
        LimitExceeded: There are too many entries.
    """
    merge = TreeMerge(options.limits)
    for table in tables:
        _, rows, heap = table.to_buffers()
        merge.apply(rows, heap, as_entries=as_entries)
    findings = []
    if merge.unmatched:
        text = f"{merge.unmatched} whiteouts remove what is not there"
        if options.profile == "strict":
            raise FormatError(text)
        findings.append(text)
    rows_, heap_, source = merge.take()
    tree = MergedTree(EntryTable(rows_, heap_), source, findings=findings)
    _check_depth(tree.table, options.limits.depth)
    return tree


def _check_depth(table: EntryTable, most: int) -> None:
    """Refuse a tree that is deeper than a path may be: links can make one of short paths (P22)."""
    import numpy as np

    for row in np.flatnonzero(table.array["path_size"] > 2 * most).tolist():
        depth = len(table[row].path.rstrip(b"/").split(b"/"))
        if depth > most:
            raise LimitExceeded("depth", most, depth)


def check(tree: MergedTree, options: UnpackOptions) -> None:
    """Refuse what can be known to be refused before anything is made, or removed.

    Raises:
        TreeError: It is a device, and those are denied; or a hard link to what is not there.
    """
    import numpy as np

    kinds = tree.table.array["type"]
    if tree.marks:
        kinds = np.where(np.frombuffer(tree.marks, dtype=np.uint8) & MARK_THERE, 0, kinds)
    if options.device_rule == "deny":
        for row in np.flatnonzero((kinds == BLOCK) | (kinds == CHARACTER)).tolist()[:1]:
            name = os.fsdecode(tree.table[row].path)
            raise TreeError(name, "it is a device, and devices are refused")
    refuse_dangling(tree.table, "it is a hard link to what is not there")


def refuse_dangling(table: EntryTable, reason: str) -> None:
    """Refuse a hard link whose target is no name of the table, or a folder. Raises TreeError."""
    import numpy as np

    kinds = table.array["type"]
    links = np.flatnonzero(kinds == HARDLINK)
    if len(links):
        inodes = kinship_of(table).inodes[links]
        for row in links[kinds[inodes] == HARDLINK].tolist()[:1]:
            raise TreeError(os.fsdecode(table[row].path), reason)
        for row in links[kinds[inodes] == DIRECTORY].tolist()[:1]:
            raise TreeError(os.fsdecode(table[row].path), "it is a hard link to a folder")


def place(
    tree: MergedTree, contents: Sequence[Contents], root: int, options: UnpackOptions, path: str
) -> MadeTree:
    """Make a tree below an open folder, which is called `path`.

    Raises:
        TreeError: Something in it cannot be made, or is refused.
        OSError: The file system refuses it.
    """
    _, rows, heap = tree.table.to_buffers()
    placement = Placement(
        rows,
        heap,
        tree.source,
        list(contents),
        root,
        devices=options.device_rule,
        marks=tree.marks,
        opaque=opaque_xattr(options),
    )
    own = metadata_of(options.metadata)
    every = [own]

    def some(first: int) -> None:
        metadata = metadata_of(options.metadata)
        every.append(metadata)
        placement.rest(metadata, first, first + ROWS)

    check(tree, options)
    try:
        placement.folders(own)
        if len(tree.table) <= ROWS:
            some(0)
        else:
            with ThreadPoolExecutor(THREADS, "ocifast-place") as pool:
                for _ in pool.map(some, range(0, len(tree.table), ROWS)):
                    pass
        placement.links(own)
        placement.metadata(own)
    except OSError as error:
        error.filename = os.path.join(path, error.filename or "")
        raise
    made = MadeTree(len(tree.table), _size(tree.table), list(tree.findings))
    made.findings += lost_of(every, tree.table)
    if placement.recorded:
        made.findings.append(f"{placement.recorded} devices are empty files, and recorded")
    return made


def finish_root(
    root: int, tables: Sequence[EntryTable], options: UnpackOptions, *, is_new: bool
) -> None:
    """Give the root the metadata of the uppermost entry of it; where none is, of a new folder."""
    for table in reversed(tables):
        row = root_row(table)
        if row is not None:
            _, rows, heap = table.to_buffers()
            set_metadata(root, rows, heap, row, metadata_of(options.metadata))
            return
    if is_new:
        os.fchmod(root, DEFAULT_MODE)
        owner = [mapped(0, ranges) for ranges in (options.uid_map, options.gid_map)]
        if owner != [None, None]:  # -1 leaves one as it is
            os.fchown(root, *(-1 if each is None else each for each in owner))


def _size(table: EntryTable) -> int:
    array = table.array
    return int(array["size"][array["type"] == FILE].sum())


def lost_of(every: Sequence[Metadata], table: EntryTable) -> list[str]:
    """Say what could not be kept, and of what first."""
    return [
        named_loss(finding.text, finding.offset, table)
        for metadata in every
        for finding in losses(metadata)
    ]


def named_loss(text: str, row: int, table: EntryTable) -> str:
    """Say of what something was lost first."""
    return f"{text} were left out, first of {os.fsdecode(table[row].path)}"


def opaque_xattr(options: UnpackOptions) -> bytes:
    """Give the xattr of opaque folders: mounts within a user namespace read user's own."""
    return b"user.overlay.opaque" if options.rootless else b"trusted.overlay.opaque"
