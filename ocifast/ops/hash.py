"""Hash layers: digest, diff_id, sizes and entry table of each, in one pass, over the engine."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, overload

from ocifast.codecs import sniff
from ocifast.engine import Engine, default_engine
from ocifast.engine.plan import CAPACITY, Job
from ocifast.errors import OcifastError, WorkerError
from ocifast.formats.tar import EntryTable
from ocifast.layer import Finding, LayerReport
from ocifast.limits import DEFAULT_LIMITS, Limits, Profile
from ocifast.ops.source import Opened, open_source
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from ocifast.engine.pipeline import Outcome
    from ocifast.ops.progress import Progress
    from ocifast.ops.reading_progress import ReadingProgress
    from ocifast.ops.source import Source

__all__ = ["Also", "hash_layer", "hash_layers", "iter_layers"]

TASK: Final = "ocifast.ops.hash_pass:HashPass"
UNKNOWN_COST: Final = 1 << 30
COST: Final = {"gzip": 3.5, "zstd": 2.5, "identity": 0.4}
"""Work per stored byte, in bytes of inflated gzip; zstd decodes twice as fast."""
COUNTS: Final = ("size", "uncompressed_size", "entries", "finding_count")
DIGEST_BYTES: Final = 32
TO_A_LINE: Final = 48
"""From what malloc gives to a cache line: the kernel copies to one four times faster."""
TABLE_HEADER_BYTES: Final = 4096
"""More than what a table has besides what `Limits.table_bytes` counts."""


def hash_layer(
    source: Source,
    *,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
    expected: Descriptor | None = None,
    table: bool = True,
    engine: Engine | None = None,
) -> LayerReport:
    """Hash one layer and list its entries, in one pass.

    Args:
        source: A path, a descriptor, a binary file object, a buffer (`bytes` is content, not a
            path), or an iterable of buffers. Only paths and descriptors use worker processes.
        profile: ``compat`` reads what exists and reports oddities; ``strict`` refuses them.
        limits: Caps against hostile input.
        expected: What the blob must be; a size is checked before anything is read, where it can.
        table: Whether to keep the entry table: about 180 bytes an entry.
        engine: Where to work; by default one shared engine with a worker a core.

    Raises:
        TarError, CompressedDataError, LimitExceeded: The layer is malformed or refused.
        SizeMismatch, DigestMismatch: It is not the expected one.
        UnknownCodec: It is compressed with something else than gzip or zstd.
        WorkerCrashed: A worker process died.
        OSError: It cannot be read.

    Example:
        >>> report = hash_layer(bytes(1024))
        >>> report.entries, report.diff_id[:15]
        (0, 'sha256:5f70bf18')
    """
    layers = hash_layers(
        [source], profile=profile, limits=limits, expected=[expected], table=table, engine=engine
    )
    return layers[0]


class Also(Protocol):
    """What else a pass does than `HashPass`: a task, what its spec has besides, a descriptor."""

    task: str

    def spec(self, index: int) -> dict[str, Any]:
        """Give what belongs into the spec for one layer."""

    def open(self, index: int) -> int:
        """Give a descriptor that goes beside the source; the task closes it."""


@overload
def hash_layers(
    sources: Iterable[Source],
    *,
    workers: int | None = ...,
    profile: Profile = ...,
    limits: Limits = ...,
    expected: Sequence[Descriptor | None] | None = ...,
    table: bool = ...,
    engine: Engine | None = ...,
    return_exceptions: Literal[False] = ...,
) -> list[LayerReport]: ...
@overload
def hash_layers(
    sources: Iterable[Source],
    *,
    workers: int | None = ...,
    profile: Profile = ...,
    limits: Limits = ...,
    expected: Sequence[Descriptor | None] | None = ...,
    table: bool = ...,
    engine: Engine | None = ...,
    return_exceptions: Literal[True],
) -> list[LayerReport | BaseException]: ...
def hash_layers(  # noqa: PLR0913 - all but the first by keyword only
    sources: Iterable[Source],
    *,
    workers: int | None = None,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
    expected: Sequence[Descriptor | None] | None = None,
    table: bool = True,
    engine: Engine | None = None,
    return_exceptions: bool = False,
) -> list[LayerReport] | list[LayerReport | BaseException]:
    """Hash many layers, several at a time; the reports come in the order of `sources`.

    Takes what `hash_layer` takes; `expected` has one descriptor (or None) a source. `workers` makes
    an engine for this call alone. With `return_exceptions` a layer that fails leaves its exception
    in its place and the others go on; else the first failure is raised, with a note naming its
    source.

    Example:
        >>> [report.entries for report in hash_layers([bytes(1024), bytes(10240)], workers=0)]
        [0, 0]
    """
    results: dict[int, LayerReport | BaseException] = {}
    with _engine(workers, engine) as chosen:
        found = iter_layers(
            list(sources), chosen, profile=profile, limits=limits, expected=expected, table=table
        )
        failure: BaseException | None = None
        # Closed before the failure gets out: its traceback would keep the engine running.
        with contextlib.closing(found):
            for index, result in found:
                if isinstance(result, BaseException) and not return_exceptions:
                    failure = result
                    break
                results[index] = result
        if failure is not None:
            try:
                raise failure
            finally:
                del failure, result  # or the traceback keeps itself, and buffers, until gc runs
    return [results[index] for index in sorted(results)]


def iter_layers(  # noqa: PLR0913 - all but two by keyword only
    sources: Sequence[Source],
    engine: Engine,
    *,
    profile: Profile,
    limits: Limits,
    expected: Sequence[Descriptor | None] | None = None,
    table: bool,
    contents: bool = False,
    tell: Progress | None = None,
    also: Also | None = None,
) -> Generator[tuple[int, LayerReport | BaseException]]:
    """Give reports and failures as they come, each with the index of its source.

    With `contents` the digest of each file is found out too; it needs the table. `tell` is told how
    far layers are; `also` says what else is done in the pass over each.
    """
    spec: dict[str, Any] = {"limits": asdict(limits), "profile": profile, "table": table}
    if contents:
        spec["contents"] = "inline" if len(sources) >= engine.workers else "beside"
    if expected is not None and len(expected) != len(sources):
        msg = f"{len(expected)} expected descriptors for {len(sources)} sources"
        raise ValueError(msg)
    jobs: list[Job] = []
    names: dict[int, str] = {}
    sizes: dict[int, int] = {}
    for index, source in enumerate(sources):
        known = (expected[index] if expected is not None else None) or Descriptor()
        try:
            opened = open_source(source)
            jobs.append(_job(index, opened, {**spec, "expected": _promise(known)}, also))
        except (OSError, OcifastError) as error:
            yield index, _named(error, str(source))
        else:
            names[index], sizes[index] = opened.name, opened.size or 0
    # By map(): a name for the outcome here would tie its error, by the traceback, to this frame.
    make, listen = functools.partial(_result, names, limits), None
    if tell is not None:
        from ocifast.ops.reading_progress import ReadingProgress  # not of every import

        progress = ReadingProgress(tell, names, sizes)
        make, listen = functools.partial(_told, progress, make), progress.advance
    with contextlib.closing(engine.run(jobs, listen)) as outcomes:
        yield from map(make, outcomes)


def _told(
    progress: ReadingProgress,
    make: Callable[[Outcome], tuple[int, LayerReport | BaseException]],
    outcome: Outcome,
) -> tuple[int, LayerReport | BaseException]:
    index, result = make(outcome)
    if isinstance(result, BaseException):
        progress.finish(index, 0, str(result))
    else:
        progress.finish(index, result.size)
    return index, result


def _promise(known: Descriptor) -> dict[str, object]:
    """Give the parts of a descriptor that a worker checks, as JSON can carry them."""
    return {"media_type": known.media_type, "digest": known.digest, "size": known.size}


def _result(
    names: dict[int, str], limits: Limits, outcome: Outcome
) -> tuple[int, LayerReport | BaseException]:
    name = names[outcome.job]
    if outcome.error is not None:
        return outcome.job, _named(outcome.error, name)
    return outcome.job, _report(name, outcome, limits)


def _job(index: int, opened: Opened, spec: dict[str, Any], also: Also | None) -> Job:
    codec = sniff(opened.head) if opened.head else "gzip"
    cost = UNKNOWN_COST if opened.size is None else opened.size * COST.get(codec, 0)
    weight = 1 if codec == "identity" else CAPACITY
    spec = {**spec, "window": opened.window}
    if also is None:
        return Job(index, TASK, spec, opened.open, cost, weight, local=opened.local)
    spec.update(also.spec(index))
    both = functools.partial(_with, opened, also, index)
    return Job(index, also.task, spec, both, cost, weight, local=opened.local)


def _with(opened: Opened, also: Also, index: int) -> tuple[object, int]:
    source = opened.open()
    try:
        return source, also.open(index)
    except BaseException:
        if isinstance(source, int):
            os.close(source)
        raise


def _report(name: str, outcome: Outcome, limits: Limits) -> LayerReport | WorkerError:
    """Make the report; a worker reads hostile bytes, so what it sends is looked at, not trusted."""
    payload = outcome.payload
    try:
        parts = [_read_table(descriptor, limits) for descriptor in outcome.descriptors]
        table = EntryTable.from_buffer(parts[0]) if parts else None
        return LayerReport(
            path=name,
            media_type=str(payload["media_type"]),
            digest=Digest.parse(payload["digest"]),
            diff_id=Digest.parse(payload["diff_id"]),
            findings=tuple(Finding(*finding) for finding in payload["findings"]),
            table=table,
            contents=_contents(table, parts[1]) if len(parts) > 1 else None,
            **{key: int(payload[key]) for key in COUNTS},
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        return WorkerError(f"a worker sent no proper report of {name}: {error!r}")
    finally:
        for descriptor in outcome.descriptors:
            os.close(descriptor)


def _contents(table: EntryTable | None, digests: memoryview) -> memoryview:
    if table is None or len(digests) != len(table) * DIGEST_BYTES:
        raise ValueError("digests that are not those of the table")
    return digests


def _read_table(descriptor: int, limits: Limits) -> memoryview:
    """Copy a table out of a memfd: a mapping would keep a descriptor open for each report."""
    size = os.fstat(descriptor).st_size
    if size > limits.table_bytes + TABLE_HEADER_BYTES:
        msg = f"a table of {size} bytes"
        raise ValueError(msg)
    data = memoryview(bytearray(size + TO_A_LINE))[TO_A_LINE:]
    view, at = data, 0
    while at < size:
        got = os.preadv(descriptor, [view[at:]], at)
        if got == 0:
            raise ValueError("a table that was cut")
        at += got
    return data


def _named(error: BaseException, name: str) -> BaseException:
    if isinstance(error, OSError):
        error.filename = error.filename or name
    error.add_note(f"while reading {name}")
    return error


@contextlib.contextmanager
def _engine(workers: int | None, engine: Engine | None) -> Iterator[Engine]:
    """The engine to work with: the given one, one for this call, or the shared one."""
    if workers is None:
        yield engine or default_engine()
        return
    if engine is not None:
        raise ValueError("give workers or an engine, not both")
    with Engine(workers) as own:
        yield own
