"""A tar into zstd:chunked: cut where files and their chunks are, compressed by threads, with a TOC.

It follows the tar it is fed with a parser of its own, so it can stand wherever an `Encoder` can.
Invariant: output depends on the tar and the level, not on pieces, threads or timing; of an entry it
keeps its row in the table and 50 bytes a chunk, until the TOC is made at the end.
"""

from __future__ import annotations

import threading
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._native.chunk import CHUNK_MAX_BYTES, Chunker, crc64
from ocifast._native.sha256 import Sha256, hash_many
from ocifast._native.tar import TarParser
from ocifast.codecs.block_encoder import BlockEncoder
from ocifast.codecs.zstd_encoder import zstd_frames
from ocifast.errors import UnsupportedError
from ocifast.formats.tar import EntryTable
from ocifast.formats.tar_split import TarSplit
from ocifast.limits import Limits
from ocifast.ops.seekable_tail import Tail, TailStream, described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import ReadableBuffer

    from ocifast.formats.zstd_chunked import Chunk
    from ocifast.tree.entry import Entry

__all__ = ["SeekableEncoder"]

UNIT_BYTES: Final = 1 << 20
"""What a thread compresses at a time, at least; it ends with a segment."""

WHOLE_BYTES: Final = 16 << 10
"""Files below this are not cut: a frame for less costs more than it can save."""

UNLIMITED: Final = Limits(output_bytes=2**62 - 1, entries=2**31, table_bytes=2**40)


class Segment(NamedTuple):
    """Bytes that become a frame: a chunk of a file, or what lies between files."""

    size: int
    is_chunk: bool


class SeekableEncoder:
    """Implements `Encoder`; `annotations` are there when it is done.

    Raises KernelUnavailable where zstd is not to be had.
    """

    def __init__(self, level: int, threads: int, wake: Callable[[], object] | None) -> None:
        self._level = level
        self._local = threading.local()
        self._blocks = BlockEncoder(self._squeeze, UNIT_BYTES + CHUNK_MAX_BYTES, threads, wake)
        self._tar = TarParser(UNLIMITED)
        self._offset = 0
        self._tables: list[EntryTable] = []
        self._split, self._stream = TarSplit(), TailStream(level)
        self._raw = bytearray()  # since the last payload: headers, and padding before them
        # the file that is being fed
        self._name, self._size, self._left, self._crc, self._cuts = b"", 0, 0, 0, 0
        self._chunker, self._whole = Chunker(), Sha256()
        # segments: those of the unit being filled, and of units that wait for a thread
        self._segment, self._unit_size = 0, 0
        self._unit: list[Segment] = []
        self._waiting: dict[int, list[Segment]] = {}
        self._units = 0
        self._sizes: dict[int, array[int]] = {}  # of frames, by unit
        self._digests: dict[int, bytes] = {}  # of chunks, by unit
        self._plan = array("I")  # bytes of each segment, twice, and one more for a chunk
        self._chunks = array("I")  # of each file that has content, how many
        self._wholes = bytearray()  # digests of files of several chunks
        self._tail: Tail | None = None
        self._tail_taken = False
        self.annotations: dict[str, str] = {}

    @property
    def full(self) -> bool:
        """Whether feed() would be refused now."""
        return self._blocks.full

    def feed(self, data: ReadableBuffer, release: Callable[[], object] | None = None) -> bool:  # noqa: ARG002
        """Take a piece of the tar; none is borrowed.

        Raises:
            TarError: It is no tar.
            UnsupportedError: It has a sparse entry, which a TOC has no words for.
            StateError: It is full, finished or closed.
        """
        view = memoryview(data).cast("B")
        self._blocks.feed(b"")  # refuses where it has to
        self._tar.feed(view)
        rows = self._new_rows()
        at, base, row = 0, self._offset, next(rows, None)
        self._offset += len(view)
        while at < len(view) or (row is not None and row.payload_offset == base + at):
            if self._left:
                piece = view[at : at + self._left]
                self._take_payload(piece)
                at += len(piece)
                continue
            stop = len(view) if row is None else row.payload_offset - base
            self._take_between(view[at:stop])
            at = stop
            if row is not None:
                self._begin(row)
                row = next(rows, None)
        return False

    def _new_rows(self) -> Iterator[Entry]:
        table = EntryTable(*self._tar.take_table())
        if len(table):
            self._tables.append(table)
        return iter(table)

    # ---- segments ----

    def _take_between(self, piece: memoryview) -> None:
        self._raw += piece
        while piece:
            part = piece[: UNIT_BYTES - self._segment]
            self._add(part)
            piece = piece[len(part) :]
            if self._segment == UNIT_BYTES:
                self._end_segment(is_chunk=False)

    def _begin(self, entry: Entry) -> None:
        if entry.is_sparse:
            raise UnsupportedError(f"{entry.name!r} is sparse: a seekable layer holds plain files")
        self._stream.write(self._split.segment(self._raw))
        self._raw.clear()
        if not entry.stored_size:
            self._stream.write(self._split.file(entry.path, 0, 0))
            return
        self._end_segment(is_chunk=False)
        self._name, self._size, self._left = entry.path, entry.stored_size, entry.stored_size
        self._crc = self._cuts = 0
        if self._size >= WHOLE_BYTES:
            self._chunker.begin()
            self._whole = Sha256()

    def _take_payload(self, piece: memoryview) -> None:
        self._crc = crc64(piece, self._crc)
        at = 0
        if self._size >= WHOLE_BYTES:
            self._whole.update(piece)
            for border in self._chunker.borders(piece):
                self._add(piece[at:border])
                at = border
                self._end_segment(is_chunk=True)
        self._add(piece[at:])
        self._left -= len(piece)
        if self._left == 0:
            self._end_file()

    def _end_file(self) -> None:
        self._end_segment(is_chunk=True)
        self._chunks.append(self._cuts)
        if self._cuts > 1:
            self._wholes += self._whole.digest()
        self._stream.write(self._split.file(self._name, self._size, self._crc))

    def _add(self, part: memoryview) -> None:
        self._blocks.add(part)
        self._segment += len(part)

    def _end_segment(self, *, is_chunk: bool) -> None:
        if self._segment == 0:
            return
        self._unit.append(Segment(self._segment, is_chunk))
        self._plan.append(self._segment * 2 + is_chunk)
        self._cuts += is_chunk
        self._unit_size += self._segment
        self._segment = 0
        if self._unit_size >= UNIT_BYTES:
            self._end_unit()

    def _end_unit(self) -> None:
        if self._unit:
            self._waiting[self._units] = self._unit
            self._blocks.cut()
            self._units += 1
            self._unit, self._unit_size = [], 0

    def _squeeze(self, block: memoryview, number: int, _is_last: bool) -> bytes:  # noqa: FBT001
        """Thread: a frame for each segment, and the digests of those that are chunks."""
        segments = self._waiting.pop(number, [])
        compress = getattr(self._local, "compress", None)
        if compress is None:
            compress = self._local.compress = zstd_frames(self._level)
        parts, chunks, at = [], [], 0
        for size, is_chunk in segments:
            part = block[at : at + size]
            at += size
            parts.append(part)
            if is_chunk:
                chunks.append(part)
        frames = compress(parts)
        self._sizes[number] = array("I", map(len, frames))
        self._digests[number] = b"".join(hash_many(chunks))
        return b"".join(frames)

    # ---- output ----

    def finish(self) -> None:
        """State that all was fed.

        Raises:
            TarError: The tar is cut short.
            StateError: It is finished or closed.
        """
        self._tar.finish()
        self._stream.write(self._split.segment(self._raw))
        self._raw.clear()
        self._end_segment(is_chunk=False)
        self._end_unit()
        self._blocks.finish()

    def take(self) -> bytes | None:
        """Give the next piece of output in order; None when none is there yet."""
        piece = self._blocks.take()
        if piece is not None or not self._blocks.done or self._tail_taken:
            return piece
        self._tail = Tail(self._level, sum(map(sum, self._sizes.values())), self._described())
        self._tail_taken = True
        blob = self._tail.close(self._stream)
        self.annotations = self._tail.annotations
        return blob

    def _described(self) -> Iterator[tuple[Entry, str, tuple[Chunk, ...]]]:
        sizes = array("I")
        digests = bytearray()
        for number in range(self._units):
            sizes += self._sizes[number]
            digests += self._digests[number]
        return described(self._tables, self._chunks, (self._plan, sizes), (digests, self._wholes))

    @property
    def done(self) -> bool:
        """Whether it was finished and everything was taken."""
        return self._tail_taken and self._blocks.done

    def close(self) -> None:
        """Give up, or clean up; ends its threads."""
        self._blocks.close()
