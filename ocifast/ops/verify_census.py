"""What a store holds and promises: its images, the documents they are made of, the blobs they need.

It goes through what a transport has read, notes what does not fit together, and lists the blobs to
be read. It reads no layer. *Invariant:* a file is listed once, with every promise made of it.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ocifast.errors import DigestSyntaxError, DocumentError, StoreError
from ocifast.ops.verification import VerifiedImage
from ocifast.ops.verify_blob import Blob, Claim
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.document import MANIFEST_BYTES, parse_json
from ocifast.spec.media_type import is_config, is_foreign, is_index, is_layer, is_manifest
from ocifast.spec.reference import is_layout_name
from ocifast.transports.base import Image, ImageIndex, Location
from ocifast.transports.directory import blob_file, manifest_file
from ocifast.transports.folder import FolderFiles
from ocifast.transports.layout import full_name
from ocifast.transports.walk import blob_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.verify_notes import Notes
    from ocifast.spec.index import Index
    from ocifast.spec.manifest import Manifest
    from ocifast.spec.platform import Platform
    from ocifast.transports.base import Files, Opaque, Stored, StoredLayer

__all__ = ["Census", "Seen"]

DOCUMENTS: Final = ("oci-layout", "index.json", "manifest.json", "repositories", "version")
BLOB: Final = re.compile(r"blobs/([^/]+)/([^/]+)")
HIDDEN: Final = "."
"""Files of a writer that is at work, or was interrupted, begin with it; no blob does."""


@dataclass(eq=False, slots=True)
class Seen:
    """An image that was looked at, and the files it needs."""

    label: str
    image: Image
    blobs: list[Blob] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Stored bytes of its layers, equal ones counted once."""
        return sum({id(blob): blob.size for blob in self.blobs}.values())

    def verified(self, *, ok: bool) -> VerifiedImage:
        """Say what became of it."""
        image = self.image
        config = image.config
        return VerifiedImage(
            names=image.names,
            digest=str(image.manifest.digest) if image.manifest else None,
            image_id=str(config.image_id) if config is not None and config.raw else None,
            platform=str(config.platform) if config is not None else None,
            layers=len(image.layers),
            size=self.size,
            ok=ok,
        )


class Census:
    """Goes through the images of one store; `transport` is how it names its files."""

    def __init__(self, files: Files, transport: str, notes: Notes) -> None:
        self._files = files
        self._folder = isinstance(files, FolderFiles)
        self._is_directory = transport == "dir"
        self._notes = notes
        self._blobs: dict[object, Blob] = {}
        self._documents: dict[str, int] = {}
        self.images: list[Seen] = []

    @property
    def blobs(self) -> list[Blob]:
        """What has to be read, each once."""
        return list(self._blobs.values())

    @property
    def documents(self) -> tuple[int, int]:
        """How many documents were held against their digests, and their bytes."""
        return len(self._documents), sum(self._documents.values())

    def add(self, stored: Stored, label: str = "") -> None:
        """Go through an image or index, and whatever hangs on it."""
        label = label or _label(stored)
        if isinstance(stored, Image):
            self._image(stored, label)
        elif isinstance(stored, ImageIndex):
            self._read(stored.descriptor, stored.index)
            for child in stored.children:
                self.add(child, f"{label} ({_part(child)})")
        else:
            self._opaque(stored, label)

    def check_names(self, roots: tuple[Stored, ...]) -> None:
        """Look at the names of the images themselves: each means one image (per platform)."""
        meant: dict[tuple[str, Platform | None], set[str]] = {}
        for root in roots:
            platform = root.descriptor.platform if root.descriptor is not None else None
            for name in root.names:
                if not is_layout_name(name) and full_name(name) is None:
                    self._notes.odd("name", name, "it is not a name of an image", (_label(root),))
                meant.setdefault((full_name(name) or name, platform), set()).add(_identity(root))
        for (name, _), images in meant.items():
            if len(images) > 1:
                self._notes.odd("name", name, f"it is the name of {len(images)} images")

    def sweep(self) -> list[str]:
        """List what nothing needs; the blobs among it are held against their names."""
        reached = {_digest_path(digest) for digest in self._documents}
        reached |= {blob.name for blob in self._blobs.values()}
        left = []
        for name in sorted(self._files.names()):
            if name in reached or name in DOCUMENTS:
                continue
            left.append(name)
            found = BLOB.fullmatch(name)
            if found and not found[2].startswith(HIDDEN):
                self._unreached(name, f"{found[1]}:{found[2]}")
        return left

    def _unreached(self, name: str, text: str) -> None:
        try:
            digest = Digest.parse(text)
            location = self._files.locate(name)
        except DigestSyntaxError:
            self._notes.odd("name", name, "it is in the place of a blob, and its name is no digest")
        except StoreError as error:
            self._notes.error(name, error)
        else:
            self._claim(name, location, Claim(Descriptor(digest=digest)))

    def _image(self, image: Image, label: str) -> None:
        seen = Seen(label, image)
        self.images.append(seen)
        if image.manifest is not None:
            self._read(image.descriptor, image.manifest)
        if not image.legacy:
            config = str(image.config_descriptor.digest)
            self._documents[config] = len(image.config_raw)
            self._notes.blame(self._name(config), label)
        for text in image.findings:
            self._notes.finding("document", "", text, (label,))
        self._check_platform(image, label)
        for layer in image.layers:
            self._layer(layer, seen)

    def _read(self, descriptor: Descriptor | None, document: Manifest | Index) -> None:
        """Note a document that was held against its descriptor, if it has one, when it was read."""
        digest = document.digest if descriptor is None else descriptor.digest
        self._documents[str(digest)] = len(document.raw)

    def _layer(self, layer: StoredLayer, seen: Seen) -> None:
        image, media_type = seen.image, layer.descriptor.media_type or ""
        # Of an image whose config is broken the layers are still layers; those of artifacts are not
        broken = not image.config_raw and is_config(image.config_descriptor.media_type or "")
        is_tar = image.config is not None or (broken and is_layer(media_type))
        claim = Claim(layer.descriptor, seen.label, is_tar, layer.diff_id)
        data = layer.descriptor.data if layer.location is None else None
        if layer.location is not None or data is not None:
            seen.blobs.append(self._claim(layer.name, layer.location, claim, data))
        elif self._notes.is_wrong(layer.name):
            self._notes.blame(layer.name, seen.label)
        elif is_foreign(media_type):
            text = "it is not here: it is fetched from elsewhere"
            self._notes.finding("foreign", layer.name, text, (seen.label,))
        else:
            self._notes.wrong("missing", layer.name, "there is no such file", (seen.label,))

    def _opaque(self, stored: Opaque, label: str) -> None:
        descriptor = stored.descriptor
        name = self._name(str(descriptor.digest))
        if stored.location is not None:
            self._claim(name, stored.location, Claim(descriptor, label))
            self._check_announced(name, descriptor, stored.location, label)
        elif not self._notes.is_wrong(name):
            text = "an index names it, and it is not there, or its config is not"
            self._notes.odd("missing", name, text, (label,))
        self._notes.blame(name, label)

    def _claim(
        self, name: str, location: Location | None, claim: Claim, data: bytes | None = None
    ) -> Blob:
        # Links in an archive lead to the same bytes, which are read once.
        place = name if self._folder or location is None else location[1:]
        blob = self._blobs.get(place)
        if blob is None:
            if location is not None and location.open is None:
                data = self._kept(name)
            self._blobs[place] = blob = Blob(name, location, data)
        blob.claims.append(claim)
        return blob

    def _kept(self, name: str) -> bytes | None:
        """What was kept of a stream, if this was: documents are."""
        try:
            return self._files.read(name, 1 << 62)
        except StoreError:
            return None

    def _check_announced(
        self, name: str, descriptor: Descriptor, location: Location, label: str
    ) -> None:
        """Hold the type an index announces against what a document says of itself (J01)."""
        media_type = descriptor.media_type or ""
        if is_index(media_type) or is_manifest(media_type) or location.size > MANIFEST_BYTES:
            return
        try:
            value = parse_json(self._files.read(name, MANIFEST_BYTES), what=name, limit=1 << 62)
        except (DocumentError, StoreError):
            return
        if not isinstance(value, dict):
            return
        own = value.get("mediaType", media_type)
        if own != media_type:
            text = f"it is announced as {media_type:.100}, and says it is {own!s:.100}"
            self._notes.wrong("media_type", name, text, (label,))
        elif "manifests" in value or ("config" in value and "layers" in value):
            text = f"it is announced as {media_type:.100}, and is an index or manifest"
            self._notes.wrong("media_type", name, text, (label,))

    def _check_platform(self, image: Image, label: str) -> None:
        """Hold the platform an index gives an image against its config."""
        listed = image.descriptor.platform if image.descriptor is not None else None
        if listed is None or image.config is None or listed.is_unknown:
            return
        for key, said, true in _compared(listed.normalized(), image.config.platform.normalized()):
            if said != true:
                text = f"{key} is {true!r}, and the index says {said!r}"
                name = self._name(str(image.config_descriptor.digest))
                self._notes.odd("platform", name, text, (label,))

    def _name(self, digest: str) -> str:
        """How the file of a document is called."""
        if not self._is_directory:
            return _digest_path(digest)
        name = manifest_file(Digest(digest))
        is_there = True  # unless it is found out that there is nothing, not even a wrong thing
        with contextlib.suppress(StoreError):
            is_there = self._files.find(name) is not None
        return name if is_there else blob_file(Digest(digest))


def _compared(listed: Platform, own: Platform) -> Iterator[tuple[str, str, str]]:
    """What is to be equal; details may be left out on either side."""
    yield "os", listed.os, own.os
    yield "architecture", listed.architecture, own.architecture
    if listed.variant and own.variant:
        yield "variant", listed.variant, own.variant
    if listed.os_version and own.os_version:
        yield "os.version", listed.os_version, own.os_version


def _digest_path(digest: str) -> str:
    return blob_path(Digest(digest))


def _label(stored: Stored) -> str:
    """What a person calls an image."""
    if stored.names:
        return stored.names[0]
    if stored.descriptor is not None:
        return str(stored.descriptor.digest)
    return _identity(stored)


def _part(stored: Stored) -> str:
    """What tells one of an index from the others."""
    descriptor = stored.descriptor
    assert descriptor is not None
    platform = descriptor.platform
    return str(platform if platform and not platform.is_unknown else descriptor.digest)


def _identity(root: Stored) -> str:
    """What a name stands for: the digest of an index or manifest, or of a config without one."""
    if isinstance(root, Image):
        document: Manifest | None = root.manifest
        return str(document.digest if document is not None else root.config_descriptor.digest)
    return str(root.index.digest if isinstance(root, ImageIndex) else root.descriptor.digest)
