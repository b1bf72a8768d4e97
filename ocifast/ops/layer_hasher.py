"""LayerHasher: the push form of hashing, for registries that see an upload in pieces.

It works in the calling thread and process: no fork, no thread, no file; each buffer costs one call
without the GIL for hashing and parsing, and what the codec's library needs. Memory is bounded by
the limits, whatever the buffers' sizes. Invariant: after an exception the hasher is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast._native.scan import scan
from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser
from ocifast.codecs import SNIFF_BYTES, open_decoder, sniff
from ocifast.errors import (
    CompressedDataError,
    FormatError,
    LimitExceeded,
    StateError,
    VerificationError,
)
from ocifast.formats.tar import EntryTable
from ocifast.layer import Finding, LayerReport
from ocifast.limits import DEFAULT_LIMITS, Limits, Profile
from ocifast.ops.expectation import Expectation
from ocifast.ops.layer_state import LayerState
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.media_type import layer_media_type

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from ocifast.codecs import Decoder

__all__ = ["LayerHasher"]

PIECE_BYTES: Final = 128 << 10
OUT_BYTES: Final = 256 << 10
RESTART_STEP_BYTES: Final = 1 << 20
"""Restart points closer than this are not remembered: each costs hashing part of a piece twice."""


class Restart(NamedTuple):
    """A place where decoding can start afresh, and all that lies before it."""

    stored: int
    produced: int
    blob: Sha256
    findings: tuple[Finding, ...] = ()
    finding_count: int = 0


class LayerHasher:
    """Hash a layer while it arrives: `update()` with each buffer, then `finish()`.

    `profile` is ``strict`` by default, being the gate of an upload. `expected` makes it fail as
    soon as the size or the media type cannot match, and at the end when the digest does not. With
    `table` the report has the entry table. Not for use by two threads at once.

    Example:
        >>> hasher = LayerHasher()
        >>> hasher.update(bytes(512))
        >>> hasher = LayerHasher.from_state(hasher.state())
        >>> hasher.update(bytes(512))
        >>> hasher.finish().diff_id[:15]
        'sha256:5f70bf18'
    """

    def __init__(
        self,
        *,
        profile: Profile = "strict",
        limits: Limits = DEFAULT_LIMITS,
        expected: Descriptor | None = None,
        table: bool = False,
    ) -> None:
        self._profile: Profile = profile
        self._limits = limits
        self._expectation = Expectation(expected or Descriptor(), profile)
        self._table = table
        self._tar = TarParser(limits, strict=profile == "strict", keep=table)
        self._blob, self._diff = Sha256(), Sha256()
        self._codec = ""
        self._decoder: Decoder | None = None
        self._head = b""
        # Besides those of decoder and parser: of the media type, and from before `_origin`.
        self._findings: list[Finding] = []
        self._finding_count = 0
        self._out = memoryview(b"")
        self._offset = 0
        self._open = True
        self._restart = self._candidate = Restart(0, 0, self._blob.copy())
        # While bytes are fed again after from_state(): where it ends, and the hash there.
        self._replay_end = 0
        self._replay_hash = b""
        self._skip = 0
        self._origin = (0, 0)

    @property
    def offset(self) -> int:
        """Offset in the blob of the next byte to give to update()."""
        return self._offset

    def update(self, data: ReadableBuffer) -> None:
        """Take the next bytes of the blob, any number of them.

        Raises:
            TarError, CompressedDataError, LimitExceeded: The layer is malformed or refused.
            SizeMismatch: It is longer than expected.
            VerificationError: Bytes given again after from_state() are not the ones from before.
        """
        view = memoryview(data).cast("B")
        self._enter()
        self._expectation.check_size(self._offset + len(view), final=False)
        again = self._replay_end - self._offset
        try:
            if again > 0:
                self._replay(view[:again])
                view = view[again:]
            self._absorb(view)
        except BaseException:
            self._decoder = None  # it still borrows the buffer, which is the caller's again
            raise
        self._open = True

    def finish(self) -> LayerReport:
        """State that the blob has ended, and give the report; its `path` is empty.

        Raises what update() raises, and SizeMismatch or DigestMismatch.
        """
        self._enter()
        if self._offset < self._replay_end:
            raise StateError(f"bytes up to offset {self._replay_end} must be given again first")
        if not self._codec and self._head:
            self._begin(self._head)
        self._expectation.check_size(self._offset, final=True)
        if self._decoder is not None:
            self._decoder.finish()
        self._tar.finish()
        digest = Digest.of_sha256(self._blob.digest())
        self._expectation.check_digest(digest)
        plain = self._decoder is None
        return LayerReport(
            path="",
            media_type=layer_media_type(self._codec or "identity"),
            digest=digest,
            size=self._offset,
            diff_id=digest if plain else Digest.of_sha256(self._diff.digest()),
            uncompressed_size=self._tar.offset,
            entries=self._tar.entries,
            table=EntryTable(*self._tar.take_table()) if self._table else None,
            **self._found(),
        )

    def _found(self) -> dict[str, Any]:
        blob, count = self._found_in_blob()
        tar = [Finding(code, "tar", at, text) for code, at, text in self._tar.findings()]
        return {
            "finding_count": count + self._tar.finding_count,
            "findings": tuple((blob + tar)[: self._limits.findings]),
        }

    def _found_in_blob(self) -> tuple[list[Finding], int]:
        findings, count = self._findings[:], self._finding_count
        if self._decoder is not None:
            for code, at, text in self._decoder.findings:
                findings.append(Finding(code, "blob", at + self._origin[0], text))
            count += self._decoder.findings_total
        return findings, count

    def _enter(self) -> None:
        """Close until the call has gone well: a failure anywhere leaves the hasher dead."""
        if not self._open:
            raise StateError("the layer hasher is finished or has failed")
        self._open = False

    def _absorb(self, view: memoryview) -> None:
        if not self._codec:
            view = self._sniff(view)
        if self._codec == "identity":
            scan(self._tar, self._blob, view)
            self._offset += len(view)
        elif self._codec:
            for at in range(0, len(view), PIECE_BYTES):
                self._inflate(view[at : at + PIECE_BYTES])

    def _sniff(self, view: memoryview) -> memoryview:
        """Hold back the first bytes until they tell the codec; gives the bytes behind them."""
        missing = SNIFF_BYTES - len(self._head)
        self._head += bytes(view[:missing])
        if len(self._head) == SNIFF_BYTES:
            self._begin(self._head)
        else:
            self._offset += len(view)
        return view[missing:]

    def _begin(self, head: bytes) -> None:
        self._codec = sniff(head)
        self._check_codec()
        self._open_decoder()
        self._offset, self._head = 0, b""
        self._absorb(memoryview(head))

    def _check_codec(self) -> None:
        finding = self._expectation.check_codec(self._codec)
        if finding is not None and finding not in self._findings:
            self._findings.append(finding)
            self._finding_count += 1

    def _open_decoder(self) -> None:
        if self._codec != "identity":
            self._decoder = open_decoder(self._codec, self._limits, self._profile)
            self._out = memoryview(bytearray(OUT_BYTES))

    def _inflate(self, piece: memoryview) -> None:
        decoder, start, before = self._decoder, self._offset, self._blob.copy()
        assert decoder is not None
        stored: memoryview | None = piece
        try:
            decoder.feed(piece)
            while not decoder.needs_input:
                count = decoder.readinto(self._out)
                skip = min(count, self._skip)
                self._skip -= skip
                if count > skip:
                    scan(self._tar, self._diff, self._out[skip:count], self._blob, stored)
                    stored = None
        except CompressedDataError as error:
            raise CompressedDataError(
                error.codec, error.offset + self._origin[0], error.reason
            ) from None
        if stored is not None:
            self._blob.update(stored)
        self._offset += len(piece)
        self._remember(piece, start, before)

    def _remember(self, piece: memoryview, start: int, before: Sha256) -> None:
        """Note the latest place where decoding can start afresh, and the blob's hash up to it.

        Only once something has come out behind it: a decoder that starts at zstd's skippable
        frames, of which a blob's last ones may be, would find nothing to decode.
        """
        assert self._decoder is not None
        stored, produced = self._decoder.restart
        at = stored + self._origin[0]
        self._advance_restart(produced)
        if at >= start and at > self._candidate.stored:
            before.update(piece[: at - start])
            findings, count = self._found_in_blob()
            kept = tuple(each for each in findings if each.offset < at)
            count -= len(findings) - len(kept)
            self._candidate = Restart(at, produced + self._origin[1], before, kept, count)
        self._advance_restart(self._decoder.produced)

    def _advance_restart(self, produced: int) -> None:
        far = self._candidate.stored - self._restart.stored >= RESTART_STEP_BYTES
        if far and produced + self._origin[1] > self._candidate.produced:
            self._restart = self._candidate

    def _replay(self, view: memoryview) -> None:
        """Decode bytes a second time; they must be the ones from before."""
        try:
            self._absorb(view)
        except (FormatError, LimitExceeded) as error:
            msg = f"the bytes given again do not decode as before: {error}"
            raise VerificationError(msg) from error
        if self._offset == self._replay_end and self._blob.state() != self._replay_hash:
            raise VerificationError("the bytes given again are not those the state was made from")

    def state(self) -> bytes:
        """Everything needed to go on with this upload in another process, later.

        An uncompressed layer goes on at `offset`. Of a compressed one the decoder cannot be saved;
        what is saved is the place where decoding can start afresh (the last gzip member or zstd
        frame at least 1 MiB behind the one before, often 0), so the hasher made of the state asks,
        by its `offset`, for the bytes from there on again: they are decoded, compared by hash, and
        not parsed twice. Size: 2 KiB, the findings, 8 bytes for each path and folder (at most
        32 MB at the default limits), headers in flight (at most `limits.metadata_bytes` three
        times over), and the table, if one is kept. It is checked against corruption, not signed:
        keep it where only you can write.

        Raises:
            StateError: The hasher is finished, or is being given bytes again.
        """
        if not self._open or self._offset < self._replay_end:
            raise StateError("the layer hasher has no state to save: finished, failed or replaying")
        restart = self._restart
        if self._decoder is None:
            findings, count = tuple(self._findings), self._finding_count
            restart = Restart(self._offset, self._tar.offset, self._blob, findings, count)
        return LayerState(
            profile=self._profile,
            table=self._table,
            codec=self._codec,
            head=self._head,
            offset=self._offset,
            restart=(restart.stored, restart.produced),
            findings=restart.findings,
            finding_count=restart.finding_count,
            blob=self._blob,
            at_restart=restart.blob,
            diff=self._diff,
            tar=self._tar,
        ).to_bytes()

    @classmethod
    def from_state(
        cls,
        state: ReadableBuffer,
        *,
        limits: Limits = DEFAULT_LIMITS,
        expected: Descriptor | None = None,
    ) -> LayerHasher:
        """Make the hasher that goes on where `state()` was called; look at `offset` next.

        Raises:
            FormatError: It is not a state, is damaged, or is of another version.
            CompressedDataError: The layer begun is not of the expected media type (strict).
        """
        saved = LayerState.from_bytes(bytes(state), limits)
        hasher = cls(profile=saved.profile, limits=limits, expected=expected, table=saved.table)
        hasher._restore(saved)
        return hasher

    def _restore(self, saved: LayerState) -> None:
        self._tar, self._diff = saved.tar, saved.diff
        self._codec, self._head = saved.codec, saved.head
        self._findings, self._finding_count = list(saved.findings), saved.finding_count
        if not saved.codec or saved.codec == "identity":
            self._blob, self._offset = saved.blob, saved.offset
        else:
            stored, produced = self._origin = saved.restart
            self._open_decoder()
            self._blob, self._offset = saved.at_restart, stored
            self._restart = self._candidate = Restart(
                stored, produced, saved.at_restart.copy(), saved.findings, saved.finding_count
            )
            self._skip = saved.tar.offset - produced
            self._replay_end, self._replay_hash = saved.offset, saved.blob.state()
        if saved.codec:
            self._check_codec()
