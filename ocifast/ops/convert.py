"""Convert images: read, verify, recompress and write, each distinct layer once in the whole run.

This is the order of things: sources are opened, what they need is noted, layers go through the
engine (`convert_run`), documents are made anew (`rebuild`) and given to outputs (`outputs`).
Invariant: an image appears under its name only when all of it is on disk; one that fails takes
nothing from the others.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from ocifast.codecs import SNIFF_BYTES, sniff
from ocifast.engine import Engine
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.errors import (
    AmbiguousImage,
    ImageNotFound,
    OcifastError,
    UnsupportedError,
)
from ocifast.ops.conversion import ConvertedImage, ConvertReport
from ocifast.ops.convert_options import ConvertOptions, recipe_of
from ocifast.ops.convert_run import LayerRun
from ocifast.ops.convert_unit import ConvertUnit
from ocifast.ops.finished_output import request_of
from ocifast.ops.image import choose, open_store, platform_of
from ocifast.ops.image_sources import check_present, expand_sources, fingerprint
from ocifast.ops.image_writing import ImageWriting
from ocifast.ops.layer_work import LayerWork, Works
from ocifast.ops.output_names import output_names, parse_destination
from ocifast.ops.outputs import Outputs, reference
from ocifast.ops.progress import ImageFinished, Planned
from ocifast.transports.base import Image, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocifast.ops.archive_stream import MemberReader
    from ocifast.ops.output_names import OutputName
    from ocifast.ops.outputs import Output
    from ocifast.ops.progress import Event, Progress
    from ocifast.transports.archive import Member
    from ocifast.transports.base import Stored

__all__ = ["convert"]


def convert(
    sources: str | Iterable[str],
    dest: str,
    *,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ConvertReport:
    """Convert images of any transport into another, verifying every layer on the way.

    A run that was interrupted goes on where it was when it is started again.

    Args:
        sources: References, paths, globs or folders of archives.
        dest: ``format:PATH[:NAME]``, or a path together with the option `to`.
        engine: Where to work; by default one is made for this call.
        workers: Worker processes of that engine; 0 works in this process.
        progress: Called with each `ocifast.ops.progress.Event`, in this thread.
        **options: The fields of `ConvertOptions`.

    Returns:
        What became of each image. With ``keep_going=True`` failures are in it, else the first one
        is raised, and images that were finished before it stay finished.

    Raises:
        OcifastError: A source is malformed, refused, or not what it promises.
        OSError: Something cannot be read or written.
        TypeError: An option is not one.
    """
    chosen = ConvertOptions(**options)
    given = [sources] if isinstance(sources, str) else list(sources)
    with contextlib.ExitStack() as stack:
        if engine is None:
            engine = stack.enter_context(Engine(workers, slot_bytes=BLOCK_SLOT_BYTES))
        conversion = Conversion(given, dest, chosen, engine, progress or (lambda _: None))
        report = conversion.run()
    if conversion.failure is not None and not chosen.keep_going:
        raise conversion.failure
    return report


class Stopped(Exception):
    """An image has failed, and nothing was said of going on."""


class Conversion:
    """One call of `convert`; `failure` is the first error of an image.

    `kept` is the folder that holds what the next run goes on from, if this one has left any.
    """

    def __init__(
        self,
        sources: list[str],
        dest: str,
        options: ConvertOptions,
        engine: Engine,
        tell: Callable[[Event], object],
    ) -> None:
        destination = parse_destination(dest, options.to)
        self._options = options
        self._engine = engine
        self._tell = tell
        self._began = time.monotonic()
        self._recipe = recipe_of(options, destination.format)
        self._sources = expand_sources(sources)
        for source in () if options.keep_going else self._sources:
            check_present(source)  # a slip of the pen shall not be found out after an hour
        self._names = output_names(destination, self._sources, each=options.each)
        self._outputs = Outputs(destination, self._requests(), overwrite=options.overwrite)
        self._works = Works(self._recipe, force=options.force)
        self.failure: BaseException | None = None
        self.kept: str | None = None
        self._units: list[ConvertUnit] = []
        self._users: dict[LayerWork, list[ConvertUnit]] = {}
        self._writing = ImageWriting(self._succeed, self._fail, self._may_write)

    @property
    def unfinished(self) -> int:
        """How many images, and sources that were not looked at, a failure has left behind."""
        met = {unit.source for unit in self._units}
        return sum(unit.result is None for unit in self._units) + len(set(self._sources) - met)

    def _requests(self) -> dict[OutputName, str]:
        """What is asked of each output: an earlier run's is only kept if that is the same."""
        options = self._options
        sources: dict[OutputName, list[str | None]] = {}
        for source, name in zip(self._sources, self._names, strict=True):
            sources.setdefault(name, []).append(fingerprint(source))
        asked = (
            self._recipe.identity if self._recipe else "keep",
            options.force,
            options.platform,
            options.every_platform,
        )
        return {name: request_of(prints, name, asked) for name, prints in sources.items()}

    def run(self) -> ConvertReport:
        """Do it, to the end or to the first image that fails.

        Raises:
            WorkerCrashed, OSError: The run as a whole cannot go on.
        """
        with self._outputs as outputs, self._writing:
            layers = LayerRun(
                engine=self._engine,
                store=outputs.places,
                journal=outputs.journal,
                recipe=self._recipe,
                profile=self._options.profile,
                limits=self._options.limits,
                tell=self._tell,
            )
            try:
                self._run(layers)
            except Stopped:
                with contextlib.suppress(Stopped):
                    self._writing.collect(wait=True)
            outputs.arrange()
            outputs.complete = self.failure is None
            report = self._report(layers)
        self.kept = outputs.kept
        return report

    def _run(self, layers: LayerRun) -> None:
        for source, name in zip(self._sources, self._names, strict=True):
            self._open(source, name, layers)
        self._plan(layers)
        layers.run(self._works, self._settled)
        self._writing.collect(wait=True)

    def _open(self, source: str, name: OutputName, layers: LayerRun) -> None:
        """Open a source and note what its images need; what comes by only once is done at once."""

        def meet(member: Member, reader: MemberReader) -> None:
            location = Location(None, member.offset, member.size)
            codec = sniff(reader.peek(SNIFF_BYTES))
            layers.run_met(self._works.meet("-", member.name, location, codec), reader)

        options = self._options
        try:
            output = self._outputs.get(name)
            found = (
                ()
                if output.done
                else open_store(source, profile=options.profile, limits=options.limits, meet=meet)
            )
            if not found and not output.done:
                raise ImageNotFound(source, "at all", "")
            if name.format == "dir" and len(found) > 1:
                raise AmbiguousImage(source, ", ".join(", ".join(s.names) or "-" for s in found))
        except (OcifastError, OSError) as error:
            unit = ConvertUnit(source, (), None, reference(name, ()))
            self._fail(self._adopt(unit), error, name)
            return
        if output.done:
            self._adopt(ConvertUnit(source, (), None, reference(name, ()))).resumed(output.done)
        for stored in found:
            self._note(source, stored, output)

    def _adopt(self, unit: ConvertUnit) -> ConvertUnit:
        unit.number = len(self._units)
        self._units.append(unit)
        return unit

    def _note(self, source: str, stored: Stored, output: Output) -> None:
        names = (output.name.name,) if output.name.name else stored.names
        unit = self._adopt(ConvertUnit(source, names, stored, output.reference(names)))
        try:
            unit.stored = choose(stored, self._options.platform, several=output.takes_indexes)
            if unit.stored is not stored and self._options.platform is None:
                self._chosen_for_the_user(unit)
            if isinstance(unit.stored, Image) and not (unit.stored.config or output.takes_indexes):
                raise UnsupportedError("it is no image that could be run, but an artifact")
            output.claim(unit.names, unit.identity, source)
            unit.note(self._works)
        except (OcifastError, OSError) as error:
            self._fail(unit, error, output.name)
            return
        self._writing.expect(unit, output)
        for work in set(unit.works):
            self._users.setdefault(work, []).append(unit)

    def _chosen_for_the_user(self, unit: ConvertUnit) -> None:
        """Say which platform was taken of an index that cannot be kept whole, or refuse to."""
        if self._options.every_platform:
            reason = "a docker-archive cannot hold several platforms: choose one (--platform)"
            raise UnsupportedError(reason)
        assert isinstance(unit.stored, Image)
        what = platform_of(unit.stored)
        unit.findings.append(f"of an index only {what} was taken (see --platform)")

    def _plan(self, layers: LayerRun) -> None:
        """Say what there is to do, and finish what an earlier run has left complete."""
        resumed = [work for work in self._works if layers.resume(work)]
        todo = [work for work in self._works if not work.settled]
        again = [work for work in self._works for _ in range(work.users - 1)]
        self._tell(
            Planned(
                images=len(self._units),
                layers=len(todo),
                size=sum(work.size for work in todo),
                shared_layers=len(again),
                shared_size=sum(work.size for work in again),
                resumed_layers=len(resumed),
            )
        )
        for unit in self._units:
            if unit.result is None and unit.ready:
                self._writing.begin(unit)

    def _settled(self, work: LayerWork) -> None:
        self._writing.collect()
        for unit in self._users.get(work, ()):
            if unit.result is not None:
                continue
            if unit.failure is not None:
                self._fail(unit, unit.failure)
            elif unit.ready:
                self._writing.begin(unit)

    def _may_write(self, output: Output) -> bool:
        """Whether an archive is written although it lacks an image."""
        return self._options.keep_going or not self._outputs.lacks(output.name)

    def _succeed(self, unit: ConvertUnit) -> None:
        assert unit.rebuilt is not None
        self._done(unit.succeeded(unit.rebuilt))

    def _fail(
        self, unit: ConvertUnit, error: BaseException, name: OutputName | None = None
    ) -> None:
        """Give an image up that was to go to the output of that name, or to the unit's."""
        output = self._writing.output_of(unit)
        if output is not None:
            name = output.name
        if name is not None:
            self._outputs.lack(name)
        self.failure = self.failure or error
        self._done(unit.failed(error))
        if not self._options.keep_going:
            raise Stopped
        self._writing.settle(unit)

    def _done(self, result: ConvertedImage) -> None:
        self._tell(
            ImageFinished(
                image=_label(result),
                layers=len(result.layers),
                shared_layers=result.shared_layers,
                size_before=result.size_before,
                size_after=result.size_after,
                seconds=result.seconds,
                error=result.error,
            )
        )

    def _report(self, layers: LayerRun) -> ConvertReport:
        return ConvertReport(
            images=tuple(unit.result for unit in self._units if unit.result is not None),
            seconds=time.monotonic() - self._began,
            workers=self._engine.workers,
            recipe=self._recipe.identity if self._recipe else "keep",
            bytes_read=layers.bytes_read,
            bytes_written=layers.bytes_written,
        )


def _label(result: ConvertedImage) -> str:
    """Name an image by its names; one that failed by its source as well, which is to be mended."""
    names = ", ".join(result.names)
    if result.error is not None and names:
        return f"{names} ({result.source})"
    return names or result.source
