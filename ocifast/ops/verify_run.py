"""The blobs of a verification through the engine, longest first; those of a stream as they come by.

It establishes facts and judges nothing. *Invariant:* no byte is read twice: what has passed by in a
stream is known by its place when it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from ocifast.codecs import SNIFF_BYTES, sniff
from ocifast.engine.plan import CAPACITY, Job
from ocifast.errors import OcifastError
from ocifast.ops.progress import LayerAdvanced, LayerFinished, LayerStarted
from ocifast.ops.source import open_source
from ocifast.ops.verify_blob import Blob, BlobFacts
from ocifast.transports.base import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocifast.engine import Engine
    from ocifast.engine.pipeline import Outcome
    from ocifast.limits import Limits, Profile
    from ocifast.ops.progress import Event
    from ocifast.ops.source import Reader
    from ocifast.transports.archive import Member

__all__ = ["BlobRun"]

TASK: Final = "ocifast.ops.verify_pass:VerifyPass"
COST: Final = {"gzip": 3.5, "zstd": 2.5, "identity": 0.4}
"""Work per stored byte of a layer, in bytes of inflated gzip."""


class BlobRun:
    """Establishes what is true of blobs of one store."""

    def __init__(
        self,
        store: str,
        engine: Engine,
        profile: Profile,
        limits: Limits,
        tell: Callable[[Event], object],
    ) -> None:
        self._store = store
        self._engine = engine
        self._profile = profile
        self._limits = limits
        self._tell = tell
        self._began: dict[int, float] = {}
        self._passed: dict[tuple[int, int], BlobFacts] = {}

    def meet(self, member: Member, reader: Reader) -> None:
        """Read a member of a stream that comes by; what it is for is not known yet.

        Raises:
            TarError, CompressedDataError: The archive around it is malformed.
        """
        blob = Blob(member.name, Location(None, member.offset, member.size))
        job = Job(
            index=0,
            task=TASK,
            spec=self._spec(layer=True),
            open=lambda: self._begin(0, blob, reader),
            cost=0,
            local=True,
        )
        for outcome in self._engine.run([job], self._listen([blob])):
            self._settle(blob, outcome)
        if blob.error is not None:
            raise blob.error
        if blob.facts is not None:
            self._passed[member.offset, member.size] = blob.facts

    def run(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Read blobs, and give each when its facts, or the reason why there are none, are there.

        Raises:
            WorkerCrashed: The run as a whole cannot go on.
        """
        todo: list[Blob] = []
        for blob in blobs:
            where = blob.location
            passed = where and where.open is None and self._passed.get((where.offset, where.size))
            if passed:
                blob.facts = passed
                yield blob
            else:
                todo.append(blob)
        if not todo:
            return
        jobs = [self._job(index, blob) for index, blob in enumerate(todo)]
        with contextlib.closing(self._engine.run(jobs, self._listen(todo))) as outcomes:
            for outcome in outcomes:
                self._settle(todo[outcome.job], outcome)
                yield todo[outcome.job]

    def _spec(
        self,
        *,
        layer: bool,
        algorithms: tuple[str, ...] = (),
        window: list[int] | None = None,
        toc: bool = False,
    ) -> dict[str, object]:
        return {
            "limits": asdict(self._limits),
            "profile": self._profile,
            "layer": layer,
            "algorithms": list(algorithms),
            "window": window,
            "toc": toc,
        }

    def _job(self, index: int, blob: Blob) -> Job:
        local = blob.data is not None
        codec = "identity" if local or not blob.is_layer else _codec(blob)
        where = blob.location
        window = None if local or where is None else [where.offset, where.size]
        return Job(
            index,
            TASK,
            self._spec(
                layer=blob.is_layer,
                algorithms=tuple(blob.algorithms),
                window=window,
                toc=blob.has_toc,
            ),
            lambda: self._begin(index, blob, None),
            blob.size * COST.get(codec, 1.0),
            1 if codec == "identity" else CAPACITY,
            local=local,
        )

    def _begin(self, index: int, blob: Blob, reader: Reader | None) -> object:
        self._began[index] = time.monotonic()
        self._tell(LayerStarted(blob.name, self._store, blob.size))
        if reader is not None:
            return reader
        if blob.data is not None:
            return open_source(blob.data).open()
        assert blob.location is not None
        assert blob.location.open is not None
        return blob.location.open()

    def _listen(self, blobs: list[Blob]) -> Callable[[int, int, int], object]:
        return lambda index, done, written: self._tell(
            LayerAdvanced(blobs[index].name, done, written)
        )

    def _settle(self, blob: Blob, outcome: Outcome) -> None:
        seconds = time.monotonic() - self._began.pop(outcome.job, time.monotonic())
        if outcome.error is None:
            blob.facts = BlobFacts.of_payload(outcome.payload)
        elif isinstance(outcome.error, (OcifastError, OSError)):
            blob.error = outcome.error
        else:
            raise outcome.error
        error = str(blob.error) if blob.error is not None else None
        self._tell(LayerFinished(blob.name, blob.size, 0, seconds, error))


def _codec(blob: Blob) -> str:
    """How a layer seems to be stored, for the plan; what cannot be opened fails in its turn."""
    if blob.location is None or blob.location.open is None:
        return "identity"
    try:
        descriptor = blob.location.open()
    except (OcifastError, OSError):
        return "identity"
    try:
        return sniff(os.pread(descriptor, SNIFF_BYTES, blob.location.offset))
    except (OcifastError, OSError):
        return "identity"
    finally:
        os.close(descriptor)
