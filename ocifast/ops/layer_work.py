"""The distinct layers of a run: what has to be done once, for whichever images need it.

Layers are the same when their diff_id is the same; where stored bytes are to be kept, or nobody
promises a diff_id, when their digest is; else only when they lie in the same place. Nothing here
reads more than the first bytes of a layer, and its TOC if that is what is wanted. Invariant: a
`LayerWork` is done at most once, however many images and archives it came from.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast.codecs import SNIFF_BYTES, sniff
from ocifast.errors import DiffIdMismatch, DigestMismatch, OcifastError
from ocifast.ops.seekable import STORED_AS
from ocifast.ops.stored_toc import find_toc, toc_digest_of
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.media_type import codec_of
from ocifast.transports.base import StoredLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.codecs.recipe import Recipe
    from ocifast.ops.conversion import ConvertedLayer
    from ocifast.transports.base import Image, Location

__all__ = ["Copy", "LayerWork", "Works"]

COST: Final = {"gzip": 3.5, "zstd": 3.5, "identity": 1.0}
"""Uncompressed bytes per stored byte, as a guess before they are known."""

UNKNOWN: Final = "unknown"
ENCODING: Final = 4
"""How much more a byte costs when it is compressed as well."""


class Copy(NamedTuple):
    """One place a layer can be read from, and how it is stored there."""

    layer: StoredLayer
    location: Location
    store: str
    codec: str
    kept: bool
    """Whether its bytes are what is wanted already."""

    def is_at(self, other: Copy) -> bool:
        """Whether it is the same place: in archives by offset, as links have names of their own."""
        return self._place == other._place

    @property
    def _place(self) -> tuple[str, int | str]:
        return self.store, self.location.offset or self.layer.name


@dataclass(eq=False, slots=True)
class LayerWork:
    """One distinct layer, and where it can be read from.

    A blob that is no layer (`opaque`) is only ever kept. `tried` counts copies that turned out bad.
    """

    key: str
    opaque: bool
    copies: list[Copy] = field(default_factory=list)
    tried: int = 0
    damages: tuple[str, ...] = ()
    """What was wrong with the copies that were tried."""
    done: ConvertedLayer | None = None
    error: BaseException | None = None
    final: bool = False
    """Whether the error is not one of the copy."""
    users: int = 0
    claimed: object = None
    """The first image that needs it: for the others it is shared."""

    @property
    def copy(self) -> Copy:
        """Where to read it next."""
        return self.copies[self.tried]

    @property
    def has_another_copy(self) -> bool:
        """Whether there is something else to try."""
        return not self.final and self.tried + 1 < len(self.copies)

    def next_copy(self) -> None:
        """Go on with another copy, and remember what was wrong with this one."""
        notes = getattr(self.error, "__notes__", [])
        self.damages += ("; ".join([str(self.error), *notes[:1], "another copy was used"]),)
        self.error = None
        self.tried += 1

    @property
    def encode(self) -> bool:
        """Whether it is made anew; else its bytes are kept."""
        return not self.opaque and not self.copy.kept

    @property
    def size(self) -> int:
        """Stored bytes of the copy to be read."""
        return self.copy.location.size

    @property
    def cost(self) -> float:
        """What it takes, in bytes of tar that are hashed."""
        plain = self.size * COST.get(self.copy.codec, 1.0)
        return plain * ENCODING if self.encode else plain * 0.4

    @property
    def settled(self) -> bool:
        """Whether it is done, or given up."""
        return self.done is not None or self.error is not None


class Works:
    """The distinct layers of a run, found while images are added to it.

    `recipe` is what layers are to be made by, None to keep them as they are; with `force` also
    those that are compressed that way already.
    """

    def __init__(self, recipe: Recipe | None, *, force: bool) -> None:
        self._recipe = recipe
        self._force = force
        self._by_key: dict[str, LayerWork] = {}
        self._met: dict[tuple[str, int], LayerWork] = {}

    def __iter__(self) -> Iterator[LayerWork]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, layer: StoredLayer, image: Image) -> LayerWork | None:
        """Take note of a layer of an image; None for one that is not in the store.

        Raises:
            OSError: It cannot be looked at.
        """
        location = layer.location
        if location is None:
            return None
        met = self._met.get((image.store, location.offset)) if location.open is None else None
        if met is not None:
            met.users += 1
            check_promise(met, layer)
            return met
        opaque = image.config is None
        key = self._key(layer, opaque=opaque, store=image.store)
        work = self._by_key.setdefault(key, LayerWork(key, opaque))
        work.users += 1
        codec = "identity" if opaque else codec_at(layer, location)
        copy = Copy(layer, location, image.store, codec, self._keeps(layer, codec))
        if not any(copy.is_at(other) for other in work.copies):
            # Copies that are right already come first: they make the work cheap.
            work.copies.append(copy)
            work.copies.sort(key=lambda copy: not copy.kept)
        return work

    def meet(self, store: str, name: str, location: Location, codec: str) -> LayerWork:
        """Take note of what may be a layer, and comes by in a stream before anybody says so."""
        layer = StoredLayer(name, Descriptor(size=location.size), None, location)
        work = LayerWork(f"met {store} {location.offset}", opaque=False)
        work.copies.append(Copy(layer, location, store, codec, self._keeps(layer, codec)))
        self._met[store, location.offset] = work
        return work

    def _keeps(self, layer: StoredLayer, codec: str) -> bool:
        """Whether its bytes are what is wanted; what is to be seekable has to prove that it is."""
        wanted = None if self._recipe is None else self._recipe.codec
        if wanted is None or codec == wanted == "identity":
            return True
        if wanted in STORED_AS:
            return not self._force and codec == STORED_AS[wanted] and is_seekable(layer)
        return codec == wanted and not self._force

    def _key(self, layer: StoredLayer, *, opaque: bool, store: str) -> str:
        digest, diff_id = layer.descriptor.digest, layer.diff_id
        if opaque and digest is not None:
            return f"blob {digest}"
        if diff_id is not None and (self._recipe is not None or digest is None):
            return str(diff_id)
        if digest is not None:  # with what is promised of it, which may differ, and is checked
            return f"layer {digest} {diff_id or ''}".rstrip()
        return f"place {store} {layer.name}"


def is_seekable(layer: StoredLayer) -> bool:
    """Whether it has the TOC its annotations promise. Raises OSError."""
    promised, location = toc_digest_of(layer.descriptor.annotations), layer.location
    if promised is None or location is None or location.open is None:
        return False
    descriptor = location.open()
    try:
        found = find_toc(descriptor, location.offset, location.size)
    except OcifastError:
        return False  # it is made anew, and so refused if more is wrong with it
    finally:
        os.close(descriptor)
    return found is not None and found.digest == promised


def codec_at(layer: StoredLayer, location: Location) -> str:
    """How a layer is stored, by its first bytes; by its media type where they are not known."""
    if location.open is None:
        if location.head:
            return sniff(location.head)
        return codec_of(layer.descriptor.media_type or "") or UNKNOWN
    descriptor = location.open()
    try:
        head = os.pread(descriptor, min(SNIFF_BYTES, location.size), location.offset)
    finally:
        os.close(descriptor)
    return sniff(head)


def check_promise(work: LayerWork, layer: StoredLayer) -> None:
    """Hold a layer that was met in a stream against what documents said of it later.

    Raises:
        DigestMismatch, DiffIdMismatch: It is something else.
        OcifastError, OSError: It could not be read when it was there.
    """
    if work.error is not None:
        raise work.error
    done, promised = work.done, layer.descriptor.digest
    assert done is not None
    if promised is not None and promised != done.source_digest:
        raise DigestMismatch(promised, str(done.source_digest))
    if layer.diff_id is not None and layer.diff_id != done.source_diff_id:
        raise DiffIdMismatch(layer.diff_id, str(done.source_diff_id))
