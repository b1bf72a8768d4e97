"""The layers of an image that is made over: each read once, verified, and kept as a table.

It is not the pass that makes new layers, which reads them again. Invariant: what is known of a
layer here was found by reading it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocifast.errors import StateError, UnsupportedError
from ocifast.ops.diff_options import DiffOptions
from ocifast.ops.diff_side import open_side
from ocifast.ops.image import open_image
from ocifast.ops.layer_index import read_layers
from ocifast.ops.rebuild import RebuiltImage, rebuild
from ocifast.ops.side_layers import distinct
from ocifast.ops.source import Window
from ocifast.ops.tar_spool import TarSpool, has_room
from ocifast.spec.descriptor import Descriptor

if TYPE_CHECKING:
    import contextlib

    from ocifast.engine import Engine
    from ocifast.formats.tar import EntryTable
    from ocifast.layer import LayerReport
    from ocifast.limits import Limits, Profile
    from ocifast.ops.progress import Progress
    from ocifast.ops.splice_run import Stream
    from ocifast.transports.base import Image, Location, StoredLayer

__all__ = ["ImageLayers", "open_runnable", "read_image"]

PIPE = "-"


def open_runnable(
    source: str | os.PathLike[str] | Image,
    *,
    platform: str | None,
    profile: Profile,
    limits: Limits,
    stack: contextlib.ExitStack,
) -> tuple[str, Image]:
    """Open an image that can be run, and say what it is called.

    What comes by standard input is kept in a file that `stack` closes.

    Raises:
        UnsupportedError: It is an artifact, or has no layers.
        OcifastError, OSError: As `ocifast.ops.image.open_image`.
    """
    if not isinstance(source, (str, os.PathLike)):
        name, image = source.store, source
    else:
        name = os.fsdecode(source)
        image = _opened(name, platform, DiffOptions(profile=profile, limits=limits), stack)
    if image.config is None:
        raise UnsupportedError(f"{name}: it is no image that could be run, but an artifact")
    if not image.layers:
        raise UnsupportedError(f"{name}: the image has no layers")
    return name, image


def _opened(
    name: str, platform: str | None, options: DiffOptions, stack: contextlib.ExitStack
) -> Image:
    if not name.endswith(PIPE):
        return open_image(name, platform=platform, profile=options.profile, limits=options.limits)
    asked = f"docker-archive:{PIPE}" if name == PIPE else name
    side = open_side(asked, platform, options, stack)
    if side.image is None:
        raise StateError(f"{name}: it can be read only once: give a file")
    return side.image


@dataclass(frozen=True, slots=True)
class ImageLayers:
    """An image all of whose layers were verified; they are in order, from the base up."""

    image: Image
    reports: tuple[LayerReport, ...]
    streams: tuple[Stream, ...]

    @property
    def tables(self) -> list[EntryTable]:
        """The entries of each."""
        return [report.table for report in self.reports if report.table is not None]

    def location(self, number: int) -> Location:
        """Where the blob of a layer lies."""
        location = self.image.layers[number].location
        assert location is not None
        return location

    def findings(self) -> list[str]:
        """What was tolerated in its documents and layers, each sentence once."""
        found = [*self.image.findings]
        for number, report in enumerate(self.reports):
            found += [f"layer {number}: {finding.text}" for finding in report.findings]
        return list(dict.fromkeys(found))

    def documents(self) -> RebuiltImage:
        """The documents of the image as it is, in OCI's words."""
        (found,) = rebuild(self.image, self).images
        return found

    def new_layer(self, layer: StoredLayer) -> Descriptor:
        """What a layer is, for `rebuild`."""
        report = self._report(layer)
        return Descriptor(report.media_type, report.digest, report.size)

    def diff_id(self, layer: StoredLayer) -> str:
        """The digest of its tar, for `rebuild`."""
        return str(self._report(layer).diff_id)

    def _report(self, layer: StoredLayer) -> LayerReport:
        return self.reports[self.image.layers.index(layer)]


def read_image(  # noqa: PLR0913 - all but two by keyword only
    image: Image,
    engine: Engine,
    *,
    first: int,
    spool_at: str | None,
    profile: Profile,
    limits: Limits,
    stack: contextlib.ExitStack,
    tell: Progress | None = None,
) -> ImageLayers:
    """Read and verify all layers of an image, several at a time, each distinct one once.

    Tars from number `first` on are kept in files in the folder `spool_at`, if one is given and has
    room, until `stack` is closed.

    Raises:
        StoreError: A layer is not there, or cannot be read twice.
        DigestMismatch, DiffIdMismatch: One is not what it was said to be.
        OcifastError, OSError: One is malformed, or cannot be read.
    """
    side = open_side(image, None, DiffOptions(profile=profile, limits=limits), stack)
    work, where = distinct(side.layers, strict=True)
    again = sorted(set(where[first:]))
    stored = sum(layer.source.size for layer in work if isinstance(layer.source, Window))
    spooled = again if spool_at is not None and has_room(spool_at, stored) else []
    spool = TarSpool(spool_at or ".", spooled, stack)
    reports = read_layers(
        [layer.source for layer in work],  # type: ignore[misc]
        engine,
        profile=profile,
        limits=limits,
        expected=[layer.descriptor for layer in work],
        diff_ids=[layer.diff_id for layer in work],
        contents=False,
        tell=tell,
        also=spool,
    )
    streams = [
        spool.stream(number, report, layer.source)  # type: ignore[arg-type]
        for number, (layer, report) in enumerate(zip(work, reports, strict=True))
    ]
    return ImageLayers(
        image,
        tuple(reports[number] for number in where),
        tuple(streams[number] for number in where),
    )
