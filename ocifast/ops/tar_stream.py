"""The tar of a layer, read a second time, front to back: what is wanted of it, and no more.

It proves nothing: whoever reads a layer twice has verified it the first time. Invariant: what lies
before a place that was skipped to is never given.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from ocifast.codecs import SNIFF_BYTES, open_decoder, sniff
from ocifast.errors import StateError
from ocifast.ops.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import ReadableBuffer

    from ocifast.limits import Limits, Profile
    from ocifast.ops.source import Source

__all__ = ["TarStream", "pieces_of"]

PIECE_BYTES: Final = 1 << 20


def pieces_of(
    descriptor: int, limits: Limits, profile: Profile, window: tuple[int, int] | None = None
) -> Iterator[memoryview]:
    """Give the uncompressed stream of a layer in pieces, each good until the next one.

    `descriptor` is of a regular file, read from where it stands; or a window (offset, size) of it.
    """
    if window is None:
        at, end = os.lseek(descriptor, 0, os.SEEK_CUR), os.fstat(descriptor).st_size
    else:
        at, end = window[0], sum(window)
    return _pieces(partial(os.pread, descriptor), at, end, limits, profile)


def _pieces(
    read: Callable[[int, int], ReadableBuffer], at: int, end: int, limits: Limits, profile: Profile
) -> Iterator[memoryview]:
    codec = sniff(bytes(read(min(SNIFF_BYTES, end - at), at)))
    out = memoryview(bytearray(PIECE_BYTES))
    decoder = None if codec == "identity" else open_decoder(codec, limits, profile)
    while piece := memoryview(read(min(PIECE_BYTES, end - at), at)):
        at += len(piece)
        if decoder is None:
            yield piece
            continue
        decoder.feed(piece)
        while not decoder.needs_input:
            yield out[: decoder.readinto(out)]


class TarStream:
    """Reads the tar of a layer from place to place; a context manager.

    Raises:
        StateError: The source cannot be read a second time.
        OSError: It cannot be opened.
    """

    def __init__(self, source: Source, limits: Limits, profile: Profile) -> None:
        opened = open_source(source)
        if opened.size is None:
            reason = "it can be read only once: give a file"
            raise StateError(f"{opened.name}: {reason}")
        self._close = contextlib.ExitStack()
        if opened.local:  # and of a size that is known: a buffer
            view = memoryview(source).cast("B")  # type: ignore[arg-type]
            self._pieces = _pieces(
                lambda size, at: view[at : at + size], 0, len(view), limits, profile
            )
        else:
            descriptor = opened.open()
            assert isinstance(descriptor, int)
            self._close.callback(os.close, descriptor)
            window = None if opened.window is None else (opened.window[0], opened.window[1])
            self._pieces = pieces_of(descriptor, limits, profile, window)
        self._rest = memoryview(b"")
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()

    def skip_to(self, offset: int) -> None:
        """Go forward to a place in the tar."""
        if offset < self._at:
            raise StateError(f"the tar was read to byte {self._at}, behind {offset}")
        while offset > self._at:
            if not self._rest:
                self._rest = next(self._pieces)
            count = min(len(self._rest), offset - self._at)
            self._rest = self._rest[count:]
            self._at += count

    def read(self, size: int) -> memoryview:
        """Give up to `size` bytes, good until the next call; empty at the end."""
        while not self._rest:
            try:
                self._rest = next(self._pieces)
            except StopIteration:
                return self._rest
        head, self._rest = self._rest[:size], self._rest[size:]
        self._at += len(head)
        return head

    def read_all(self, size: int) -> bytes:
        """Give `size` bytes, or those that are left."""
        parts: list[bytes] = []
        while size and (piece := self.read(size)):
            parts.append(bytes(piece))
            size -= len(piece)
        return b"".join(parts)
