"""New layers through the engine: each a table of rows, whose payload is in layers that were read.

It knows nothing of images. Invariant: what is given back was written to its end and hashed; nothing
has a name yet.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ocifast._native.tar_splice import TarSplice
from ocifast.engine.plan import BLOCK_SLOT_BYTES, CAPACITY, Job, encoder_threads
from ocifast.errors import DigestMismatch
from ocifast.ops.progress import LayerAdvanced, LayerFinished, LayerStarted, Planned
from ocifast.ops.proven_stream import ProvenStream, SpooledStream
from ocifast.ops.splice_pass import SpliceReader, splice_file
from ocifast.transports.pending_file import OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocifast.codecs.recipe import Recipe
    from ocifast.engine import Engine
    from ocifast.engine.pipeline import Outcome
    from ocifast.formats.tar import EntryTable
    from ocifast.limits import Limits, Profile
    from ocifast.ops.columns import Array
    from ocifast.ops.progress import Event
    from ocifast.ops.proven_stream import PayloadStream
    from ocifast.ops.source import Window
    from ocifast.transports.blob_store import PendingBlob

__all__ = ["NewLayer", "SpliceRun", "SplicedLayer", "Stream"]

TASK: Final = "ocifast.ops.splice_pass:SplicePass"
HANDED: Final = 240
"""Streams whose descriptors go to a worker; a layer of more is made in this process."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A layer that was verified: where its blob lies and its digest.

    Without a digest it is its tar, in a file of our own.
    """

    window: Window
    digest: str | None


@dataclass(slots=True)
class NewLayer:
    """A layer to be made: rows in the order of its tar, and the number of each row's stream."""

    table: EntryTable
    streams: Array
    size: int = 0
    """Of its tar; found out when it is taken up."""


@dataclass(frozen=True, slots=True)
class SplicedLayer:
    """What has become of one."""

    media_type: str
    digest: str
    size: int
    diff_id: str
    uncompressed_size: int
    entries: int
    recipe: str | None
    seconds: float
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


class SpliceRun:
    """Makes layers of streams; `pending` begins a blob, of which the caller disposes."""

    def __init__(
        self,
        *,
        engine: Engine,
        streams: Sequence[Stream],
        recipe: Recipe | None,
        profile: Profile,
        limits: Limits,
        tell: Callable[[Event], object],
    ) -> None:
        self._engine = engine
        self._streams = streams
        self._recipe = recipe
        self._profile: Profile = profile
        self._limits = limits
        self._tell = tell
        self._began: dict[int, float] = {}

    def measure(self, layers: Sequence[NewLayer]) -> None:
        """Find out how long their tars are.

        Raises:
            TreeError: One has an entry that a tar cannot hold.
        """
        for layer in layers:
            _, rows, heap = layer.table.to_buffers()
            layer.size = TarSplice(rows, heap, layer.streams.data).size

    def run(self, layers: Sequence[NewLayer], pending: Sequence[PendingBlob]) -> list[SplicedLayer]:
        """Write each layer to its blob; gives what they are, in their order.

        Raises:
            DigestMismatch: A stream is no longer what it was.
            OcifastError, OSError: It cannot be made, or not be written.
        """
        total = sum(layer.size for layer in layers)
        jobs = [
            self._job(index, layer, blob, total)
            for index, (layer, blob) in enumerate(zip(layers, pending, strict=True))
        ]
        self._tell(Planned(1, len(jobs), total, 0, 0, 0))
        found: dict[int, SplicedLayer] = {}
        with contextlib.closing(self._engine.run(jobs, self._advance)) as outcomes:
            for outcome in outcomes:
                found[outcome.job] = self._made(outcome, pending[outcome.job])
        return [found[index] for index in range(len(jobs))]

    def _advance(self, index: int, done: int, written: int) -> None:
        self._tell(LayerAdvanced(_key(index), done, written))

    def _job(self, index: int, layer: NewLayer, blob: PendingBlob, total: int) -> Job:
        import numpy as np

        payload = layer.table.array["stored_size"] > 0
        used, numbers = np.unique(layer.streams[payload], return_inverse=True)
        streams = np.zeros(len(layer.table), dtype=np.uint32)
        streams[payload] = numbers
        wanted = [self._streams[number] for number in used.tolist()]
        local = len(wanted) > HANDED
        spec: dict[str, Any] = {
            "limits": asdict(self._limits),
            "profile": self._profile,
            "table": False,
            "expected": {"media_type": None, "digest": None, "size": None},
            "diff_id": None,
            "window": None,
            "recipe": None if self._recipe is None else self._recipe.to_dict(),
            "threads": self._threads(layer.size, total),
            "rows": len(layer.table),
            "streams": [(each.digest, each.window[2:]) for each in wanted],
        }

        def open_all() -> tuple[object, ...]:
            self._began[index] = time.monotonic()
            self._tell(LayerStarted(_key(index), blob.path, layer.size))
            if local:
                return self._reader(layer.table, streams, wanted), os.dup(blob.descriptor)
            return _descriptors(layer.table, streams, blob, wanted)

        return Job(index, TASK, spec, open_all, layer.size, CAPACITY, local=local)

    def _reader(self, table: EntryTable, streams: Array, wanted: list[Stream]) -> SpliceReader:
        _, rows, heap = table.to_buffers()
        openers = [functools.partial(self._open, stream) for stream in wanted]
        return SpliceReader(rows, heap, streams.data, openers)

    def _open(self, stream: Stream) -> PayloadStream:
        _, open_, offset, size = stream.window
        if stream.digest is None:
            return SpooledStream(open_())
        return ProvenStream(open_(), (offset, size), stream.digest, self._limits, self._profile)

    def _threads(self, size: int, total: int) -> int:
        """Threads of a layer's encoder, no more than it has blocks."""
        blocks = -(-size // BLOCK_SLOT_BYTES)
        return min(blocks, encoder_threads(self._engine.workers, size, total))

    def _made(self, outcome: Outcome, blob: PendingBlob) -> SplicedLayer:
        if outcome.error is not None:
            raise _named(outcome.error, blob)
        written = outcome.payload["written"]
        read = outcome.payload["read"] | (written.get("tar") or {})
        seconds = time.monotonic() - self._began[outcome.job]
        made = SplicedLayer(
            media_type=written["media_type"],
            digest=written["digest"],
            size=written["size"],
            diff_id=read["diff_id"],
            uncompressed_size=read["uncompressed_size"],
            entries=read["entries"],
            recipe=written["recipe"],
            seconds=seconds,
            annotations=written.get("annotations") or {},
        )
        size = outcome.payload["read"]["uncompressed_size"]
        self._tell(LayerFinished(_key(outcome.job), size, made.size, seconds, None))
        return made


def _key(index: int) -> str:
    return f"new layer {index}"


def _descriptors(
    table: EntryTable, streams: Array, blob: PendingBlob, wanted: list[Stream]
) -> tuple[int, ...]:
    """Open all that a worker needs."""
    with contextlib.ExitStack() as opened:
        found: list[int] = []

        def keep(descriptor: int) -> None:
            opened.callback(os.close, descriptor)
            found.append(descriptor)

        keep(splice_file(table, streams))
        keep(os.dup(blob.descriptor))
        for stream in wanted:
            keep(stream.window.open())
        opened.pop_all()
        return tuple(found)


def _named(error: BaseException, blob: PendingBlob) -> BaseException:
    if isinstance(error, OSError) and error.filename == OUTPUT:
        error.filename = blob.path
    if isinstance(error, DigestMismatch):
        error.add_note("a layer has changed since it was verified")
    return error
