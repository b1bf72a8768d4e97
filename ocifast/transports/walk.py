"""From a descriptor to all that hangs on it: indexes, manifests, configs, and where layers lie.

Shared by the stores that keep blobs by digest; how blobs are named is told by the store. It reads
documents and no layers. *Invariant:* a document is parsed only after its size and digest were found
to be those of the descriptor (hardening J06, J08), and the walk ends whatever indexes name (J05).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ocifast.errors import DigestMismatch, DocumentError, SizeMismatch, StoreError
from ocifast.spec.config import ImageConfig, check_layers
from ocifast.spec.digest import Digest
from ocifast.spec.document import CONFIG_BYTES, MANIFEST_BYTES
from ocifast.spec.index import Index, is_attestation
from ocifast.spec.manifest import Manifest
from ocifast.spec.media_type import is_config, is_index, is_layer, is_manifest
from ocifast.transports.base import Image, ImageIndex, Opaque, StoredLayer
from ocifast.transports.collecting import collecting

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.errors import OcifastError
    from ocifast.limits import Profile
    from ocifast.spec.descriptor import Descriptor
    from ocifast.transports.base import Files, Location, Stored
    from ocifast.transports.collecting import Collect

    Names = tuple[str, ...]

__all__ = ["Naming", "Walk", "blob_path"]

DEPTH: Final = 8
"""Indexes within each other; two are seen."""
NODES: Final = 10_000
"""Manifests and indexes below one entry, counting each as often as it is reached."""
TOTAL_NODES: Final = 200_000
"""Below all entries that are looked up: a layout may hold thousands of images."""


def blob_path(digest: Digest) -> str:
    """Where an OCI layout keeps a blob.

    Example:
        >>> blob_path(Digest("sha256:00"))
        'blobs/sha256/00'
    """
    return f"blobs/{digest.algorithm}/{digest.encoded}"


@dataclass(frozen=True, slots=True)
class Naming:
    """How a store names what it holds: candidates for a manifest or index, and for other blobs."""

    manifests: Callable[[Digest], Names]
    blobs: Callable[[Digest], Names]


LAYOUT: Final = Naming(lambda digest: (blob_path(digest),), lambda digest: (blob_path(digest),))


class Walk:
    """One look at a store; documents that are named twice are read once.

    With `collect`, what is wrong with one document is told to it, and the others are looked at.
    """

    def __init__(
        self,
        files: Files,
        profile: Profile,
        naming: Naming = LAYOUT,
        collect: Collect | None = None,
    ) -> None:
        self._files = files
        self._profile = profile
        self._naming = naming
        self._collect = collect
        self._seen: dict[tuple[str, str | None, bool], tuple[Stored, int]] = {}
        self._nodes = 0
        self._total = 0

    def root(self, descriptor: Descriptor, names: Names = ()) -> Stored:
        """Look up what an entry of the store's own index means; it has to be there.

        Raises:
            DocumentError, SizeMismatch, DigestMismatch: A document is malformed or another one.
            StoreError: A document is not there.
            UnsupportedError: It is of a kind that is no longer read, or has an unknown digest.
        """
        self._total += self._nodes
        self._nodes = 0
        return replace(self._look_up(descriptor, 0, required=True), names=names)

    def document(self, raw: bytes, name: str) -> Image | ImageIndex:
        """Look up what a manifest or index means that was found without a descriptor."""
        from ocifast.spec.index import parse_manifest_or_index

        parsed = parse_manifest_or_index(raw, document=name)
        if isinstance(parsed, Index):
            return self._index(parsed, None, 0)
        return self._image(parsed, None, name)

    def _look_up(self, descriptor: Descriptor, depth: int, *, required: bool) -> Stored:
        key = (str(descriptor.digest), descriptor.media_type, is_attestation(descriptor))
        found, below = self._seen.get(key, (None, 0))
        before = self._nodes
        self._count(1 + below)
        if found is None:
            with collecting(self._collect, self._naming.manifests(_digest(descriptor))[0]):
                found = self._read_node(descriptor, depth, required=required)
            broken = found is None
            found = found or self._opaque(descriptor)
            if broken or not isinstance(found, Opaque):
                self._seen[key] = found, self._nodes - before - 1
        return replace(found, descriptor=descriptor)

    def _count(self, nodes: int) -> None:
        """Count what is named with all that hangs on it, as whoever follows the result meets it."""
        self._nodes += nodes
        for count, limit in ((self._nodes, NODES), (self._total + self._nodes, TOTAL_NODES)):
            if count > limit:
                reason = f"its indexes name more than {limit} documents"
                raise StoreError(self._files.path, "", reason)

    def _read_node(self, descriptor: Descriptor, depth: int, *, required: bool) -> Stored:
        media_type = descriptor.media_type or ""
        if not is_index(media_type) and not is_manifest(media_type):
            return self._opaque(descriptor)
        raw = self._blob(descriptor, self._naming.manifests, MANIFEST_BYTES, required=required)
        if raw is None:
            return self._opaque(descriptor)
        document = str(descriptor.digest)
        if is_index(media_type):
            if depth >= DEPTH:
                reason = f"indexes are nested deeper than {DEPTH}"
                raise StoreError(self._files.path, document, reason)
            index = Index.parse(raw, document=document, media_type=media_type)
            return self._index(index, descriptor, depth)
        manifest = Manifest.parse(raw, document=document, media_type=media_type)
        if not required and self._find(self._naming.blobs, manifest.config) is None:
            # As if it were not there: an index may name platforms that were not saved with it.
            return Opaque(self._files.path, (), descriptor, None)
        return self._image(manifest, descriptor, document)

    def _index(self, index: Index, descriptor: Descriptor | None, depth: int) -> ImageIndex:
        children = tuple(
            self._look_up(child, depth + 1, required=False) for child in index.manifests
        )
        return ImageIndex(self._files.path, (), index, children, descriptor)

    def _image(self, manifest: Manifest, descriptor: Descriptor | None, document: str) -> Image:
        raw, config = b"", None
        findings: tuple[str, ...] = ()
        with collecting(self._collect, self._naming.blobs(_digest(manifest.config))[0]):
            raw, config, findings = self._config(manifest, descriptor, document)
        return Image(
            store=self._files.path,
            names=(),
            manifest=manifest,
            config_descriptor=manifest.config,
            config_raw=raw,
            config=config,
            layers=self._layers(manifest, config),
            descriptor=descriptor,
            findings=findings,
        )

    def _config(
        self, manifest: Manifest, descriptor: Descriptor | None, document: str
    ) -> tuple[bytes, ImageConfig | None, tuple[str, ...]]:
        """Read the config, if it is one of a runnable image: its bytes, itself, oddities."""
        raw = self._blob(manifest.config, self._naming.blobs, CONFIG_BYTES, required=True)
        assert raw is not None
        if not is_config(manifest.config.media_type or "") or (
            descriptor is not None and is_attestation(descriptor)
        ):
            return raw, None, ()
        name = str(manifest.config.digest)
        strange = [n for n, layer in enumerate(manifest.layers) if not _is_tar(layer)]
        if strange:
            kind = f"{manifest.layers[strange[0]].media_type:.80}"
            # Signatures are kept in images of no operating system; in one that runs, nobody would
            # hold such a layer against its diff_id.
            if self._profile == "strict" and ImageConfig.parse(raw, document=name).os:
                reason = f"{kind} is no type of a layer, and the image is one to be run"
                raise DocumentError(document, f"layers[{strange[0]}].mediaType", reason)
            return raw, None, (f"{document}: layers of type {kind} are not looked into",)
        config = ImageConfig.parse(raw, document=name)
        layers = len(manifest.layers)
        return raw, config, check_layers(config, layers, document=name, profile=self._profile)

    def _layers(self, manifest: Manifest, config: ImageConfig | None) -> tuple[StoredLayer, ...]:
        diff_ids = config.diff_ids if config else (None,) * len(manifest.layers)
        layers = []
        for layer, diff_id in zip(manifest.layers, diff_ids, strict=True):
            name, location = self._place(layer)
            layers.append(StoredLayer(name, layer, diff_id, location))
        return tuple(layers)

    def _opaque(self, descriptor: Descriptor) -> Opaque:
        return Opaque(self._files.path, (), descriptor, self._place(descriptor)[1])

    def _place(self, descriptor: Descriptor) -> tuple[str, Location | None]:
        """Say how a blob is called here, and where it lies, if it is there."""
        name, found = self._naming.blobs(_digest(descriptor))[0], None
        with collecting(self._collect, name):
            found = self._find(self._naming.blobs, descriptor)
        return found or (name, None)

    def _find(
        self, naming: Callable[[Digest], Names], descriptor: Descriptor
    ) -> tuple[str, Location] | None:
        for name in naming(_digest(descriptor)):
            location = self._files.find(name)
            if location is not None:
                return name, location
        return None

    def _blob(
        self,
        descriptor: Descriptor,
        naming: Callable[[Digest], Names],
        limit: int,
        *,
        required: bool,
    ) -> bytes | None:
        """Read a document and hold it against its descriptor; None when it is not there."""
        found = self._find(naming, descriptor)
        if found is None:
            if descriptor.data is not None:  # was held against size and digest when it was parsed
                return descriptor.data
            if not required:
                return None
            name = naming(_digest(descriptor))[0]
            raise StoreError(self._files.path, name, "there is no such file in it")
        name, location = found
        return read_promised(self._files, name, location, descriptor, limit)


def read_promised(
    files: Files, name: str, location: Location, descriptor: Descriptor, limit: int
) -> bytes:
    """Read a document that a descriptor promises.

    Raises:
        SizeMismatch, DigestMismatch: It is not the one that was promised.
        DocumentError: It is longer than any that is read.
        StoreError: It cannot be read from this store.
    """
    if descriptor.size is not None:
        if descriptor.size > limit:
            reason = f"its descriptor gives it {descriptor.size} bytes, {limit} are read"
            raise DocumentError(str(descriptor.digest), "", reason)
        if location.size != descriptor.size:
            raise _noted(SizeMismatch(descriptor.size, location.size), files, name)
    raw = files.read(name, limit)
    if descriptor.digest is not None:
        promised = Digest(descriptor.digest)
        actual = f"{promised.algorithm}:{hashlib.new(promised.algorithm, raw).hexdigest()}"
        if actual != promised:
            raise _noted(DigestMismatch(promised, actual), files, name)
    return raw


def _noted(error: OcifastError, files: Files, name: str) -> OcifastError:
    error.add_note(f"{name} of {files.path}")
    return error


def _digest(descriptor: Descriptor) -> Digest:
    """Give the digest of a descriptor out of a document, which always has one."""
    return Digest(descriptor.digest or "")


def _is_tar(layer: Descriptor) -> bool:
    return is_layer(layer.media_type or "")
