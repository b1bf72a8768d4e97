"""A seekable blob read again while it is being written: what has become of it is what went in.

It follows the file as it grows, so that little is left to do when the last byte is written. What
is inflated goes into slots of the arena and to a lane, like any tar: with the digest of the tar its
entries are proven, and with that of the TOC what was written of them. Invariant: nothing is taken
from memory that was written from, all of it is read from the file.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from ocifast.codecs import open_decoder
from ocifast.errors import DiffIdMismatch, DigestMismatch
from ocifast.limits import Limits
from ocifast.ops.stored_toc import find_toc, toc_digest_of
from ocifast.transports.pending_file import OUTPUT, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast._native.arena import Arena
    from ocifast.codecs.base import Decoder

__all__ = ["ReadBack"]

PIECE_BYTES: Final = 1 << 20
ANY: Final = (1 << 62) - 1
UNLIMITED: Final = Limits(output_bytes=ANY, ratio=ANY, members=ANY, skippable_bytes=ANY)
"""What was written has been held against the limits on its way in, and is no bomb to its maker."""


class ReadBack:
    """The second look at a blob that is written to a descriptor, from where that stands now.

    `codec` is what other readers take it for; `lane` is the caller's, for the tar inside.

    Raises:
        OSError: It cannot be read.
    """

    def __init__(self, descriptor: int, codec: str, arena: Arena, lane: int) -> None:
        self._arena = arena
        self._lane = lane
        self._decoder: Decoder = open_decoder(codec, UNLIMITED, "strict")
        self._piece = bytearray(PIECE_BYTES)
        self._base = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._at = 0
        self._descriptor = _readable(descriptor)

    def step(self, written: int) -> bool:
        """Look at a piece of the `written` bytes there are; False when there is none, or no slot.

        Raises:
            OcifastError: They are not what was meant to be written.
            OSError: They cannot be read.
        """
        if self._decoder.needs_input:
            return self._read(written - self._at)
        slot = self._arena.take()
        if slot < 0:
            return False
        memory = self._arena.slot(slot)
        try:
            count = self._decoder.readinto(memory)
        except BaseException:
            self._arena.release(slot)
            raise
        if count:
            self._arena.push(self._lane, slot, count)
        else:
            self._arena.release(slot)
        return True

    def _read(self, left: int) -> bool:
        if left == 0:
            return False
        piece = memoryview(self._piece)[:left]
        with named(OUTPUT):
            count = os.preadv(self._descriptor, [piece], self._base + self._at)
        if count == 0:
            raise OSError(errno.EIO, f"it ends at byte {self._at}, and more was written", OUTPUT)
        self._at += count
        self._decoder.feed(piece[:count])
        return True

    def is_at(self, written: int) -> bool:
        """Whether so many bytes were looked at, and everything that is in them."""
        return self._decoder.needs_input and self._at == written

    def check(self, found: str, expected: str, annotations: Mapping[str, str]) -> None:
        """Judge what was read, whose tar has the digest `found`.

        Raises:
            DiffIdMismatch, DigestMismatch: This package has made a wrong layer.
            OSError: It cannot be read.
        """
        self._decoder.finish()
        if found != expected:
            raise DiffIdMismatch(expected, found)
        with named(OUTPUT):
            toc = find_toc(self._descriptor, self._base, self._at)
        promised = toc_digest_of(annotations)
        if toc is None or toc.digest != promised:
            raise DigestMismatch(str(promised), "none" if toc is None else toc.digest)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _readable(descriptor: int) -> int:
    """Give a descriptor of the same file for reading, which a redirected output is not open for."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
        return os.dup(descriptor)
    with named(OUTPUT):
        return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
