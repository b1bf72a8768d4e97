"""What a codec is, and the skeleton its decoder hangs on.

A codec is one file with one `Codec` value in it, and one line in the table of `ocifast.codecs`.
It knows how bytes are squeezed; it does not know files, tar, or media types. Sniffing contract: the
decision is made on the first `SNIFF_BYTES` of a blob (all of it, when it is shorter), by bytes
alone, and is the same however many more bytes are shown.

Invariant: a decoder borrows one piece of input at a time, writes only into the caller's buffer and
owns a bounded amount of memory, so the caller alone decides how far a hostile blob may inflate
before the next look at it.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Protocol

from ocifast.errors import CompressedDataError, KernelUnavailable, LimitExceeded, StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from _typeshed import ReadableBuffer

    from ocifast.limits import Limits, Profile

__all__ = ["SNIFF_BYTES", "Codec", "Decoder", "Finding", "SteppedDecoder", "import_backend"]

SNIFF_BYTES: Final = 10


class Finding(NamedTuple):
    """An oddity that was tolerated: stable name, offset in the blob, sentence for a person."""

    code: str
    offset: int
    text: str


class Decoder(Protocol):
    """Push-style decompressor of one blob, without I/O.

    Feed a piece when `needs_input`, drain it with `readinto` until that returns 0 (or `needs_input`
    turns True), feed the next, and `finish` when the blob has ended. After an exception the decoder
    is dead. The fed buffer must not change until it is drained.
    """

    needs_input: bool
    findings: list[Finding]
    """Oddities tolerated, up to `Limits.findings` of them; `findings_total` counts on."""
    findings_total: int
    produced: int
    """Bytes of output so far."""
    restart: tuple[int, int]
    """(stored, produced) at the start of the current member or frame: a new decoder fed from there
    yields the output from there, so an interrupted stream resumes by replaying at most one."""

    @property
    def stored(self) -> int:
        """Bytes of the blob consumed so far."""

    @property
    def backend(self) -> str:
        """Name of the module that does the work."""

    def feed(self, data: ReadableBuffer) -> None:
        """Borrow the next piece of the blob."""

    def readinto(self, out: memoryview) -> int:
        """Decompress into `out` as far as the fed piece allows; 0 asks for the next piece."""

    def finish(self) -> None:
        """State that the blob has ended.

        Raises:
            CompressedDataError: It must not end here.
        """


@dataclass(frozen=True, slots=True)
class Codec:
    """One row of the table."""

    name: str
    matches: Callable[[bytes], bool]
    """Whether a blob that begins with these bytes is of this codec."""
    open: Callable[[Limits, Profile, str | None], Decoder]
    """Make a decoder; the string demands a backend by name."""
    backends: tuple[str, ...] = ()
    """Modules that can do the work, best first; empty when none is needed."""


def import_backend(candidates: tuple[str, ...], demanded: str | None) -> ModuleType:
    """Import the first module of `candidates` there is, or exactly the demanded one.

    Imported late because `isal` and `zstandard` take 9 and 15 ms.

    Raises:
        KernelUnavailable: The demanded module is not a candidate or not installed.
    """
    reason = "not one of the modules that can do this"
    for name in candidates:
        if demanded in (None, name):
            try:
                return importlib.import_module(name)
            except ImportError:
                reason = "not installed"
    raise KernelUnavailable(demanded or candidates[0], reason, ", ".join(candidates))


class SteppedDecoder:
    """Skeleton of a decoder: input piece, budget, findings, NUL tail. A codec adds its steps.

    A step is a plain function `(decoder, room) -> bytes written`; it takes input by moving `_at`,
    sets `_pending` while output may come without further input, and moves on with `_enter`.
    """

    codec = "?"

    def __init__(self, limits: Limits, profile: Profile, backend: str) -> None:
        self.limits = limits
        self.profile = profile
        self.backend = backend
        self.needs_input = True
        self.findings: list[Finding] = []
        self.findings_total = 0
        self.produced = 0
        self.restart = (0, 0)
        self._view = memoryview(b"")
        self._at = 0
        self._base = 0
        self._pending = False
        self._tail_bytes = 0
        # A function, not a bound method: that would be a cycle keeping 87 KB alive until gc runs.
        self._step: Callable[[Any, memoryview], int] = SteppedDecoder._refuse
        self._inside: str | None = None

    @property
    def stored(self) -> int:
        """Bytes of the blob consumed so far."""
        return self._base + self._at

    def feed(self, data: ReadableBuffer) -> None:
        """Borrow the next piece of the blob."""
        if not self.needs_input:
            raise StateError("feed() before the last piece was drained")
        if self._step is SteppedDecoder._refuse:
            self._refuse(self._view)
        view = memoryview(data).cast("B")
        if len(view):
            self._view = view
            self.needs_input = False

    def readinto(self, out: memoryview) -> int:
        """Decompress into `out` as far as the fed piece allows; 0 asks for the next piece."""
        filled = 0
        try:
            while not self.needs_input and filled < len(out):
                filled += self._advance(out[filled:])
        except LimitExceeded as error:
            self._enter(SteppedDecoder._refuse, None)
            raise error.at(self.codec, self.stored) from None
        except BaseException:
            self._enter(SteppedDecoder._refuse, None)
            raise
        return filled

    def finish(self) -> None:
        """State that the blob has ended."""
        if not self.needs_input:
            raise StateError("finish() before the last piece was drained")
        if self._step is SteppedDecoder._refuse:
            self._refuse(self._view)
        inside, self._step = self._inside, SteppedDecoder._refuse
        if inside is not None:
            self._fail(f"truncated inside {inside}" if self.stored else "empty, nothing to decode")
        if self._tail_bytes:
            text = f"{self._tail_bytes} NUL bytes after the end of the compressed data"
            self._find("nul-tail", self.stored - self._tail_bytes, text)

    def _advance(self, room: memoryview) -> int:
        """Take one step and hold its output against the limits."""
        # One byte more than may come out, so that the excess is seen, and always at the same byte.
        written = self._step(self, room[: self.limits.output_bytes + 1 - self.produced])
        if written:
            self._charge(written)
        if not self._pending and self._at == len(self._view):
            self._base += self._at
            self._view, self._at = memoryview(b""), 0
            self.needs_input = True
        return written

    def _charge(self, written: int) -> None:
        limits = self.limits
        self.produced += written
        if self.produced > limits.output_bytes:
            raise LimitExceeded("output_bytes", limits.output_bytes, self.produced)
        if self.produced > max(limits.ratio_grace_bytes, limits.ratio * self.stored):
            raise LimitExceeded("ratio", limits.ratio, -(-self.produced // self.stored))

    def _enter(self, step: Callable[[Any, memoryview], int], inside: str | None) -> None:
        """Go on with `step`; `inside` names what may not be cut off now, None where all may end."""
        self._step, self._inside = step, inside

    def _fail(self, reason: str, offset: int | None = None) -> NoReturn:
        raise CompressedDataError(self.codec, self.stored if offset is None else offset, reason)

    def _find(self, code: str, offset: int, text: str) -> None:
        self.findings_total += 1
        if len(self.findings) < self.limits.findings:
            self.findings.append(Finding(code, offset, text))

    def _tail(self, _room: memoryview) -> int:
        """Step: behind the compressed data, where only NULs and only in compat may follow."""
        limit = self.limits.nul_tail_bytes
        if self.profile == "strict":
            self._fail("bytes follow the end of the compressed data")
        piece = bytes(self._view[self._at : self._at + limit + 1 - self._tail_bytes])
        nuls = len(piece) - len(piece.lstrip(b"\0"))
        self._at += nuls
        self._tail_bytes += nuls
        if self._tail_bytes > limit:
            raise LimitExceeded("nul_tail_bytes", limit, self._tail_bytes)
        if nuls < len(piece):
            self._fail("bytes other than NUL follow the NULs after the compressed data")
        return 0

    def _refuse(self, _room: memoryview) -> int:
        """Step: the decoder has failed or is finished."""
        raise StateError("the decoder has failed or was finished")
