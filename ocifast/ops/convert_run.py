"""The layers of a run through the engine: each once, longest first, published and noted.

It knows the order of things and nothing of images: what a layer becomes is `ConvertPass`'s, where
it goes the store's. Invariant: a blob is on disk under its name before the journal speaks of it,
and the journal has it before anybody is told that the layer is settled.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ocifast.engine.plan import CAPACITY, Job, encoder_threads
from ocifast.errors import OcifastError
from ocifast.ops.archive_stream import open_stream
from ocifast.ops.conversion import ConvertedLayer
from ocifast.ops.journal import Fact
from ocifast.ops.progress import LayerAdvanced, LayerFinished, LayerStarted
from ocifast.ops.seekable import STORED_AS
from ocifast.spec.media_type import codec_of
from ocifast.transports.pending_file import OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ocifast.codecs.recipe import Recipe
    from ocifast.engine import Engine
    from ocifast.engine.pipeline import Outcome
    from ocifast.limits import Limits, Profile
    from ocifast.ops.blob_places import BlobPlaces
    from ocifast.ops.journal import Journal
    from ocifast.ops.layer_work import LayerWork
    from ocifast.ops.progress import Event
    from ocifast.ops.source import Reader
    from ocifast.transports.blob_store import PendingBlob

__all__ = ["LayerRun"]

TASK: Final = "ocifast.ops.convert_pass:ConvertPass"
OPAQUE_TASK: Final = "ocifast.ops.blob_pass:BlobPass"
KEPT: Final = "kept"
"""What stands for a recipe in the journal where bytes stay what they are."""


class LayerRun:
    """Does layer works over an engine and puts their blobs into a store.

    `settled` is told of each work when it is done or has failed for good.
    """

    def __init__(  # noqa: PLR0913 - what a run consists of, by keyword
        self,
        *,
        engine: Engine,
        store: BlobPlaces,
        journal: Journal,
        recipe: Recipe | None,
        profile: Profile,
        limits: Limits,
        tell: Callable[[Event], object],
    ) -> None:
        self._engine = engine
        self._store = store
        self._journal = journal
        self._recipe = recipe
        self._profile = profile
        self._limits = limits
        self._tell = tell
        self._pending: dict[int, PendingBlob] = {}
        self._began: dict[int, float] = {}
        self.bytes_read = 0
        self.bytes_written = 0

    def resume(self, work: LayerWork) -> bool:
        """Whether an earlier run has done it; the work is done then."""
        fact = self._journal.find(work.key, self._recipe_name(work))
        if fact is None or not self._fits(fact, work):
            return False
        work.done = ConvertedLayer(
            diff_id=fact.diff_id,
            source_digest=fact.source_digest,
            source_size=fact.source_size,
            uncompressed_size=fact.uncompressed_size,
            media_type=fact.media_type,
            digest=fact.digest,
            size=fact.size,
            recipe=None if fact.recipe == KEPT else fact.recipe,
            how="resumed",
            seconds=0.0,
            source_diff_id=fact.source_diff_id,
            annotations=fact.annotations,
        )
        return True

    def _fits(self, fact: Fact, work: LayerWork) -> bool:
        """Whether its blob is there, and of the codec wanted now: one that was kept may not be."""
        if not work.opaque and self._recipe is not None:
            codec = self._recipe.codec
            if codec_of(fact.media_type) != STORED_AS.get(codec, codec):
                return False
        return self._store.has(fact.digest, fact.size)

    def _recipe_name(self, work: LayerWork) -> str:
        return self._recipe.identity if work.encode and self._recipe is not None else KEPT

    def run(self, works: Iterable[LayerWork], settled: Callable[[LayerWork], object]) -> None:
        """Do the works, longest first; a copy that turns out bad is made up for by the next.

        Raises:
            WorkerCrashed, OSError: The run as a whole cannot go on.
        """
        left = [work for work in works if not work.settled]
        while left:
            again = []
            for work in self._round(left):
                if work.error is not None and work.has_another_copy:
                    work.next_copy()
                    again.append(work)
                else:
                    settled(work)
            left = again

    def _round(self, works: list[LayerWork]) -> Iterator[LayerWork]:
        """Try the next copy of each work; those in streams come last, an archive at a time."""
        streams: dict[str, list[LayerWork]] = {}
        for work in works:
            if work.copy.location.open is None:
                streams.setdefault(work.copy.store, []).append(work)
        yield from self._engine_round([w for w in works if w.copy.location.open is not None])
        for path, group in streams.items():
            yield from self._stream_round(path, group)

    def _engine_round(self, works: list[LayerWork]) -> Iterator[LayerWork]:
        total = sum(work.cost for work in works)
        jobs = [self._job(index, work, total) for index, work in enumerate(works)]
        yield from self._do(works, jobs)

    def _stream_round(self, path: str, works: list[LayerWork]) -> Iterator[LayerWork]:
        by_offset = {work.copy.location.offset: work for work in works}
        try:
            with contextlib.closing(open_stream(path, self._limits, self._profile)) as stream:
                for member in stream:
                    work = by_offset.pop(member.entry.payload_offset, None)
                    if work is not None:
                        yield from self.run_member(work, member.reader)
        except (OcifastError, OSError) as error:
            for work in by_offset.values():
                work.error = _named(error, work)
        yield from by_offset.values()

    def run_met(self, work: LayerWork, reader: Reader) -> None:
        """Do a work that comes by only once, before it is known whether anybody needs it."""
        for _ in self.run_member(work, reader):
            pass

    def run_member(self, work: LayerWork, reader: Reader) -> Iterator[LayerWork]:
        """Do a work whose bytes come by in a stream right now, in this process."""
        yield from self._do([work], [self._job(0, work, work.cost, reader)])

    def _do(self, works: list[LayerWork], jobs: list[Job]) -> Iterator[LayerWork]:
        try:
            with contextlib.closing(self._engine.run(jobs, self._listen(works))) as outcomes:
                for outcome in outcomes:
                    work = works[outcome.job]
                    self._settle(work, outcome)
                    yield work
        finally:
            for pending in self._pending.values():
                pending.close()
            self._pending.clear()

    def _listen(self, works: list[LayerWork]) -> Callable[[int, int, int], object]:
        return lambda index, done, written: self._tell(
            LayerAdvanced(works[index].key, done, written)
        )

    def _job(self, index: int, work: LayerWork, total: float, reader: Reader | None = None) -> Job:
        copy = work.copy
        promised = copy.layer.descriptor
        spec = {
            "limits": asdict(self._limits),
            "profile": self._profile,
            "table": False,
            "expected": {
                "media_type": promised.media_type if self._profile == "strict" else None,
                "digest": promised.digest,
                "size": promised.size,
            },
            "diff_id": copy.layer.diff_id,
            "window": None if reader else [copy.location.offset, copy.location.size],
            "recipe": self._recipe.to_dict() if work.encode and self._recipe else None,
            "threads": encoder_threads(self._engine.workers, work.cost, total),
        }
        task = OPAQUE_TASK if work.opaque else TASK
        weight = CAPACITY if work.encode or copy.codec != "identity" else 1
        return Job(
            index,
            task,
            spec,
            lambda: self._open(index, work, reader),
            work.cost,
            weight,
            local=reader is not None,
        )

    def _open(self, index: int, work: LayerWork, reader: Reader | None) -> object:
        """Open a work's bytes, and what is to be written unless those can be linked."""
        location = work.copy.location
        self._began[index] = time.monotonic()
        self._tell(LayerStarted(work.key, work.copy.store, location.size))
        if reader is not None:
            return reader, self._new_blob(index)
        assert location.open is not None
        source = location.open()
        if not work.encode:
            return source
        try:
            return source, self._new_blob(index)
        except BaseException:
            os.close(source)
            raise

    def _new_blob(self, index: int) -> int:
        self._pending[index] = pending = self._store.pending()
        return os.dup(pending.descriptor)

    def _settle(self, work: LayerWork, outcome: Outcome) -> None:
        seconds = time.monotonic() - self._began.pop(outcome.job, time.monotonic())
        pending = self._pending.pop(outcome.job, None)
        try:
            if outcome.error is not None:
                raise outcome.error
            work.done = self._publish(work, outcome.payload, pending, seconds)
        except (OcifastError, OSError) as error:
            self._blame(error, work, pending)
        finally:
            if pending is not None:
                pending.close()
        written = work.done.size if work.done else 0
        message = str(work.error) if work.error else None
        self._tell(LayerFinished(work.key, work.size, written, seconds, message))

    def _blame(
        self, error: OcifastError | OSError, work: LayerWork, pending: PendingBlob | None
    ) -> None:
        """Give a work up; where writing has failed, another copy to read from is no help."""
        if isinstance(error, OSError):
            if error.filename == OUTPUT and pending is not None:
                error.filename = pending.path
            work.final = str(error.filename).startswith(self._store.root)
        work.error = _named(error, work)

    def _publish(
        self, work: LayerWork, payload: dict[str, Any], pending: PendingBlob | None, seconds: float
    ) -> ConvertedLayer:
        read, written = payload["read"], payload["written"]
        self.bytes_read += read["size"]
        annotations: Mapping[str, str] = {}
        tar = read
        if written is None:
            how = self._store.keep(work.copy.location, read["digest"], read["size"])
            written = {
                "digest": read["digest"],
                "size": read["size"],
                "media_type": self._kept_type(work, read),
                "recipe": None,
            }
        else:
            assert pending is not None
            how = "copied" if written["recipe"] is None else "compressed"
            self._store.publish(pending, written["digest"], written["size"])
            self.bytes_written += written["size"]
            annotations = written.get("annotations", {})
            tar = read | written.get("tar", {})
        done = ConvertedLayer(
            diff_id=tar["diff_id"],
            source_digest=read["digest"],
            source_size=read["size"],
            uncompressed_size=tar["uncompressed_size"],
            media_type=written["media_type"],
            digest=written["digest"],
            size=written["size"],
            recipe=written["recipe"],
            how=how,
            seconds=seconds,
            findings=(*work.damages, *(finding[3] for finding in read["findings"])),
            source_diff_id=read["diff_id"],
            annotations=annotations,
        )
        self._note(work, done)
        return done

    def _kept_type(self, work: LayerWork, read: dict[str, Any]) -> str:
        if work.opaque:
            return work.copy.layer.descriptor.media_type or "application/octet-stream"
        return str(read["media_type"])

    def _note(self, work: LayerWork, done: ConvertedLayer) -> None:
        self._journal.add(
            Fact(
                key=work.key,
                recipe=done.recipe or KEPT,
                digest=done.digest,
                size=done.size,
                media_type=done.media_type,
                diff_id=done.diff_id,
                uncompressed_size=done.uncompressed_size,
                source_digest=str(done.source_digest),
                source_size=done.source_size,
                source_diff_id=str(done.source_diff_id),
                annotations=dict(done.annotations),
            )
        )


def _named(error: BaseException, work: LayerWork) -> BaseException:
    """Say of which layer of which archive an error speaks."""
    error.add_note(f"layer {work.copy.layer.name} of {work.copy.store}")
    return error
