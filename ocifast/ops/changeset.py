"""The difference of two trees as a layer: packed, so that it makes one of the other.

Of a folder the files are read where they lie; of layers they are streamed from the layers they come
from, which are read once more, each front to back. Invariant: what is written was compared, and the
content of a file that comes from a layer has the digest that was compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ocifast._native.sha256 import Sha256
from ocifast.errors import DigestMismatch, UnsupportedError
from ocifast.formats.tar import FILE, HARDLINK
from ocifast.ops.changeset_rows import changeset_of, changeset_table
from ocifast.ops.layer_contents import met_in_layers
from ocifast.ops.pack import ListedFolder, pack_layer
from ocifast.spec.digest import Digest
from ocifast.tree.entry import Entry, EntryKind

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from ocifast.ops.changeset_rows import Changeset
    from ocifast.ops.diff_options import DiffOptions
    from ocifast.ops.diff_side import SideLayer
    from ocifast.ops.difference import Diff, TreeDiff
    from ocifast.ops.packing import PackedLayer
    from ocifast.ops.tar_stream import TarStream
    from ocifast.ops.virtual_tree import Content

__all__ = ["write_changeset"]

PIECE_BYTES: Final = 1 << 20


def write_changeset(diff: Diff, dest: str | os.PathLike[str] | int, **options: Any) -> PackedLayer:
    """Write the layer that turns the first side into the second; see `Diff.write_layer`."""
    if any(part.layer is not None for part in diff.parts):
        raise ValueError("layers were compared one by one: a changeset is of what they come to")
    if not diff.parts:
        return pack_layer([], dest, **options)
    (part,) = diff.parts
    chosen = changeset_of(part.a.table, part.b.table, part.pairs, part.changed_paths())
    if part.b.root is not None:
        folder = ListedFolder(part.b.path, part.b.root)
        folder.take(changeset_table(part.b.table, chosen))
        return pack_layer(folder, dest, **options)
    items = _items(part, chosen, diff.b.layers, diff.options)
    return pack_layer(items, dest, **options)


def _items(
    part: TreeDiff,
    chosen: Changeset,
    layers: Sequence[SideLayer],
    options: DiffOptions,
) -> Iterator[tuple[Entry, Content]]:
    """Whiteouts, what has no content, files as layers give them, links behind their targets."""
    import numpy as np

    table, origin = part.b.table, part.b.origin
    assert origin is not None
    for path, _ in chosen.whiteouts:
        yield Entry(path, EntryKind.FILE), b""
    rows = table.array[chosen.rows]
    is_file, is_link = rows["type"] == FILE, rows["type"] == HARDLINK
    has_content = is_file & (rows["size"] > 0)
    for row in chosen.rows[~has_content & ~is_link].tolist():
        yield table[row], b""
    files = chosen.rows[has_content]
    for number in np.unique(origin[files]).tolist():
        if layers[number].source is None:
            reason = "only its index was given: contents that changed are in the layer itself"
            raise UnsupportedError(f"{layers[number].name}: {reason}")
    for row, entry, stream in met_in_layers(part.b, files, layers, options):
        yield entry, _Payload(stream, entry, part.b.digest(row))
    for row in chosen.rows[is_link].tolist():
        yield table[row], None


class _Payload:
    """The content of a file as it comes by in a tar; holes of a sparse one are filled."""

    def __init__(self, stream: TarStream, entry: Entry, digest: Digest | None) -> None:
        self._stream = stream
        self._entry = entry
        self._digest = digest
        self._hash = Sha256()
        self._pieces = self._contents()
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> memoryview:
        """Give up to `size` bytes; empty at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return memoryview(b"")
            self._rest = memoryview(piece)
            self._hash.update(self._rest)
        head, self._rest = self._rest[:size], self._rest[size:]
        return head

    def _contents(self) -> Iterator[memoryview | bytes]:
        regions = self._entry.regions
        if regions is None:
            regions = ((0, self._entry.size),)
        at = 0
        for offset, size in (*regions, (self._entry.size, 0)):
            yield from _zeros(offset - at)
            left = size
            while left and (piece := self._stream.read(min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece
            at = offset + size
        actual = Digest.of_sha256(self._hash.digest())
        if self._digest is not None and actual != self._digest:
            error = DigestMismatch(self._digest, actual)
            error.add_note(f"of {self._entry.name}, when the layer was read again")
            raise error


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, PIECE_BYTES))
        count -= PIECE_BYTES
