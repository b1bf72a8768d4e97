"""The tar of a layer that was verified, read once more: from its blob, or from a file of our own.

A blob may change between two readings, so it is proven again; a file that has never had a name does
not. Invariant: whoever was given pieces of a blob is told, before its end, when they were not those
of the blob that was verified.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from ocifast._native.sha256 import Sha256
from ocifast.codecs import SNIFF_BYTES, open_decoder, sniff
from ocifast.errors import DigestMismatch
from ocifast.ops.source import DescriptorReader
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.limits import Limits, Profile

    class PayloadStream(Protocol):
        """A tar that payload is cut out of, front to back."""

        def next(self, place: int) -> tuple[int, memoryview] | None:
            """Give a piece on the way to a place, and where it begins; None at the end."""

        def finish(self) -> None:
            """State that nothing more is wanted."""

        def close(self) -> None:
            """Let go of the file; may be called again."""


__all__ = ["PayloadStream", "ProvenStream", "SpooledStream"]

STORED_BYTES: Final = 256 << 10
TAR_BYTES: Final = 256 << 10
"""Both stay in an L2 of 1 MiB with what is copied out of them."""


class ProvenStream:
    """Gives the pieces of a layer's tar; owns `descriptor`, of which `window` may name a part.

    `digest` is that of the bytes as stored.
    """

    def __init__(
        self,
        descriptor: int,
        window: tuple[int, int] | None,
        digest: str,
        limits: Limits,
        profile: Profile,
    ) -> None:
        self._reader = DescriptorReader(descriptor, window)
        self._digest = digest
        self._hash = Sha256()
        self._stored = memoryview(bytearray(STORED_BYTES))
        self._pieces = self._decoded(limits, profile)
        self._at = 0

    def next(self, _place: int) -> tuple[int, memoryview] | None:
        """Give the next piece, good until the next call; None at the end, which is proven.

        Raises:
            DigestMismatch: It is another blob than it was.
            CompressedDataError, LimitExceeded: The same, and it cannot even be decoded.
            OSError: It cannot be read.
        """
        piece = next(self._pieces, None)
        if piece is None:
            self._prove()
            return None
        at, self._at = self._at, self._at + len(piece)
        return at, piece

    def finish(self) -> None:
        """Read what is left, of which no piece is needed, and close. Raises as `next`."""
        while self._read():
            pass
        self._prove()
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _read(self) -> memoryview:
        piece = self._stored[: self._reader.readinto(self._stored)]
        self._hash.update(piece)
        return piece

    def _decoded(self, limits: Limits, profile: Profile) -> Iterator[memoryview]:
        piece = self._read()
        codec = sniff(bytes(piece[:SNIFF_BYTES]))
        if codec == "identity":
            while piece:
                yield piece
                piece = self._read()
            return
        decoder, out = open_decoder(codec, limits, profile), memoryview(bytearray(TAR_BYTES))
        while piece:
            decoder.feed(piece)
            while not decoder.needs_input:
                yield out[: decoder.readinto(out)]
            piece = self._read()

    def _prove(self) -> None:
        actual = Digest.of_sha256(self._hash.digest())
        if actual != self._digest:
            raise DigestMismatch(self._digest, actual)


class SpooledStream:
    """Gives pieces of a plain tar in a file of our own, from where they are wanted."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._piece = memoryview(bytearray(TAR_BYTES))

    def next(self, place: int) -> tuple[int, memoryview] | None:
        """Give a piece from a place on, good until the next call. Raises OSError."""
        count = os.preadv(self._descriptor, [self._piece], place)
        return (place, self._piece[:count]) if count else None

    def finish(self) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the file; may be called again."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
