"""The one pass over a layer that becomes another blob: `HashPass`, and the tar goes to an encoder.

A task of the engine. Each piece of tar is parsed, given to the encoder and hashed where it lies;
what the encoder gives is copied into a slot once, written from there to the descriptor of the new
blob, and hashed in a lane of its own. Invariant: it only writes to the descriptor it was given;
whether the result becomes visible is decided by whoever gave it.
"""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ocifast.codecs.recipe import Recipe, open_encoder
from ocifast.errors import DiffIdMismatch
from ocifast.ops.hash_pass import HashPass
from ocifast.ops.read_back import ReadBack
from ocifast.ops.seekable import STORED_AS, open_seekable_encoder, tar_of
from ocifast.spec.media_type import layer_media_type
from ocifast.transports.pending_file import OUTPUT, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast._native.arena import Arena
    from ocifast.codecs.encoder import Encoder
    from ocifast.ops.source import Reader
    from ocifast.spec.digest import Digest

__all__ = ["ConvertPass"]

SYNC_BYTES: Final = 8 << 20
"""How much is written before the kernel is made to start writing it to disk (which this advice
does, beside dropping clean pages): syncing 700 MB at the end took 0.2 s, this way nothing."""


class ConvertPass(HashPass):
    """Verify one layer and write it anew; `source` is (what to read, descriptor to write).

    Besides what `HashPass` takes, the spec has ``diff_id`` (or None), ``recipe`` and ``threads``.
    What is made seekable is read back while it is written, and proven. Without a recipe the bytes
    are written as they are stored; and when there is nowhere to write them, the source being a
    descriptor or Reader alone, the layer is only verified.
    """

    def __init__(
        self, spec: Mapping[str, Any], source: int | Reader | tuple[int | Reader, int], arena: Arena
    ) -> None:
        reader, self._out = source if isinstance(source, tuple) else (source, -1)
        # what is no file, as standard output may be, is not for us to bring to a disk
        self._is_file = self._out >= 0 and stat.S_ISREG(os.fstat(self._out).st_mode)
        self._encoder: Encoder | None = None
        self._piece = memoryview(b"")
        self._written = self._synced = 0
        self._out_lane = self._back_lane = -1
        self._back: ReadBack | None = None
        self._diff_id: str | None = spec["diff_id"]
        try:
            super().__init__(spec, reader, arena)
        except BaseException:
            self._close()
            raise
        try:
            if spec["recipe"] is not None:
                self._open_encoder(spec, arena)
        except BaseException:
            self.abandon()
            raise

    def _open_encoder(self, spec: Mapping[str, Any], arena: Arena) -> None:
        self._recipe = Recipe.from_dict(spec["recipe"])
        self._out_lane = self._open_lane()
        stored_as = STORED_AS.get(self._recipe.codec)
        if stored_as is not None:
            self._back_lane = self._open_lane()
            self._back = ReadBack(self._out, stored_as, arena, self._back_lane)
        make = open_encoder if stored_as is None else open_seekable_encoder
        self._encoder = make(self._recipe, spec["threads"], arena.wake)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes read and written so far."""
        return self._size, self._written

    @property
    def waiting(self) -> bool:
        """Whether the encoder's threads are at work; they ring the arena's bell."""
        return self._encoder is not None and not self._encoder.done

    def step(self) -> bool:
        """Write out what the encoder has, or give it more; False when neither can be done now."""
        if self._encoder is None:
            return super().step()
        if self._piece or self._take():
            return self._write()
        if not self._encoder.full and super().step():
            return True
        return self._back is not None and self._back.step(self._written)

    def _take(self) -> bool:
        """Whether there is a piece of output to be written."""
        assert self._encoder is not None
        self._piece = memoryview(self._encoder.take() or b"")
        return bool(self._piece)

    def _write(self) -> bool:
        """Move output into a slot (the one copy of it), from there to the file and its lane."""
        slot = self._arena.take()
        if slot < 0:
            return False
        self._slots.append(slot)
        memory = self._arena.slot(slot)
        filled = 0
        while filled < len(memory) and (self._piece or self._take()):
            count = min(len(memory) - filled, len(self._piece))
            memory[filled : filled + count] = self._piece[:count]
            self._piece = self._piece[count:]
            filled += count
        self._put(memory[:filled])
        self._push(self._out_lane, slot, filled)
        return True

    def _take_stored(self, stored: memoryview) -> None:
        if self._encoder is None and self._out >= 0:
            self._put(stored)

    def _put(self, data: memoryview) -> None:
        with named(OUTPUT):
            while data:
                count = os.write(self._out, data)
                data = data[count:]
                self._written += count
        unsynced = self._written - self._synced
        if unsynced >= SYNC_BYTES and self._is_file:
            os.posix_fadvise(self._out, self._synced, unsynced, os.POSIX_FADV_DONTNEED)
            self._synced = self._written

    def _take_tar(self, slot: int, tar: memoryview) -> None:
        super()._take_tar(slot, tar)
        if self._encoder is not None:
            self._arena.hold(slot)
            if not self._encoder.feed(tar, partial(self._arena.release, slot)):
                self._arena.release(slot)

    def _end(self) -> None:
        super()._end()
        if self._encoder is not None:
            self._encoder.finish()

    def finished(self) -> bool:
        """Whether everything is read, hashed and written."""
        if self._encoder is not None and (self._piece or not self._encoder.done):
            return False
        if self._back is not None and not self._back.is_at(self._written):
            return False
        return super().finished()

    def _close_lanes(self) -> dict[int, Digest]:
        digests = super()._close_lanes()
        self._digest = digests.get(self._out_lane)
        self._back_digest = digests.get(self._back_lane)
        return digests

    def result(self) -> tuple[dict[str, Any], list[int]]:
        """Give the report on what was read, and what was written, which is on disk then."""
        descriptors: list[int] = []
        try:
            payload, descriptors = super().result()
            self._check_diff_id(payload["diff_id"])
            return {"read": payload, "written": self._report(payload)}, descriptors
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        finally:
            self._close()

    def _check_diff_id(self, diff_id: str) -> None:
        if self._diff_id is not None and diff_id != self._diff_id:
            raise DiffIdMismatch(self._diff_id, diff_id)

    def _report(self, read: dict[str, Any]) -> dict[str, Any] | None:
        if self._out < 0:
            return None
        if self._is_file:
            with named(OUTPUT):
                os.fdatasync(self._out)
        if self._encoder is None:
            return {**read, "recipe": None}
        codec = self._recipe.codec
        tar = tar_of(self._encoder, read["entries"])
        annotations = getattr(self._encoder, "annotations", {})
        if self._back is not None:
            diff_id = tar.get("diff_id", read["diff_id"])
            self._back.check(str(self._back_digest), diff_id, annotations)
        return {
            "digest": self._digest,
            "size": self._written,
            "media_type": layer_media_type(STORED_AS.get(codec, codec)),
            "recipe": self._recipe.identity,
            "annotations": annotations,
            "tar": tar,
        }

    def abandon(self) -> bool:
        """Give everything back; False while a lane is still being hashed by another worker."""
        self._close()
        return super().abandon()

    def _close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
        if self._back is not None:
            self._back.close()
        if self._out >= 0:
            out, self._out = self._out, -1
            os.close(out)
