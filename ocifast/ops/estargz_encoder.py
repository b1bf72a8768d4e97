"""A tar into eStargz: members that begin with files and their chunks, landmark first, TOC last.

It follows the tar it is fed with a parser of its own, so it can stand wherever an `Encoder` can,
but gives another tar: `diff_id` and `uncompressed_size` say of which, and are there when it is
done, as are `annotations`. Invariant: output depends on the tar and the recipe, not on pieces,
threads or timing; of an entry it keeps its row in the table and 50 bytes a chunk until the end.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._native.sha256 import Sha256, hash_many
from ocifast._native.tar import TarParser
from ocifast.codecs.block_encoder import BlockEncoder
from ocifast.codecs.gzip_encoder import gzip_compress
from ocifast.errors import UnsupportedError
from ocifast.formats.estargz import (
    BLOCK,
    RESERVED,
    estargz_annotations,
    estargz_footer,
    estargz_toc,
    landmark,
    toc_entry,
)
from ocifast.formats.tar import EntryTable
from ocifast.formats.zstd_chunked import Chunk
from ocifast.limits import Limits
from ocifast.ops.seekable_tail import EMPTY
from ocifast.spec.digest import Digest
from ocifast.tree.entry import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import ReadableBuffer

__all__ = ["EstargzEncoder"]

UNIT_BYTES: Final = 1 << 20
"""What a thread compresses at a time, at least; it ends with a member."""

CHUNK_BYTES: Final = 1 << 20
"""Files are cut here. The reference takes 4 MiB; a member of this size costs nothing more, is the
unit of what a reader fetches, and keeps all threads at work on one large file."""

BLOCK_BYTES: Final = UNIT_BYTES + 2 * CHUNK_BYTES

TAIL_BYTES: Final = 4 << 20
"""No headers of one entry are as long: more of what is no payload is the end of the archive."""

UNLIMITED: Final = Limits(output_bytes=2**62 - 1, entries=2**31, table_bytes=2**40)


class Member(NamedTuple):
    """Bytes that become a gzip member: `payload` of a file, then what stands behind it."""

    size: int
    payload: int


class Unit(NamedTuple):
    """Members that one thread makes; `number` is that of the first one in the blob."""

    number: int
    members: list[Member]


class EstargzEncoder:
    """Implements `Encoder`; `library` and `level` are those of `gzip_compress`.

    Raises KernelUnavailable where the library is not to be had.
    """

    def __init__(
        self, library: str, level: int, threads: int, wake: Callable[[], object] | None
    ) -> None:
        self._compress = gzip_compress(library, level)
        self._blocks = BlockEncoder(self._squeeze, BLOCK_BYTES, threads, wake)
        self._tar = TarParser(UNLIMITED)
        self._offset = 0  # of the source
        self._raw = bytearray()  # of the source, since the last payload
        self._raw_start = 0
        self._left = self._padding = 0  # of the file that is being fed
        self._is_dropped = False
        self._whole, self._cuts = Sha256(), 0
        # the new tar
        self._tables: list[tuple[EntryTable, bytes]] = []  # and which of their rows are kept
        self._all, self.uncompressed_size = Sha256(), 0
        self._size, self._payload = 0, 0  # of the member being filled
        self._unit: list[Member] = []
        self._unit_size = self._members = self._units = 0
        self._waiting: dict[int, Unit] = {}
        self._sizes: dict[int, array[int]] = {}  # of members as stored, by unit
        self._digests: dict[int, bytes] = {}  # of chunks, by unit
        self._payloads = array("I")  # of each member
        self._chunks = array("I")  # of each file that has content, how many
        self._wholes = bytearray()  # digests of files of several chunks
        self._is_closed = False
        self.added = 2
        """Entries that the new tar has more than the source: landmark, and TOC."""
        self.annotations: dict[str, str] = {}
        self.diff_id: Digest | None = None
        self._add_landmark()

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
            self._raw += view[at:stop][: TAIL_BYTES - len(self._raw)]
            at = stop
            if row is not None:
                self._begin(row)
                row = next(rows, None)
        return False

    def _new_rows(self) -> Iterator[Entry]:
        table = EntryTable(*self._tar.take_table())
        if len(table):
            kept = bytes(not _is_reserved(entry) for entry in table)
            self.added -= kept.count(0)
            self._tables.append((table, kept))
        return iter(table)

    # ---- what stands in the new tar ----

    def _add_landmark(self) -> None:
        header, content = landmark()
        parser = TarParser(UNLIMITED)
        parser.feed(header)
        self._tables.append((EntryTable(*parser.take_table()), b"\1"))
        self._add(memoryview(header))
        self._begin_file(len(content))
        self._take_payload(memoryview(content))
        self._add(memoryview(bytes(self._padding)))
        self._padding = 0

    def _begin(self, entry: Entry) -> None:
        """The headers of an entry, and the padding before them, are in `_raw`."""
        if entry.is_sparse:
            raise UnsupportedError(f"{entry.name!r} is sparse: a seekable layer holds plain files")
        own = entry.payload_offset - entry.start_offset
        self._is_dropped, was_dropped = _is_reserved(entry), self._is_dropped
        kept = memoryview(self._raw)
        if was_dropped:
            kept = kept[self._padding :]
        if self._is_dropped:
            kept = kept[: len(kept) - own]
        self._add(kept)
        kept.release()
        self._raw = bytearray()
        self._begin_file(entry.stored_size)

    def _begin_file(self, size: int) -> None:
        self._left, self._padding, self._cuts = size, -size % BLOCK, 0
        if size and not self._is_dropped:
            self._end_member()
            self._whole = Sha256()

    def _take_payload(self, piece: memoryview) -> None:
        self._left -= len(piece)
        if self._is_dropped:
            return
        while piece:
            if self._payload == CHUNK_BYTES:
                self._cuts += 1
                self._end_member()
            part = piece[: CHUNK_BYTES - self._payload]
            self._payload += len(part)
            self._add(part)
            if self._cuts or self._left + len(piece) > len(part):
                self._whole.update(part)
            piece = piece[len(part) :]
        if self._left == 0:
            self._chunks.append(self._cuts + 1)
            if self._cuts:
                self._wholes += self._whole.digest()

    # ---- members ----

    def _add(self, piece: memoryview) -> None:
        """Put bytes into the new tar; what is no payload may be cut anywhere."""
        self._all.update(piece)
        self.uncompressed_size += len(piece)
        while piece:
            part = piece[: self._payload + CHUNK_BYTES - self._size]
            self._blocks.add(part)
            self._size += len(part)
            piece = piece[len(part) :]
            if piece:
                self._end_member()

    def _end_member(self) -> None:
        if self._size == 0:
            return
        self._unit.append(Member(self._size, self._payload))
        self._payloads.append(self._payload)
        self._unit_size += self._size
        self._size = self._payload = 0
        if self._unit_size >= UNIT_BYTES:
            self._end_unit()

    def _end_unit(self) -> None:
        if self._unit:
            self._waiting[self._units] = Unit(self._members, self._unit)
            self._blocks.cut()
            self._units += 1
            self._members += len(self._unit)
            self._unit, self._unit_size = [], 0

    def _squeeze(self, block: memoryview, number: int, _is_last: bool) -> bytes:  # noqa: FBT001
        """Thread: compress each member, and hash the chunks in them."""
        first, members = self._waiting.pop(number, Unit(0, []))
        found, chunks, at = [], [], 0
        for count, (size, payload) in enumerate(members, first):
            found.append(self._compress(block[at : at + size], count))
            if payload:
                chunks.append(block[at : at + payload])
            at += size
        self._sizes[number] = array("I", map(len, found))
        self._digests[number] = b"".join(hash_many(chunks))
        return b"".join(found)

    # ---- output ----

    def finish(self) -> None:
        """State that all was fed.

        Raises:
            TarError: The tar is cut short.
            StateError: It is finished or closed.
        """
        self._tar.finish()
        if not self._is_dropped:  # a source without end marks may lack the last padding too
            self._add(memoryview(bytes(self._padding)))
        self._raw.clear()
        self._end_member()
        self._end_unit()
        self._blocks.finish()

    def take(self) -> bytes | None:
        """Give the next piece of output in order; None when none is there yet."""
        piece = self._blocks.take()
        if piece is not None or not self._blocks.done or self._is_closed:
            return piece
        self._is_closed = True
        offset = sum(map(sum, self._sizes.values()))
        toc = estargz_toc(self._described())
        entry = toc_entry(toc)
        self._all.update(entry)
        self.uncompressed_size += len(entry)
        self.diff_id = Digest.of_sha256(self._all.digest())
        self.annotations = estargz_annotations(Digest.of_content(toc), self.uncompressed_size)
        return self._compress(memoryview(entry), self._members) + estargz_footer(offset)

    def _described(self) -> Iterator[tuple[Entry, str, tuple[Chunk, ...]]]:
        stored, counts, wholes = self._stored(), iter(self._chunks), memoryview(self._wholes)
        for table, kept in self._tables:
            for entry, is_kept in zip(table, kept, strict=True):
                if not is_kept:
                    continue
                if not entry.stored_size:
                    yield entry, EMPTY if entry.kind is EntryKind.FILE else "", ()
                    continue
                found = tuple(next(stored) for _ in range(next(counts)))
                digest = found[0].digest
                if len(found) > 1:
                    digest, wholes = f"sha256:{wholes[:32].hex()}", wholes[32:]
                yield entry, digest, found

    def _stored(self) -> Iterator[Chunk]:
        """Where chunks lie."""
        at, payloads = 0, iter(self._payloads)
        for unit in range(self._units):
            digests = memoryview(self._digests[unit])
            for size in self._sizes[unit]:
                payload = next(payloads)
                if payload:
                    yield Chunk(at, at + size, payload, f"sha256:{digests[:32].hex()}")
                    digests = digests[32:]
                at += size

    @property
    def done(self) -> bool:
        """Whether it was finished and everything was taken."""
        return self._is_closed and self._blocks.done

    def close(self) -> None:
        """Give up, or clean up; ends its threads."""
        self._blocks.close()


def _is_reserved(entry: Entry) -> bool:
    return entry.path.removeprefix(b"./") in RESERVED
