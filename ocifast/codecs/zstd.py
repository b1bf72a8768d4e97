"""zstd (RFC 8878): frames walked natively, blocks decoded by libzstd.

`FrameWalker` sees every header before libzstd sees the bytes, and hands over one frame at a time,
or some small ones that declare what they hold, so this always knows where frames end, what they
declared and what they gave; libzstd's streaming calls tell none of it. Invariant: libzstd only
ever gets bytes the walker let through.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from ocifast._native.zstd_frame import FrameWalker
from ocifast.codecs.base import Codec, SteppedDecoder, import_backend
from ocifast.errors import CompressedDataError, LimitExceeded

if TYPE_CHECKING:
    from types import ModuleType

    from ocifast.limits import Limits, Profile

__all__ = ["CODEC", "ZstdDecoder"]

_STDLIB, _PACKAGE, _BACKPORT = "compression.zstd", "zstandard", "backports.zstd"
BACKENDS: Final = (_STDLIB, _PACKAGE) if sys.version_info >= (3, 14) else (_PACKAGE, _BACKPORT)

CHUNK_BYTES: Final = 256 << 10
"""Most one call of the standard library's decompressor may give, which allocates its result."""

# What libzstd can be told: 2**10 to 2**31. Below it the walker refuses all the same.
WINDOW_LOG_LEAST, WINDOW_LOG_MOST = 10, 31


class Backend(Protocol):
    """One libzstd decompression context: give it a piece, read until it is drained."""

    drained: bool
    takes_several: bool
    """Whether a piece may hold several frames."""

    def give(self, piece: memoryview) -> None: ...
    def readinto(self, out: memoryview) -> int: ...


class Pocket:
    """A readable source that holds one piece or none; none is not the end of the stream."""

    __slots__ = ("piece",)

    def __init__(self) -> None:
        self.piece: memoryview | None = None

    def read(self, _size: int) -> memoryview:
        piece, self.piece = self.piece, None
        if piece is None:
            raise BlockingIOError
        return piece


class PackageBackend:
    """`zstandard`, decoding straight into the caller's buffer.

    Its push objects have no bound on output (4 bytes give 128 KiB), its reader has, but pulls.
    `readinto1` asks the source only while it has nothing to return, so a source that is merely
    empty for now can say so by raising: no output is lost.
    """

    def __init__(self, module: ModuleType, window_log: int) -> None:
        self.takes_several = True
        self._pocket = Pocket()
        decompressor = module.ZstdDecompressor(max_window_size=1 << window_log)
        self._reader = decompressor.stream_reader(self._pocket, read_across_frames=True)
        self.drained = True

    def give(self, piece: memoryview) -> None:
        self._pocket.piece = piece
        self.drained = False

    def readinto(self, out: memoryview) -> int:
        written = 0
        try:
            while written < len(out):  # it stops where a frame ends
                written += self._reader.readinto1(out[written:])
        except BlockingIOError:
            pass
        self.drained = written < len(out)
        return written


class StdlibBackend:
    """`compression.zstd`, or its backport: one decompressor object a frame."""

    def __init__(self, module: ModuleType, window_log: int) -> None:
        self.takes_several = False
        self._open = module.ZstdDecompressor
        self._options = {module.DecompressionParameter.window_log_max: window_log}
        self._inner: Any = None
        self._piece = memoryview(b"")
        self.drained = True

    def give(self, piece: memoryview) -> None:
        if self._inner is None or self._inner.eof:
            self._inner = self._open(options=self._options)
        self._piece = piece
        self.drained = False

    def readinto(self, out: memoryview) -> int:
        inner, wanted = self._inner, min(len(out), CHUNK_BYTES)
        piece, self._piece = self._piece, memoryview(b"")
        chunk = inner.decompress(piece, max_length=wanted)
        written = len(chunk)
        out[:written] = chunk
        self.drained = inner.eof or (inner.needs_input and written < wanted)
        return written


def _open_backend(module: ModuleType, window_bytes: int) -> Backend:
    log = min(max(WINDOW_LOG_LEAST, (window_bytes - 1).bit_length()), WINDOW_LOG_MOST)
    kind = PackageBackend if module.__name__ == _PACKAGE else StdlibBackend
    return kind(module, log)


def _matches(head: bytes) -> bool:
    skippable = len(head) >= 8 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"
    return head.startswith(b"\x28\xb5\x2f\xfd") or skippable


class ZstdDecoder(SteppedDecoder):
    """Frames one after the other, skippable ones among them, and behind the last the tail."""

    codec = "zstd"

    def __init__(
        self,
        limits: Limits,
        profile: Profile,
        backend: str | None = None,
        *,
        one_by_one: bool = False,
    ) -> None:
        module = import_backend(BACKENDS, backend)
        super().__init__(limits, profile, module.__name__)
        self._error: type[Exception] = module.ZstdError
        self._backend = _open_backend(module, limits.zstd_window_bytes)
        self._together = self._backend.takes_several and not one_by_one
        self._walker = FrameWalker(limits.zstd_window_bytes, limits.skippable_bytes, limits.members)
        self._given = self._declared = 0
        self._begun = (0, 0)
        self._late: Exception | None = None
        self._enter(ZstdDecoder._walk, "frame header")

    def _walk(self, room: memoryview) -> int:
        """Step: let the walker judge the next bytes, up to the end of a frame, and give them on."""
        if self._late is not None:
            raise self._late
        walker, start = self._walker, self._at
        at_border = walker.inside is None
        if at_border:
            if walker.frames and self._view[start] == 0:
                return self._begin_tail(room)
            self.restart = (self.stored, self.produced)
            self._declared = 0
        self._at += walker.walk(self._view, start)
        if at_border and self._together:
            self._walk_on()
        self._given = self._base + start
        self._backend.give(self._view[start : self._at])
        self._enter(ZstdDecoder._decode, walker.inside or "block")
        return self._decode(room)

    def _walk_on(self) -> None:
        """Take small frames behind the first one along: a seekable layer has one for each file.

        One at a time they cost 12 us each, and half of the time of reading such a layer.
        """
        walker, size = self._walker, len(self._view)
        while walker.inside is None and self._at < size and self._view[self._at]:
            if walker.content_size is None or self._declared + walker.content_size > CHUNK_BYTES:
                return
            self._declared += walker.content_size
            self._begun = self.stored, self.restart[1] + self._declared
            try:
                self._at += walker.walk(self._view, self._at)
            except (CompressedDataError, LimitExceeded) as error:
                self._late = error  # when what is before it has come out
                return

    def _decode(self, room: memoryview) -> int:
        """Step: drain what was given."""
        try:
            written = self._backend.readinto(room)
        except self._error as error:
            self._explain(error)
        self._pending = not self._backend.drained
        if not self._pending:
            if self._walker.inside is None:
                self._end_frame(self.produced + written - self.restart[1])
            if self._declared:
                self.restart, self._declared = self._begun, 0
            self._enter(ZstdDecoder._walk, self._walker.inside)
        return written

    def _end_frame(self, came: int) -> None:
        last = 0 if self._late is not None else self._walker.content_size
        if last is None:
            return
        declared = self._declared + last
        if declared != came:
            self._look_closer()
            self._fail(f"frame declares {declared} bytes, {came} came out", self.restart[0])

    def _explain(self, error: Exception) -> None:
        if self._declared:
            self._look_closer()
        reason = f"corrupt frame in the {self.stored - self._given} bytes from here: {error}"
        if self._walker.content_size is not None:
            reason += f" (declares {self._walker.content_size} bytes"
            reason += f", {self.produced - self.restart[1]} came out)"
        raise CompressedDataError(self.codec, self._given, reason) from error

    def _look_closer(self) -> None:
        """Of several frames that came together, say which one it was: decode them one by one."""
        closer = ZstdDecoder(self.limits, self.profile, self.backend, one_by_one=True)
        closer.feed(self._view[self._given - self._base : self._at])
        out = memoryview(bytearray(CHUNK_BYTES))
        try:
            while self._declared and not closer.needs_input:
                closer.readinto(out)
        except CompressedDataError as found:
            offset = self._given + (found.offset or 0)
            raise CompressedDataError(self.codec, offset, found.reason) from None

    def _begin_tail(self, room: memoryview) -> int:
        self._require_data()
        self._enter(ZstdDecoder._tail, None)
        return self._tail(room)

    def _require_data(self) -> None:
        if not self._walker.data_frames:
            self._fail("only skippable frames, nothing to decode")

    def finish(self) -> None:
        """State that the blob has ended."""
        super().finish()
        self._require_data()


CODEC: Final = Codec("zstd", _matches, ZstdDecoder, BACKENDS)
