"""gzip (RFC 1952): member framing here, deflate in ISA-L, or in zlib where ISA-L is missing.

Headers and trailers are read here rather than by the backend because backends differ: igzip and
Python's gzip skip NULs between members, zlib skips reserved flags' meaning, and none says at which
byte a checksum failed. Invariant: both backends accept the same blobs with the same output.
"""

from __future__ import annotations

import struct
import zlib
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from ocifast.codecs.base import Codec, SteppedDecoder, import_backend
from ocifast.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from ocifast.limits import Limits, Profile

__all__ = ["CODEC", "GzipDecoder", "header_size"]

MAGIC: Final = b"\x1f\x8b"
DEFLATE: Final = 8
BACKENDS: Final = ("isal.igzip_lib", "zlib")
FIXED_BYTES: Final = 10
FHCRC, FEXTRA, FNAME, FCOMMENT, RESERVED = 2, 4, 8, 16, 0xE0
TRAILER: Final = struct.Struct("<II")

GO_NAME_BYTES: Final = 511
"""Longest name or comment Go's reader takes; with a longer one containerd cannot read the layer."""

# What one inner call gets and may give. Measured, as share of the speed of ISA-L's own reader that
# fills a buffer without a copy (750 MB/s of CPU time; Zen 4, ISA-L 2.32.1, 200 MB tar of mixed
# files): 64/256 KiB 98 %, 128/256 97, 64/128 95, 16/128 92. 128/512 is 99 % or 83 %, depending on
# what else the process allocates: malloc may give each result back and fault its pages in again.
PIECE_BYTES: Final = 64 << 10
CHUNK_BYTES: Final = 256 << 10
LEAST_BYTES: Final = 2 << 10


class Inflate(Protocol):
    """What both backends do for one member: raw deflate, stopping behind its last byte."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def crc(self) -> int: ...
    def decompress(self, data: memoryview, /, max_length: int) -> bytes: ...


class ZlibInflate:
    """zlib in the shape of ISA-L's decompressor."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        self.crc = 0
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: memoryview, /, max_length: int) -> bytes:
        chunk = self._inner.decompress(self._inner.unconsumed_tail or data, max_length)
        self.crc = zlib.crc32(chunk, self.crc)
        self.needs_input = not self._inner.unconsumed_tail
        return chunk


def _inflater(module: ModuleType) -> tuple[Callable[[], Inflate], type[Exception]]:
    """Return how to start a member, and what its errors are."""
    if module is zlib:
        return ZlibInflate, zlib.error
    return partial(module.IgzipDecompressor, flag=module.DECOMP_GZIP_NO_HDR), module.IsalError


def header_size(head: bytes | bytearray) -> int:
    """Return how long the member header that begins with `head` is, as far as `head` tells.

    A result beyond `len(head)` is a lower bound: show at least so many bytes and ask again.
    """
    if len(head) < FIXED_BYTES:
        return FIXED_BYTES
    flags, end = head[3], FIXED_BYTES
    if flags & FEXTRA:
        if len(head) < end + 2:
            return end + 2
        end += 2 + int.from_bytes(head[end : end + 2], "little")
    for flag in (FNAME, FCOMMENT):
        if flags & flag:
            nul = head.find(0, end)
            if nul < 0:
                return max(end, len(head)) + 1
            end = nul + 1
    return end + 2 * bool(flags & FHCRC)


def _has_long_name(head: bytes | bytearray) -> bool:
    """Whether the name or comment of a complete header is longer than Go's reader takes."""
    flags, at = head[3], FIXED_BYTES
    if flags & FEXTRA:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    names = bytes(head[at:]).split(b"\0")[: bool(flags & FNAME) + bool(flags & FCOMMENT)]
    return any(len(name) > GO_NAME_BYTES for name in names)


class GzipDecoder(SteppedDecoder):
    """Members one after the other: header, deflate data, trailer, and behind the last the tail."""

    codec = "gzip"

    def __init__(self, limits: Limits, profile: Profile, backend: str | None = None) -> None:
        module = import_backend(BACKENDS, backend)
        super().__init__(limits, profile, module.__name__)
        self._inflater, self._error = _inflater(module)
        self._inflate: Inflate
        self.members = 0
        self._hungry = True
        self._gathered = bytearray()
        self._piece, self._chunk = PIECE_BYTES, CHUNK_BYTES
        self._enter(GzipDecoder._header, "member header")

    def _header(self, room: memoryview) -> int:
        """Step: gather the header of a member, judging each field as soon as it is there."""
        head, before = self._gathered, len(self._gathered)
        # More than asked for while a name is searched, and given back: the end is in these bytes.
        wanted = max(header_size(head) - before, 64 if before else FIXED_BYTES)
        head += self._view[self._at : self._at + wanted]
        self._judge_fixed(head)
        size = header_size(head)
        if size > self.limits.gzip_header_bytes:
            raise LimitExceeded("gzip_header_bytes", self.limits.gzip_header_bytes, size)
        self._at += min(len(head), size) - before
        if size > len(head):
            return 0
        del head[size:]
        self._judge_whole(head)
        self._begin_body()
        return self._body(room)

    def _judge_fixed(self, head: bytearray) -> None:
        start = self.restart[0]
        if not MAGIC.startswith(head[:2]):
            later = "bytes after the last member do not begin another"
            self._fail(later if self.members else "not a gzip member", start)
        if len(head) > 2 and head[2] != DEFLATE:
            self._fail(f"compression method is {head[2]}, expected 8 (deflate)", start + 2)
        if len(head) > 3 and head[3] & RESERVED:
            self._fail(f"reserved flag bits set: {head[3]:#04x}", start + 3)

    def _judge_whole(self, head: bytearray) -> None:
        start = self.restart[0]
        if head[3] & FHCRC:
            stated = int.from_bytes(head[-2:], "little")
            actual = zlib.crc32(head[:-2]) & 0xFFFF
            if stated != actual:
                offset = start + len(head) - 2
                self._fail(f"header CRC is {actual:04x}, header says {stated:04x}", offset)
        if head[3] & (FNAME | FCOMMENT) and _has_long_name(head):
            text = f"name or comment in the member header is longer than {GO_NAME_BYTES} bytes"
            if self.profile == "strict":
                self._fail(text, start)
            self._find("long-name", start, text)

    def _begin_body(self) -> None:
        if self.members >= self.limits.members:
            raise LimitExceeded("members", self.limits.members, self.members + 1)
        self._gathered.clear()
        self._inflate = self._inflater()
        self._hungry = self._pending = True
        self._enter(GzipDecoder._body, "deflate data")

    def _body(self, room: memoryview) -> int:
        """Step: one call of the backend."""
        inflate, start = self._inflate, self._at
        if self._hungry:
            self._at = min(start + self._piece, len(self._view))
        wanted = min(len(room), self._chunk)
        try:
            chunk = inflate.decompress(self._view[start : self._at], wanted)
        except self._error as error:
            reason = f"corrupt deflate data in the {self._at - start} bytes from here: {error}"
            self._fail(reason, self._base + start)
        written = len(chunk)
        room[:written] = chunk
        if inflate.eof:
            self._end_body(inflate.unused_data)
            return written
        # A full chunk may leave output behind although the input is taken: ask again without.
        self._hungry = inflate.needs_input and written < wanted
        self._pending = not self._hungry
        self._piece = min(2 * self._piece, PIECE_BYTES)
        self._chunk = min(2 * self._chunk, CHUNK_BYTES)
        return written

    def _end_body(self, unused: bytes) -> None:
        """Give back what lies behind the deflate data.

        The backend may hold bytes of an earlier piece in its bit buffer: at most eight, so they
        are of the trailer.
        """
        early = max(len(unused) - self._at, 0)
        self._gathered += unused[:early]
        self._at -= len(unused) - early
        self._pending = False
        self._enter(GzipDecoder._trailer, "member trailer")

    def _trailer(self, room: memoryview) -> int:
        """Step: hold CRC-32 and length modulo 2**32 against what came out."""
        gathered = self._gathered
        taken = self._view[self._at : self._at + TRAILER.size - len(gathered)]
        gathered += taken
        self._at += len(taken)
        if len(gathered) < TRAILER.size:
            return 0
        crc, size = TRAILER.unpack(gathered)
        length, offset = self.produced - self.restart[1], self.stored - TRAILER.size
        if crc != self._inflate.crc:
            self._fail(f"CRC-32 is {self._inflate.crc:08x}, trailer says {crc:08x}", offset)
        if size != length & 0xFFFFFFFF:
            reason = f"length is {length} ({length & 0xFFFFFFFF} modulo 2**32)"
            self._fail(f"{reason}, trailer says {size}", offset + 4)
        self._end_member(self.stored - self.restart[0], length)
        # On to the next at once: per-step costs are what files of small members spend time on.
        return self._border(room) if self._at < len(self._view) else 0

    def _end_member(self, stored: int, produced: int) -> None:
        """Expect a next member of like size.

        What is fed beyond its end is copied in vain, and a result of 128 KiB costs 12 us of page
        faults where a small member takes 1.8 us in all.
        """
        self.members += 1
        self._gathered.clear()
        self._piece = min(max(LEAST_BYTES, stored + stored // 4), PIECE_BYTES)
        self._chunk = min(max(LEAST_BYTES, produced + produced // 4), CHUNK_BYTES)
        self._enter(GzipDecoder._border, None)

    def _border(self, room: memoryview) -> int:
        """Step: behind a member, where another may begin."""
        if self._view[self._at] == 0:
            self._enter(GzipDecoder._tail, None)
            return self._tail(room)
        self.restart = (self.stored, self.produced)
        self._enter(GzipDecoder._header, "member header")
        return self._header(room)


CODEC: Final = Codec("gzip", lambda head: head.startswith(b"\x1f\x8b\x08"), GzipDecoder, BACKENDS)
