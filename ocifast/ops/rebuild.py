"""New documents for an image whose layers have become other blobs.

Config bytes are kept, and with them the image ID, unless the other family requires a change, or the
tars have become others, as those of eStargz do. A manifest or index whose descriptors all stay the
same is kept byte for byte, and with it its digest. Nothing here reads or writes files. Invariant:
what a document promises of a layer is what was found by reading it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from ocifast.errors import StoreError
from ocifast.spec.config_conversion import to_oci, with_diff_ids
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.index import Index
from ocifast.spec.legacy import config_from_v1
from ocifast.spec.manifest import Manifest
from ocifast.spec.media_type import (
    CONFIG,
    MANIFEST,
    codec_of,
    family_of,
    is_config,
    is_foreign,
    layer_media_type,
)
from ocifast.transports.base import Image, ImageIndex, Opaque

if TYPE_CHECKING:
    from ocifast.transports.base import Stored, StoredLayer

    class Results(Protocol):
        """What has become of the layers."""

        def new_layer(self, layer: StoredLayer) -> Descriptor:
            """The descriptor of the blob that stands for a layer now."""

        def diff_id(self, layer: StoredLayer) -> str:
            """What was found to be the digest of the tar inside."""


__all__ = ["Rebuilt", "RebuiltImage", "rebuild"]

BOUND_TO_BYTES: Final = (
    "io.github.containers.zstd-chunked.",
    "io.containers.zstd-chunked.",
    "io.containers.estargz.",
    "containerd.io/snapshot/",
    "com.amazon.soci.",
)
"""Annotations that describe the bytes of a compressed blob, and are false of any other."""

REFERENCE_DIGEST: Final = "vnd.docker.reference.digest"
"""Of an attestation in an index: the manifest it speaks of (BuildKit)."""


@dataclass(frozen=True, slots=True)
class RebuiltImage:
    """An image as it will be written; `diff_ids` are None of an artifact."""

    manifest: Manifest
    config_raw: bytes
    diff_ids: tuple[str, ...] | None

    @property
    def image_id(self) -> Digest:
        """The digest of its config."""
        return Digest.of_content(self.config_raw)


@dataclass(slots=True)
class Rebuilt:
    """Everything an output needs of one image or index, but the blobs of its layers.

    `top` is what an index.json says of it. `documents` are to be stored as blobs, children before
    those that name them; `opaque` are those the sources hold and that are copied as they are.
    """

    top: Descriptor = field(default_factory=Descriptor)
    documents: list[bytes] = field(default_factory=list)
    images: list[RebuiltImage] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    opaque: list[Opaque] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    moved: dict[str, Descriptor] = field(default_factory=dict)
    """What manifests have become, by their old digest."""

    def blobs(self) -> tuple[Descriptor, ...]:
        """All blobs it is made of and that have to be there: layers, configs, documents."""
        found: dict[str, Descriptor] = {}
        for image in self.images:
            parts = (*image.manifest.layers, image.manifest.config, image.manifest.descriptor)
            for blob in parts:
                if not (is_foreign(blob.media_type or "") and blob.urls):
                    found[str(blob.digest)] = blob
        for index in self.indexes:
            found[str(index.digest)] = index.descriptor
        for opaque in self.opaque:
            found[str(opaque.descriptor.digest)] = opaque.descriptor
        return tuple(found.values())


def rebuild(stored: Stored, results: Results) -> Rebuilt:
    """Make the documents of an image or index from the new descriptors of its layers.

    Raises:
        StoreError: An index of which nothing is in the store.
    """
    result = Rebuilt()
    result.top = _rebuild(stored, results, result)
    return result


def _rebuild(stored: Stored, results: Results, result: Rebuilt) -> Descriptor:
    if isinstance(stored, Image):
        return _image(stored, results, result)
    if isinstance(stored, ImageIndex):
        return _index(stored, results, result)
    result.opaque.append(stored)
    return stored.descriptor


def _image(image: Image, results: Results, result: Rebuilt) -> Descriptor:
    layers = tuple(
        _described(layer, results.new_layer(layer), runnable=image.config is not None)
        for layer in image.layers
    )
    config_raw, config = _config(image, results)
    old = image.manifest
    subject = _moved(old.subject, result.moved) if old else None
    if old is not None and _same(old, config, layers) and subject == old.subject:
        manifest = old
    else:
        manifest = Manifest.build(
            config,
            layers,
            media_type=MANIFEST,
            annotations=old.annotations if old else {},
            subject=subject,
            artifact_type=old.artifact_type if old else None,
            extra=old.extra if old else None,
        )
    if image.descriptor is not None:
        result.moved[str(image.descriptor.digest)] = manifest.descriptor
    diff_ids = None
    if image.config is not None:
        diff_ids = tuple(results.diff_id(layer) for layer in image.layers)
    result.documents += [config_raw, manifest.raw]
    result.images.append(RebuiltImage(manifest, config_raw, diff_ids))
    return _renamed(image.descriptor, manifest.descriptor)


def _same(old: Manifest, config: Descriptor, layers: tuple[Descriptor, ...]) -> bool:
    return old.media_type == MANIFEST and old.config == config and old.layers == layers


def _config(image: Image, results: Results) -> tuple[bytes, Descriptor]:
    if image.config is None:
        return image.config_raw, image.config_descriptor
    if image.legacy:  # it has none: what is in it was spread over its layers
        raw = config_from_v1(image.legacy, [results.diff_id(layer) for layer in image.layers])
        raw = to_oci(raw)
        return raw, Descriptor(CONFIG, Digest.of_content(raw), len(raw))
    raw = to_oci(image.config_raw)
    diff_ids = [results.diff_id(layer) for layer in image.layers]
    if any(
        layer.diff_id not in (None, new) for layer, new in zip(image.layers, diff_ids, strict=True)
    ):
        raw = with_diff_ids(raw, diff_ids)
    old = image.config_descriptor
    digest = old.digest if raw == image.config_raw and old.digest else Digest.of_content(raw)
    media_type = CONFIG if old.media_type is None or is_config(old.media_type) else old.media_type
    data = old.data if raw == image.config_raw else None
    return raw, replace(old, media_type=media_type, digest=digest, size=len(raw), data=data)


def _described(layer: StoredLayer, new: Descriptor, *, runnable: bool) -> Descriptor:
    """The old descriptor of a layer with what is new, less what is no longer true of it."""
    old = layer.descriptor
    same = old.digest == new.digest
    if same and not runnable:
        return old
    media_type = new.media_type
    codec = codec_of(media_type or "")
    if codec is not None and is_foreign(old.media_type or ""):
        media_type = layer_media_type(codec, foreign=True)
    annotations = {
        key: value
        for key, value in old.annotations.items()
        if same or not key.startswith(BOUND_TO_BYTES)
    }
    annotations |= new.annotations
    if same:
        return replace(old, media_type=media_type, annotations=annotations)
    return replace(
        old,
        media_type=media_type,
        digest=new.digest,
        size=new.size,
        annotations=annotations,
        urls=(),
        data=None,
    )


def _index(stored: ImageIndex, results: Results, result: Rebuilt) -> Descriptor:
    present = [child for child in stored.children if not _absent(child)]
    if not present:
        raise StoreError(stored.store, "", "holds none of the images its index names")
    missing = len(stored.children) - len(present)
    if missing:
        result.findings.append(f"{missing} of the images the index names are not there, left out")
    # Those that speak of others last, when it is known what the others have become.
    new = {id(each): _rebuild(each, results, result) for each in sorted(present, key=_has_subject)}
    manifests = tuple(_speaking_of(new[id(child)], result.moved) for child in present)
    index = stored.index
    if manifests != index.manifests or family_of(index.media_type) != "oci":
        index = Index.build(
            manifests,
            annotations=index.annotations,
            subject=_moved(index.subject, result.moved),
            artifact_type=index.artifact_type,
            extra=index.extra,
        )
    result.documents.append(index.raw)
    result.indexes.append(index)
    return _renamed(stored.descriptor, index.descriptor)


def _has_subject(stored: Stored) -> bool:
    manifest = stored.manifest if isinstance(stored, Image) else None
    return manifest is not None and manifest.subject is not None


def _absent(child: Stored) -> bool:
    return isinstance(child, Opaque) and child.location is None


def _speaking_of(descriptor: Descriptor, moved: dict[str, Descriptor]) -> Descriptor:
    about = moved.get(descriptor.annotations.get(REFERENCE_DIGEST, ""))
    if about is None:
        return descriptor
    annotations = {**descriptor.annotations, REFERENCE_DIGEST: str(about.digest)}
    return replace(descriptor, annotations=annotations)


def _moved(subject: Descriptor | None, moved: dict[str, Descriptor]) -> Descriptor | None:
    new = None if subject is None else moved.get(str(subject.digest))
    return subject if new is None else _renamed(subject, new)


def _renamed(old: Descriptor | None, new: Descriptor) -> Descriptor:
    """Keep platform and annotations of the entry an index had for it."""
    if old is None:
        return new
    if (old.digest, old.media_type) == (new.digest, new.media_type):
        return old
    return replace(
        old, media_type=new.media_type, digest=new.digest, size=new.size, data=None, urls=()
    )
