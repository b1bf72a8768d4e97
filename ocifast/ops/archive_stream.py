"""An archive met front to back: its members one by one, each with a reader of its payload.

For archives that cannot be read at random: a pipe, or an archive that is compressed as a whole. It
is not for layers, whose entries are hundreds of thousands. Invariant: nothing is kept of a member
once the next one is asked for.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._native.tar import TarParser
from ocifast.codecs import SNIFF_BYTES, open_decoder, sniff
from ocifast.errors import StateError, TarError
from ocifast.formats.tar import EntryTable
from ocifast.ops.source import DescriptorReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.codecs.base import Decoder
    from ocifast.limits import Limits, Profile
    from ocifast.ops.source import Reader
    from ocifast.tree.entry import Entry

__all__ = [
    "ARCHIVE_BYTES",
    "ArchiveStream",
    "DecodedReader",
    "StreamMember",
    "has_end",
    "open_stream",
]

BLOCK_BYTES: Final = 512
ARCHIVE_BYTES: Final = 1 << 50
"""An archive holds any number of layers, each of which has its own limit."""
PIECE_BYTES: Final = 256 << 10


class DecodedReader:
    """The bytes inside a compressed file, or the file's own where it is not compressed."""

    size: int | None = None

    def __init__(self, reader: Reader, limits: Limits, profile: Profile) -> None:
        self._reader = reader
        self._stored = memoryview(bytearray(PIECE_BYTES))
        head = self._fill()
        self._rest = head
        self.codec = sniff(bytes(head[:SNIFF_BYTES])) if head else "identity"
        self._decoder: Decoder | None = None
        if self.codec != "identity":
            self._decoder = open_decoder(self.codec, limits, profile)
            self._decoder.feed(head)
        self._ended = False

    def _fill(self) -> memoryview:
        return self._stored[: self._reader.readinto(self._stored)]

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end."""
        filled = 0
        while filled < len(out) and not self._ended:
            filled += self._some(out[filled:])
        return filled

    def _some(self, room: memoryview) -> int:
        decoder = self._decoder
        if decoder is None:
            return self._plain(room)
        if not decoder.needs_input:
            return decoder.readinto(room)
        stored = self._fill()
        if stored:
            decoder.feed(stored)
        else:
            decoder.finish()
            self._ended = True
        return 0

    def _plain(self, room: memoryview) -> int:
        if not self._rest:
            if len(room) >= PIECE_BYTES:  # past our own buffer: no copy
                count = self._reader.readinto(room)
                self._ended = count == 0
                return count
            self._rest = self._fill()
        count = min(len(room), len(self._rest))
        room[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._ended = count == 0
        return count

    def close(self) -> None:
        """Close what is read."""
        self._reader.close()


class StreamMember(NamedTuple):
    """A member, and a reader that ends where its payload does."""

    entry: Entry
    reader: MemberReader


class MemberReader:
    """Reads the payload of one member; what is left of it is passed over by the stream."""

    def __init__(self, stream: ArchiveStream, number: int, size: int) -> None:
        self._stream = stream
        self._number = number
        self.size: int | None = size
        self._left = size
        self._head = b""

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end of the member.

        Raises:
            TarError: The archive ends inside the member.
            StateError: The next member was asked for meanwhile.
        """
        seen = min(len(out), len(self._head))
        out[:seen] = self._head[:seen]
        self._head = self._head[seen:]
        return seen + self._read(out[seen:])

    def _read(self, out: memoryview) -> int:
        wanted = min(len(out), self._left)
        got = self._stream.payload(self._number, out[:wanted])
        self._left -= got
        if got < wanted:
            reason = f"the archive ends, {self._left} bytes of a member missing"
            raise TarError("truncated", self._stream.offset, reason)
        return got

    def peek(self, size: int) -> bytes:
        """Look at the first bytes of what is still to be read. Raises as `readinto`."""
        more = bytearray(max(size - len(self._head), 0))
        self._head += bytes(more[: self._read(memoryview(more))])
        return self._head[:size]

    def close(self) -> None:
        """Nothing to do: the stream is not ours."""


class ArchiveStream:
    """The members of an archive, in its order; `compressed` says whether it is as a whole.

    The reader is closed here, also when it turns out to be unreadable.

    Raises:
        UnknownCodec: It is compressed with something that is not read here.
        TarError, CompressedDataError, LimitExceeded: While iterating: it is malformed or refused.
    """

    def __init__(self, reader: Reader, limits: Limits, profile: Profile) -> None:
        try:
            self._reader = DecodedReader(reader, limits, profile)
        except BaseException:
            reader.close()
            raise
        self._parser = TarParser(limits, strict=profile == "strict")
        self._block = memoryview(bytearray(BLOCK_BYTES))
        self._waste = memoryview(b"")
        self._number = -1
        """Which member stands next, counted from 1."""
        self.compressed = self._reader.codec != "identity"

    def __iter__(self) -> Iterator[StreamMember]:
        parser, seen = self._parser, 0
        while count := self._reader.readinto(self._block):
            parser.feed(self._block[:count])
            if parser.entries > seen:
                seen = self._number = parser.entries
                for entry in EntryTable(*parser.take_table()):
                    yield StreamMember(entry, MemberReader(self, seen, entry.stored_size))
                self._pass_over()
        parser.finish()

    @property
    def ended(self) -> bool:
        """Whether the end of an archive was met, once all members are through."""
        return has_end(self._parser)

    @property
    def offset(self) -> int:
        """Bytes of the uncompressed archive so far."""
        return self._parser.offset

    def payload(self, number: int, out: memoryview) -> int:
        """Read so much of the payload of a member; less only where the archive ends.

        Raises:
            StateError: Another member has come since.
        """
        if number != self._number:
            raise StateError("the member has gone by: read it before the next one is asked for")
        got = self._reader.readinto(out)
        self._parser.skip(got)
        return got

    def _pass_over(self) -> None:
        self._number = -1
        if self._parser.payload_left and not self._waste:
            self._waste = memoryview(bytearray(PIECE_BYTES))
        while self._parser.payload_left:
            wanted = min(self._parser.payload_left, PIECE_BYTES)
            got = self._reader.readinto(self._waste[:wanted])
            self._parser.skip(got)
            if got < wanted:
                break

    def close(self) -> None:
        """Close what is read."""
        self._reader.close()


def has_end(parser: TarParser) -> bool:
    """Whether an archive that was parsed to its last byte ends as archives do."""
    return all(code != "missing-end" for code, _, _ in parser.findings())


def open_stream(path: str, limits: Limits, profile: Profile) -> ArchiveStream:
    """Read an archive (- is standard input) from its beginning; `limits` are those of a layer."""
    whole = replace(limits, output_bytes=ARCHIVE_BYTES)
    descriptor = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return ArchiveStream(DescriptorReader(descriptor), whole, profile)
