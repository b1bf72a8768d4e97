"""An image made over: its lower layers are kept, and others are made of those above.

This is the order of things: all layers are read, verified and kept as tables; it is decided which
rows make the new layers; payload is streamed into them (`splice_run`); documents are made over
(`squash_documents`) and shown (`outputs`). Invariant: an image appears under its name only when all
of it is on disk.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from ocifast.engine import Engine
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.errors import StoreError
from ocifast.limits import DEFAULT_LIMITS, Limits
from ocifast.ops.convert_options import ConvertOptions, recipe_of
from ocifast.ops.image_layers import open_runnable, read_image
from ocifast.ops.output_names import output_names, parse_destination
from ocifast.ops.outputs import FileOutput, Outputs
from ocifast.ops.progress import ImageFinished
from ocifast.ops.splice_run import SpliceRun
from ocifast.ops.squash_documents import made_over, merged_steps
from ocifast.ops.squashing import SquashReport, described
from ocifast.ops.tar_spool import nearest_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from ocifast.codecs.recipe import Recipe
    from ocifast.limits import Profile
    from ocifast.ops.convert_options import Compression
    from ocifast.ops.image_layers import ImageLayers
    from ocifast.ops.output_names import Format
    from ocifast.ops.outputs import Output
    from ocifast.ops.progress import Event, Progress
    from ocifast.ops.splice_run import NewLayer, SplicedLayer
    from ocifast.transports.base import Image

    Given: TypeAlias = str | os.PathLike[str] | Image
    Made: TypeAlias = tuple[list[NewLayer], Sequence[str]]

__all__ = ["MakeOver", "SquashOptions", "engine_for"]


@dataclass(frozen=True, slots=True)
class SquashOptions:
    """What new layers are to be; the defaults are those of `squash`."""

    to: Format | None = None
    """What to write, where the destination does not say it."""
    compress: Compression | None = None
    """None stands for gzip; for docker-archive, none. Layers that are kept stay as they are."""
    level: int | None = None
    recipe: str | None = None
    """A recipe by name; `ocifast doctor` lists them."""
    platform: str | None = None
    """os/architecture[/variant]: which image of an index; by default this machine's."""
    overwrite: bool = False
    """Replace an archive or folder that exists."""
    spool: bool = True
    """Keep inflated tars beside the destination meanwhile, if there is room: it saves a third."""
    profile: Profile = "compat"
    limits: Limits = DEFAULT_LIMITS

    def recipe_for(self, format_: Format) -> Recipe | None:
        """What new layers are made by; None leaves the tar as it is.

        Raises:
            UnknownRecipe: There is no such recipe or level.
            ValueError: Layers were to be kept as they are.
        """
        if self.compress == "keep":
            raise ValueError("new layers cannot be kept as they are: choose how to compress them")
        compress = self.compress
        if compress is None and self.recipe is None and format_ != "docker-archive":
            compress = "gzip"
        asked = ConvertOptions(compress=compress, level=self.level, recipe=self.recipe)
        chosen = recipe_of(asked, format_)
        return None if chosen is None or chosen.codec == "identity" else chosen


@contextlib.contextmanager
def engine_for(engine: Engine | None, workers: int | None) -> Iterator[Engine]:
    """The engine that is given, or one for this call."""
    if engine is not None:
        yield engine
        return
    with Engine(workers, slot_bytes=BLOCK_SLOT_BYTES) as made:
        yield made


class MakeOver:
    """An image that is made over: layers up to some number are kept, those above made anew."""

    def __init__(
        self,
        verb: str,
        source: Given,
        dest: str,
        options: SquashOptions,
        engine: Engine,
        progress: Progress | None,
    ) -> None:
        self._verb = verb
        self._options = options
        self._engine = engine
        self._tell: Callable[[Event], object] = progress or (lambda _: None)
        self._progress = progress
        self._began = time.monotonic()
        self._opened = contextlib.ExitStack()
        destination = parse_destination(dest, options.to)
        self._recipe = options.recipe_for(destination.format)
        self._source, self.image = open_runnable(
            source,
            platform=options.platform,
            profile=options.profile,
            limits=options.limits,
            stack=self._opened,
        )
        (self._name,) = output_names(destination, [self._source], each=False)

    def run(self, first: int, made_of: Callable[[ImageLayers], Made]) -> SquashReport:
        """Keep layers below `first`, and make those that `made_of` says. Raises as `squash`."""
        options = self._options
        with self._opened:
            layers = read_image(
                self.image,
                self._engine,
                first=first,
                spool_at=nearest_folder(self._name.path) if options.spool else None,
                profile=options.profile,
                limits=options.limits,
                stack=self._opened,
                tell=self._progress,
            )
            new, findings = made_of(layers)
            if findings and options.profile == "strict":
                raise StoreError(self._source, "", "; ".join(findings))
            run = SpliceRun(
                engine=self._engine,
                streams=layers.streams,
                recipe=self._recipe,
                profile=options.profile,
                limits=options.limits,
                tell=self._tell,
            )
            run.measure(new)
            with Outputs(self._name, {self._name: ""}, overwrite=options.overwrite) as outputs:
                output = outputs.get(self._name)
                output.claim(self._names, "", self._source)
                with contextlib.ExitStack() as stack:
                    blobs = [stack.enter_context(outputs.places.pending()) for _ in new]
                    made = run.run(new, blobs)
                    for blob, layer in zip(blobs, made, strict=True):
                        outputs.places.publish(blob, layer.digest, layer.size)
                report = self._show(outputs, output, layers, first, made)
                report = replace(report, findings=(*layers.findings(), *findings))
                outputs.complete = True
        self._finish(report)
        return report

    @property
    def _names(self) -> tuple[str, ...]:
        return (self._name.name,) if self._name.name else self.image.names

    def _show(
        self,
        outputs: Outputs,
        output: Output,
        layers: ImageLayers,
        first: int,
        made: Sequence[SplicedLayer],
    ) -> SquashReport:
        for number, report in enumerate(layers.reports[:first]):
            outputs.places.keep(layers.location(number), report.digest, report.size)
        old = layers.documents()
        steps = merged_steps(old.config_raw, first, f"ocifast {self._verb}", len(made))
        rebuilt = made_over(self.image, old, first, made, steps)
        if not output.add(output.finished(self._names, rebuilt), 0):
            assert isinstance(output, FileOutput)
            output.write()
        outputs.arrange()
        return SquashReport(
            verb=self._verb,
            source=self._source,
            names=self._names,
            destination=output.reference(self._names),
            digest=str(rebuilt.top.digest),
            image_id=str(rebuilt.images[0].image_id),
            layers=described(layers.reports[:first], made),
            layers_before=len(layers.reports),
            size_before=sum(report.size for report in layers.reports),
            seconds=time.monotonic() - self._began,
            workers=self._engine.workers,
        )

    def _finish(self, report: SquashReport) -> None:
        self._tell(
            ImageFinished(
                image=", ".join(report.names) or report.source,
                layers=len(report.layers),
                shared_layers=0,
                size_before=report.size_before,
                size_after=report.size_after,
                seconds=report.seconds,
                error=None,
            )
        )
