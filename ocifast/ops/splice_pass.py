"""The one pass that makes a layer of parts of others: `ConvertPass`, over a tar spliced on the way.

A task of the engine. Headers come from a table; payload is cut out of the layers it is in, which
are decoded front to back, one after the other, and proven again. From there on it is a plain layer
being converted. *Invariant:* a layer is only finished when every byte in it was of a blob that has
the digest it was verified by.
"""

from __future__ import annotations

import mmap
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ocifast._native.tar_splice import TarSplice
from ocifast.engine.message import close_all
from ocifast.errors import TarError
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits
from ocifast.ops.hash_pass import memory_file
from ocifast.ops.pack_pass import PackPass
from ocifast.ops.proven_stream import ProvenStream, SpooledStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _typeshed import ReadableBuffer

    from ocifast._native.arena import Arena
    from ocifast.ops.columns import Array
    from ocifast.ops.proven_stream import PayloadStream

__all__ = ["SplicePass", "SpliceReader", "splice_file"]

STREAM_BYTES: Final = 4


class SplicePass(PackPass):
    """Make one layer; `source` is (table, descriptor to write, descriptors of streams).

    Or (SpliceReader, descriptor to write). Besides what `ConvertPass` takes, the spec has ``rows``
    and ``streams``: the digest and the window of each blob, or None for a plain tar of our own. All
    descriptors are closed here.
    """

    def __init__(self, spec: Mapping[str, Any], source: tuple[Any, ...], arena: Arena) -> None:
        first, out, *streams = source
        if isinstance(first, int):
            try:
                first = _mapped(spec, first, streams)
            except BaseException:
                close_all([out, *streams])
                raise
        super().__init__(spec, (first, out), arena)


class SpliceReader:
    """The tar of a table, front to back; `openers` give the streams its payload is in.

    A stream is opened when it is its turn, so that one is open at a time.
    """

    def __init__(
        self,
        rows: ReadableBuffer,
        heap: ReadableBuffer,
        streams: ReadableBuffer,
        openers: Sequence[Callable[[], PayloadStream]],
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self._splice = TarSplice(rows, heap, streams)
        self._openers = openers
        self._close = close
        self._number = -1
        self._stream: PayloadStream | None = None
        self.size: int | None = self._splice.size

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end.

        Raises:
            DigestMismatch: A layer is no longer what it was when it was verified.
            OSError: One cannot be read.
        """
        filled = self._splice.readinto(out)
        while (wanted := self._splice.wants) >= 0:
            self._feed(wanted)
            filled += self._splice.readinto(out[filled:])
        if filled < len(out):
            self._finish()
        return filled

    def _feed(self, number: int) -> None:
        if number != self._number:
            self._finish()
            self._stream, self._number = self._openers[number](), number
        assert self._stream is not None
        found = self._stream.next(self._splice.place)
        if found is None:
            raise TarError("truncated", 0, "a layer ends within the last file that is wanted")
        self._splice.feed(number, *found)

    def _finish(self) -> None:
        if self._stream is not None:
            self._stream.finish()
            self._stream = None

    def close(self) -> None:
        """Let go of streams and of the table."""
        self._splice.close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        close, self._close = self._close, lambda: None
        close()


def splice_file(table: EntryTable, streams: Array) -> int:
    """Put a table, and the stream of each row, where another process can map both."""
    return memory_file("ocifast-splice", (streams.data, *table.to_buffers()))


def _mapped(spec: Mapping[str, Any], table: int, descriptors: list[int]) -> SpliceReader:
    try:
        memory = memoryview(mmap.mmap(table, os.fstat(table).st_size, access=mmap.ACCESS_READ))
    finally:
        os.close(table)
    split = spec["rows"] * STREAM_BYTES
    _, rows, heap = EntryTable.from_buffer(memory[split:]).to_buffers()
    streams = _HandedOver(spec, descriptors)
    openers = [partial(streams.open, number) for number in range(len(descriptors))]
    return SpliceReader(rows, heap, memory[:split], openers, streams.close)


class _HandedOver:
    """Descriptors of streams that came with the job: each is a stream's once, or closed here."""

    def __init__(self, spec: Mapping[str, Any], descriptors: list[int]) -> None:
        self._spec = spec
        self._limits = Limits(**spec["limits"])
        self._left = dict(enumerate(descriptors))

    def open(self, number: int) -> PayloadStream:
        digest, window = self._spec["streams"][number]
        descriptor = self._left.pop(number)
        if digest is None:
            return SpooledStream(descriptor)
        return ProvenStream(descriptor, window, digest, self._limits, self._spec["profile"])

    def close(self) -> None:
        close_all([self._left.pop(number) for number in list(self._left)])
