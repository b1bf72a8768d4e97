"""What encoders of seekable layers share: a tar cut into units of segments, compressed by threads.

They follow the tar they are fed with a parser of their own, so they can stand wherever an `Encoder`
can. `_native.toc_cut` does what is to be done for each entry and chunk. Invariant: output depends
on the tar and the recipe, not on pieces, threads or timing; of an entry it keeps its row in the
table, and 50 bytes a chunk, until the TOC is made at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from typing import TYPE_CHECKING, Final

from ocifast._native.tar import TarParser
from ocifast._native.toc_cut import Cutter, hash_payloads
from ocifast.codecs.block_encoder import BlockEncoder
from ocifast.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

    from ocifast._native.sha256 import Sha256
    from ocifast._native.toc_cut import Toc

__all__ = ["UNLIMITED", "SegmentEncoder"]

UNLIMITED: Final = Limits(output_bytes=2**62 - 1, entries=2**31, table_bytes=2**40)


class SegmentEncoder(ABC):
    """Implements `Encoder` for a dialect that says how segments are compressed, and what is last.

    No unit is longer than `unit_bytes`; `everything` becomes the digest of the tar in the blob.
    """

    def __init__(
        self,
        dialect: int,
        unit_bytes: int,
        threads: int,
        wake: Callable[[], object] | None,
        everything: Sha256 | None = None,
    ) -> None:
        self._blocks = BlockEncoder(self._squeeze, unit_bytes, threads, wake)
        self._tar = TarParser(UNLIMITED)
        self._cutter = Cutter(dialect, everything)
        self._offset = 0  # of the source
        self._plans: dict[int, tuple[int, bytes]] = {}  # of units that wait for a thread
        self._units = self._segments = 0
        self._sizes: dict[int, array[int]] = {}  # of segments as they are stored, by unit
        self._digests: dict[int, bytes] = {}  # of payloads, by unit
        self._is_closed = False
        self.annotations: dict[str, str] = {}

    @abstractmethod
    def _compress(self, segments: list[memoryview], first: int) -> list[bytes]:
        """Thread: make of each what it is in the blob; `first` is the number of the first one."""

    @abstractmethod
    def _close_blob(self, offset: int) -> bytes:
        """Give what stands behind the segments, which end at `offset`."""

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
        self._add(self._cutter.feed(view, self._offset, *self._tar.take_table()))
        self._offset += len(view)
        return False

    def _add(self, parts: list[tuple[memoryview | bytes, bytes]]) -> None:
        for part, plan in parts:
            self._blocks.add(memoryview(part))
            if plan:
                self._plans[self._units] = self._segments, plan
                self._units += 1
                self._segments += len(plan) // 8
                self._blocks.cut()

    def _squeeze(self, block: memoryview, number: int, _is_last: bool) -> bytes:  # noqa: FBT001
        """Thread: compress each segment, and hash the payloads in them."""
        first, plan = self._plans.pop(number, (0, b""))
        parts, at = [], 0
        for size in array("I", plan)[::2]:
            parts.append(block[at : at + size])
            at += size
        found = self._compress(parts, first)
        self._sizes[number] = array("I", map(len, found))
        self._digests[number] = hash_payloads(block, plan)
        return b"".join(found)

    def finish(self) -> None:
        """State that all was fed.

        Raises:
            TarError: The tar is cut short.
            StateError: It is finished or closed.
        """
        self._tar.finish()
        self._add(self._cutter.finish())
        self._blocks.finish()

    def take(self) -> bytes | None:
        """Give the next piece of output in order; None when none is there yet."""
        piece = self._blocks.take()
        if piece is not None or not self._blocks.done or self._is_closed:
            return piece
        self._is_closed = True
        return self._close_blob(sum(map(sum, self._sizes.values())))

    def _toc(self) -> Toc:
        """Give the entries of the TOC."""
        sizes = array("I")
        for unit in range(self._units):
            sizes += self._sizes[unit]
        return self._cutter.toc(sizes, b"".join(map(self._digests.__getitem__, range(self._units))))

    @property
    def done(self) -> bool:
        """Whether it was finished and everything was taken."""
        return self._is_closed and self._blocks.done

    def close(self) -> None:
        """Give up, or clean up; ends its threads."""
        self._blocks.close()
