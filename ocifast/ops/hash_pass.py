"""The one pass over one layer: read, inflate, parse, hash; each byte handled once, in its slot.

A task of the engine (`ocifast.engine.pipeline.Task`). Stored bytes go into a slot, from there to
the blob's lane and the decoder; what it gives goes into another slot, is parsed there, and goes to
the diff_id's lane. A layer that is not compressed has one lane: its digest is its diff_id.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser
from ocifast._native.tar_content import ContentDigests
from ocifast.codecs import open_decoder, sniff
from ocifast.errors import WorkerError
from ocifast.formats.tar import EntryTable
from ocifast.layer import Finding
from ocifast.limits import Limits
from ocifast.ops.expectation import Expectation
from ocifast.ops.source import DescriptorReader
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.media_type import layer_media_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed import ReadableBuffer

    from ocifast._native.arena import Arena
    from ocifast.codecs.base import Decoder
    from ocifast.limits import Profile
    from ocifast.ops.source import Reader

__all__ = ["HashPass", "memory_file"]


class HashPass:
    """Hash and parse one layer; `source` is a descriptor that is closed here, or a Reader.

    Of a descriptor, ``spec["window"]`` may name the part to read: [offset, size]. With a table,
    ``spec["contents"]`` asks for the digest of each file: ``beside`` while others hash the stream,
    or ``inline``, which hashes both together here. That takes less time in all, but cannot be
    shared with a worker that is idle.
    """

    def __init__(self, spec: Mapping[str, Any], source: int | Reader, arena: Arena) -> None:
        window = spec.get("window")
        self._reader = (
            DescriptorReader(source, window and tuple(window))
            if isinstance(source, int)
            else source
        )
        try:
            self._set_up(spec, arena)
        except BaseException:
            self._reader.close()
            raise

    def _set_up(self, spec: Mapping[str, Any], arena: Arena) -> None:
        self._arena = arena
        self._limits = Limits(**spec["limits"])
        self._profile: Profile = spec["profile"]
        self._expectation = Expectation(Descriptor(**spec["expected"]), self._profile)
        self._keep: bool = spec["table"]
        strict = self._profile == "strict"
        self._tar = TarParser(self._limits, strict=strict, keep=self._keep)
        self._everything = Sha256() if spec.get("contents") == "inline" else None
        self._contents: ContentDigests | None = None
        if self._keep and spec.get("contents"):
            self._contents = ContentDigests(self._tar, self._everything)
        self._codec = ""
        self._decoder: Decoder | None = None
        self._findings: list[Finding] = []
        self._slots: list[int] = []
        self._size = 0
        self._done = False
        if self._reader.size is not None:
            self._check_size(self._reader.size, final=True)
        self.lanes: tuple[int, ...] = ()
        self._blob_lane = self._tar_lane = self._open_lane()

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes read, and none written."""
        return self._size, 0

    @property
    def waiting(self) -> bool:
        """Never: it has no threads."""
        return False

    def _open_lane(self) -> int:
        lane = self._arena.open_lane(Sha256())
        if lane < 0:
            raise WorkerError("too many layers at once: the arena has no lane left")
        self.lanes += (lane,)
        return lane

    def step(self) -> bool:
        """Fill one slot; False when none is free or nothing is left."""
        if self._done:
            return False
        slot = self._arena.take()
        if slot < 0:
            return False
        self._slots.append(slot)
        if self._decoder is None or self._decoder.needs_input:
            self._read(slot)
        else:
            self._inflate(slot, self._decoder)
        return True

    def _read(self, slot: int) -> None:
        memory = self._arena.slot(slot)
        count = self._reader.readinto(memory)
        if count == 0:
            self._free(slot)
            self._end()
            return
        stored = memory[:count]
        if self._size == 0:
            self._begin(stored)
        self._size += count
        self._check_size(self._size, final=False)
        self._take_stored(stored)
        if self._decoder is None:
            self._take_tar(slot, stored)
            self._push_tar(slot, count)
            return
        self._decoder.feed(stored)
        self._hold(slot)
        self._push(self._blob_lane, slot, count)

    def _inflate(self, slot: int, decoder: Decoder) -> None:
        memory = self._arena.slot(slot)
        count = decoder.readinto(memory)
        if decoder.needs_input:  # the stored bytes before it are used up
            self._free(self._slots[0])
        if count == 0:
            self._free(slot)
            return
        self._take_tar(slot, memory[:count])
        self._push_tar(slot, count)

    def _check_size(self, size: int, *, final: bool) -> None:
        """Hold the bytes seen so far, or all of them, against what was promised."""
        self._expectation.check_size(size, final=final)

    def _take_stored(self, stored: memoryview) -> None:
        """Look at a piece of the blob; it is hashed afterwards."""

    def _take_tar(self, slot: int, tar: memoryview) -> None:  # noqa: ARG002 - for those who hold it
        """Look at a piece of the uncompressed stream in a slot; it is hashed afterwards."""
        self._tar.feed(tar)
        if self._contents is not None:
            self._contents.feed(tar)

    def _begin(self, head: memoryview) -> None:
        self._codec = sniff(bytes(head[:16]))
        finding = self._expectation.check_codec(self._codec)
        if finding is not None:
            self._findings.append(finding)
        if self._codec != "identity":
            self._decoder = open_decoder(self._codec, self._limits, self._profile)
            if self._everything is None:
                self._tar_lane = self._open_lane()

    def _end(self) -> None:
        self._done = True
        self._codec = self._codec or "identity"
        self._check_size(self._size, final=True)
        if self._decoder is not None:
            self._decoder.finish()
        self._tar.finish()
        self._reader.close()

    def _hold(self, slot: int) -> None:
        """The decoder reads on in a slot that is also being hashed."""
        self._arena.hold(slot)
        self._slots.append(slot)

    def _push(self, lane: int, slot: int, count: int) -> None:
        self._arena.push(lane, slot, count)
        self._slots.remove(slot)

    def _push_tar(self, slot: int, count: int) -> None:
        if self._everything is None:
            self._push(self._tar_lane, slot, count)
        else:  # it is hashed already
            self._free(slot)

    def _free(self, slot: int) -> None:
        self._slots.remove(slot)
        self._arena.release(slot)

    def finished(self) -> bool:
        """Whether everything is read and hashed."""
        return self._done and all(self._arena.idle(lane) for lane in self.lanes)

    def result(self) -> tuple[dict[str, Any], list[int]]:
        """Give the report as JSON; the table, and digests of contents, as memfds."""
        digests = self._close_lanes()
        if self._everything is not None:
            diff_id = Digest.of_sha256(self._everything.digest())
            if self._decoder is None:
                digests[self._blob_lane] = diff_id
        else:
            diff_id = digests[self._tar_lane]
        self._expectation.check_digest(digests[self._blob_lane])
        findings, total = self._found()
        payload = {
            "media_type": layer_media_type(self._codec),
            "digest": digests[self._blob_lane],
            "size": self._size,
            "diff_id": diff_id,
            "uncompressed_size": self._tar.offset,
            "entries": self._tar.entries,
            "finding_count": total,
            "findings": findings[: self._limits.findings],
        }
        return payload, self._tables() if self._keep else []

    def _close_lanes(self) -> dict[int, Digest]:
        digests = {
            lane: Digest.of_sha256(self._arena.close_lane(lane).digest()) for lane in self.lanes
        }
        self.lanes = ()
        return digests

    def _found(self) -> tuple[list[Finding], int]:
        findings, total = self._findings[:], len(self._findings) + self._tar.finding_count
        if self._decoder is not None:
            findings += [Finding(f.code, "blob", f.offset, f.text) for f in self._decoder.findings]
            total += self._decoder.findings_total
        findings += [
            Finding(code, "tar", offset, text) for code, offset, text in self._tar.findings()
        ]
        return findings, total

    def _tables(self) -> list[int]:
        """Put what is as long as the layer has entries into memfds: it is never copied as JSON."""
        contents = None if self._contents is None else self._contents.take()
        made = [memory_file("ocifast-table", EntryTable(*self._tar.take_table()).to_buffers())]
        if contents is not None:
            try:
                made.append(memory_file("ocifast-contents", (contents,)))
            except BaseException:
                os.close(made[0])
                raise
        return made

    def abandon(self) -> bool:
        """Give slots and lanes back; False while a lane is still being hashed by another worker."""
        self._done = True
        self._reader.close()
        for slot in self._slots[:]:
            self._free(slot)
        self.lanes = tuple(lane for lane in self.lanes if not self._arena.drop_lane(lane))
        return not self.lanes


def memory_file(name: str, parts: Iterable[ReadableBuffer]) -> int:
    """Put buffers where another process can map or read them; the descriptor is the caller's."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        for part in parts:
            left = memoryview(part).cast("B")
            while left:
                left = left[os.write(descriptor, left) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
