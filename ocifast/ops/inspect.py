"""Inspect: what a store says of its images, by its documents alone.

No layer is read (of those whose type nobody states, ten bytes), so the size of an archive does not
matter. Nothing is verified but documents: their digests, sizes and shape. *Invariant:* a result is
plain values, which stay true when the store is gone.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ocifast.codecs import CODECS, SNIFF_BYTES, sniff
from ocifast.errors import ImageNotFound
from ocifast.limits import DEFAULT_LIMITS
from ocifast.ops.image import choose, open_files, platform_of
from ocifast.spec.media_type import layer_media_type
from ocifast.transports import TRANSPORTS
from ocifast.transports.base import Image, ImageIndex
from ocifast.transports.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.limits import Limits, Profile
    from ocifast.spec.config import ContainerConfig, ImageConfig
    from ocifast.transports.base import Opaque, Stored, StoredLayer

__all__ = [
    "ImageFacts",
    "IndexFacts",
    "Inspection",
    "LayerFacts",
    "OtherFacts",
    "inspect",
]

SCHEMA: Final = "ocifast.inspect/1"


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """A layer as the documents describe it; None is what they do not say."""

    path: str
    """Its name in the store."""
    media_type: str | None
    digest: str | None
    size: int | None
    """Of the blob as stored."""
    diff_id: str | None
    created_by: str | None
    present: bool
    """Whether the store holds it."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON, with the keys every verb describes layers by."""
        return {**asdict(self), "uncompressed_size": None, "entries": None}


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One image; `digest` is that of its manifest, None where there is none, as its type is."""

    names: tuple[str, ...]
    digest: str | None
    media_type: str | None
    size: int
    """Of config and layers as stored, equal ones counted once; of manifests, too."""
    image_id: str | None
    """The digest of the config; None of archives that have none, and of artifacts."""
    platform: str
    created: str
    author: str
    config: ContainerConfig | None
    layers: tuple[LayerFacts, ...]
    annotations: dict[str, str]
    findings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON."""
        config = None if self.config is None else _shallow(self.config)
        layers = [layer.to_dict() for layer in self.layers]
        return {"kind": "image", **_shallow(self), "config": config, "layers": layers}


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index and what it names."""

    names: tuple[str, ...]
    digest: str
    media_type: str
    annotations: dict[str, str]
    manifests: tuple[Facts, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON."""
        manifests = [each.to_dict() for each in self.manifests]
        return {"kind": "index", **_shallow(self), "manifests": manifests}


@dataclass(frozen=True, slots=True)
class OtherFacts:
    """What an index names and is not looked into, or is not there."""

    names: tuple[str, ...]
    digest: str
    media_type: str
    size: int
    platform: str
    present: bool

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON."""
        return {"kind": "other", **_shallow(self)}


Facts: TypeAlias = ImageFacts | IndexFacts | OtherFacts


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a reference means: the images and indexes of a store, or the named one."""

    store: str
    transport: str
    images: tuple[Facts, ...]
    findings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON."""
        images = [each.to_dict() for each in self.images]
        return {"schema": SCHEMA, **_shallow(self), "images": images}


def inspect(
    ref: str | ImageReference,
    *,
    platform: str | None = None,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
) -> Inspection:
    """Say what images a store holds, or what the named one is; with `platform`, only for it.

    Raises:
        ImageNotFound: The store holds no such image.
        OcifastError: The store is malformed, refused, or not what it promises.
        OSError: It cannot be read.
    """
    reference = ImageReference.parse(ref) if isinstance(ref, str) else ref
    files, transport = open_files(reference, profile=profile, limits=limits)
    stored = TRANSPORTS[transport].read(files, reference, profile)
    if platform is not None:
        stored = tuple(_for_platform(files.path, stored, platform))
    images = tuple(_facts(each) for each in stored)
    return Inspection(files.path, transport, images, tuple(dict.fromkeys(files.findings)))


def _for_platform(store: str, stored: tuple[Stored, ...], platform: str) -> Iterator[Stored]:
    """Choose from each index; what has none for the platform is left out, unless all have none."""
    known: list[str] = []
    found = False
    for each in stored:
        try:
            if isinstance(each, (Image, ImageIndex)):
                yield choose(each, platform, several=False)
                found = True
        except ImageNotFound as error:
            known.append(error.known)
    if not found:
        raise ImageNotFound(store, f"for {platform}", ", ".join(dict.fromkeys(known)))


def _facts(stored: Stored) -> Facts:
    if isinstance(stored, Image):
        return _image(stored)
    if isinstance(stored, ImageIndex):
        index = stored.index
        children = tuple(_facts(child) for child in stored.children)
        digest = str(index.digest)
        return IndexFacts(stored.names, digest, index.media_type, dict(index.annotations), children)
    return _other(stored)


def _other(stored: Opaque) -> OtherFacts:
    descriptor = stored.descriptor
    return OtherFacts(
        names=stored.names,
        digest=str(descriptor.digest),
        media_type=descriptor.media_type or "",
        size=descriptor.size or 0,
        platform=str(descriptor.platform or ""),
        present=stored.location is not None,
    )


def _image(image: Image) -> ImageFacts:
    config, manifest = image.config, image.manifest
    steps = _created_by(config, len(image.layers))
    layers = tuple(_layer(layer, step) for layer, step in zip(image.layers, steps, strict=True))
    distinct = {layer.digest or layer.path: layer.size or 0 for layer in layers}
    documents = len(image.config_raw) + (len(manifest.raw) if manifest else 0)
    has_id = config is not None and not image.legacy
    return ImageFacts(
        names=image.names,
        digest=str(manifest.digest) if manifest else None,
        media_type=manifest.media_type if manifest else None,
        size=documents + sum(distinct.values()),
        image_id=str(image.config_descriptor.digest) if has_id else None,
        platform=str(platform_of(image)),
        created=config.created if config else "",
        author=config.author if config else "",
        config=config.runtime if config else None,
        layers=layers,
        annotations=dict(manifest.annotations) if manifest else {},
        findings=tuple(dict.fromkeys(image.findings)),
    )


def _created_by(config: ImageConfig | None, layers: int) -> list[str | None]:
    """What made each layer, where the history has as many steps that made one."""
    steps = [step for step in config.history if not step.empty_layer] if config else []
    if len(steps) != layers:
        return [None] * layers
    return [step.created_by or None for step in steps]


def _layer(layer: StoredLayer, created_by: str | None) -> LayerFacts:
    location, promised = layer.location, layer.descriptor
    size = promised.size
    if size is None and location is not None:
        size = location.size
    media_type, digest = promised.media_type, promised.digest
    if media_type is None and (codec := _sniffed(layer)) is not None:
        media_type = layer_media_type(codec)
        if codec == "identity" and digest is None:
            digest = layer.diff_id
    return LayerFacts(
        path=layer.name,
        media_type=media_type,
        digest=None if digest is None else str(digest),
        size=size,
        diff_id=None if layer.diff_id is None else str(layer.diff_id),
        created_by=created_by,
        present=location is not None,
    )


def _sniffed(layer: StoredLayer) -> str | None:
    """How a layer is compressed, by its first bytes; None where they cannot be looked at."""
    location = layer.location
    if location is None or location.open is None:
        return None
    descriptor = location.open()
    try:
        head = os.pread(descriptor, min(SNIFF_BYTES, location.size), location.offset)
    finally:
        os.close(descriptor)
    codec = sniff(head)
    return codec if codec in CODECS else None


def _shallow(facts: object) -> dict[str, Any]:
    """The fields of a value of this module as they are, but for those that hold more of them."""
    values = {name: getattr(facts, name) for name in facts.__slots__}  # type: ignore[attr-defined]
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
    }
