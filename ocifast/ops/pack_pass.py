"""The one pass over a tree that becomes a layer: `ConvertPass`, over a tar made on the way.

A task of the engine. Headers and files of the tree are put into a slot as the tar they make, and
from there on it is a plain layer being converted: parsed, which proves what was written, hashed,
compressed. *Invariant:* what was packed was accepted by the strict reader of layers.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

from ocifast._native.tree_tar import TreeTar
from ocifast.formats.tar import EntryTable
from ocifast.ops.convert_pass import ConvertPass
from ocifast.ops.hash_pass import memory_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast._native.arena import Arena
    from ocifast.ops.source import Reader

__all__ = ["PackPass", "TreeReader", "table_file"]


class PackPass(ConvertPass):
    """Pack one tree; `source` is (root, table, descriptor to write), or (Reader of a tar, same).

    Besides what `ConvertPass` takes, the spec has ``prefix``. Both descriptors are closed here.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        source: tuple[int, int, int] | tuple[Reader, int],
        arena: Arena,
    ) -> None:
        if len(source) == 2:
            super().__init__(spec, source, arena)
            return
        root, table, out = source
        try:
            reader = TreeReader(root, table, os.fsencode(spec["prefix"]))
        except BaseException:
            os.close(out)
            raise
        super().__init__(spec, (reader, out), arena)

    def _begin(self, head: memoryview) -> None:  # noqa: ARG002 - what it begins with says nothing
        """It is a tar, whatever the first name in it looks like."""
        self._codec = "identity"


class TreeReader:
    """The tar of a tree, front to back; closes the root and the table it is given."""

    def __init__(self, root: int, table: int, prefix: bytes) -> None:
        self._root = root
        try:
            try:
                memory = mmap.mmap(table, os.fstat(table).st_size, access=mmap.ACCESS_READ)
            finally:
                os.close(table)
            _, rows, heap = EntryTable.from_buffer(memory).to_buffers()
            self._writer = TreeTar(rows, heap, root, prefix=prefix)
            self.size: int | None = self._writer.size
        except BaseException:
            os.close(root)
            raise

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end.

        Raises:
            TreeError: A file is no longer what it was when it was listed.
            OSError: It cannot be read.
        """
        return self._writer.readinto(out)

    def close(self) -> None:
        """Let go of the tree."""
        self._writer.close()
        if self._root >= 0:
            root, self._root = self._root, -1
            os.close(root)


def table_file(table: EntryTable) -> int:
    """Put a table where another process can map it; the descriptor is the caller's."""
    return memory_file("ocifast-tree", table.to_buffers())
