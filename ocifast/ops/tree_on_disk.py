"""A tree made on disk: the table of what layers come to, and files of contents that wait for it.

Invariant: nothing is made before every name of the tree is known; what is placed was proven.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ocifast._native.tree_merge import TreeMerge
from ocifast._native.tree_place import Placement
from ocifast.errors import FormatError
from ocifast.formats.tar import EntryTable
from ocifast.ops.columns import column
from ocifast.ops.unpack_pass import losses, metadata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast._native.tar import HeapBytes
    from ocifast._native.tree_meta import Metadata
    from ocifast.ops.columns import Array
    from ocifast.ops.unpack_options import UnpackOptions

__all__ = ["MadeTree", "MergedTree", "merged", "place"]

ROWS: Final = 4096
"""Rows that a thread places at a time: whole folders, but for the first and the last of them."""
THREADS: Final = 2
"""Renames between folders take turns in the kernel; more threads only wait longer."""


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
    return MergedTree(EntryTable(rows_, heap_), source, findings=findings)


def place(
    tree: MergedTree, contents: list[int], root: int, options: UnpackOptions, path: str
) -> MadeTree:
    """Make a tree below an open folder, which is called `path`; contents are folders of files.

    Raises:
        TreeError: Something in it cannot be made, or is refused.
        OSError: The file system refuses it.
    """
    _, rows, heap = tree.table.to_buffers()
    placement = Placement(
        rows,
        heap,
        tree.source,
        contents,
        root,
        devices=options.device_rule,
        marks=tree.marks,
        opaque=opaque_xattr(options),
    )
    own = metadata_of(options.spec()["metadata"])
    every = [own]

    def some(first: int) -> None:
        metadata = metadata_of(options.spec()["metadata"])
        every.append(metadata)
        placement.rest(metadata, first, first + ROWS)

    try:
        placement.folders(own)
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


def _size(table: EntryTable) -> int:
    array = table.array
    return int(array["size"][array["type"] == ord("0")].sum())


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
