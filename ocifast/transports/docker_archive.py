"""Output of `docker save`, in all the forms it has had, from Docker 1.0 to 29 and of other tools.

manifest.json says which files are the config and the layers of an image; where an OCI layout stands
beside it, that is read, and the two must agree (hardening D04). *Invariant:* every name in a
document is a key into the archive, and no layer is read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocifast.errors import (
    DigestMismatch,
    ImageNotFound,
    StoreError,
)
from ocifast.spec.config import ImageConfig, check_layers
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.document import CONFIG_BYTES, SAVE_MANIFEST_BYTES
from ocifast.spec.media_type import DOCKER_CONFIG
from ocifast.spec.save_manifest import parse_save_manifest
from ocifast.transports.base import Image, StoredLayer
from ocifast.transports.collecting import collecting
from ocifast.transports.docker_hybrid import check_agreement
from ocifast.transports.docker_legacy import read_legacy
from ocifast.transports.file_name import clean_name
from ocifast.transports.layout import full_name, read_layout

if TYPE_CHECKING:
    from ocifast.limits import Profile
    from ocifast.spec.save_manifest import SavedImage
    from ocifast.transports.base import Files, Location, Stored
    from ocifast.transports.collecting import Collect
    from ocifast.transports.reference import ImageReference

__all__ = ["read_docker_archive"]

SAVE_FILE: Final = "manifest.json"
CONTENT_NAME: Final = re.compile(r"(?:.*/)?(?:sha256:)?([a-f0-9]{64})(?:\.json)?")
BLOB_NAME: Final = re.compile(r"blobs/sha256/([a-f0-9]{64})")


def read_docker_archive(
    files: Files,
    wanted: ImageReference | None = None,
    profile: Profile = "compat",
    collect: Collect | None = None,
) -> tuple[Stored, ...]:
    """Give the images of an archive, or the one that is wanted, in its order.

    With `collect`, what is wrong with one of them is told to it, and the others are given.

    Raises:
        StoreError: It is no such archive, a document is not there, or two of them disagree.
        DocumentError, SizeMismatch, DigestMismatch: A document is malformed or another one.
        ImageNotFound, AmbiguousImage: Nothing is what is wanted, or several things are.
        UnsupportedError: Something is of a kind or version that is not read.
    """
    has_save = files.find(SAVE_FILE) is not None
    if files.find("oci-layout") is not None and files.find("index.json") is not None:
        if not has_save:
            return read_layout(files, wanted, profile, collect)
        return _hybrid(files, wanted, profile, collect)
    images = _saved(files, profile, collect) if has_save else read_legacy(files)
    return _select(files, images, wanted)


def _hybrid(
    files: Files, wanted: ImageReference | None, profile: Profile, collect: Collect | None
) -> tuple[Stored, ...]:
    """Both kinds of documents: the layout tells more, and manifest.json must say the same."""
    saved = _saved(files, profile, collect)
    stored = read_layout(files, None, profile, collect)
    unnamed: tuple[Image, ...] = ()
    with collecting(collect, SAVE_FILE):
        unnamed = check_agreement(files, saved, stored, profile)
    if wanted is None or not wanted.selector:
        return (*stored, *unnamed)
    if wanted.number is None and (wanted.name is not None or not unnamed):
        return read_layout(files, wanted, profile, collect)
    (image,) = _select(files, saved, wanted)
    return (image,)


def _saved(files: Files, profile: Profile, collect: Collect | None) -> tuple[Image, ...]:
    raw = files.read(SAVE_FILE, SAVE_MANIFEST_BYTES)
    used: dict[str, Digest] = {}
    images = []
    for saved in parse_save_manifest(raw, document=SAVE_FILE):
        with collecting(collect, saved.config):
            images.append(_image(files, saved, profile, used))
    return tuple(images)


def _image(files: Files, saved: SavedImage, profile: Profile, used: dict[str, Digest]) -> Image:
    name = clean_name(files.path, saved.config)
    raw = files.read(name, CONFIG_BYTES)
    digest = Digest.of_content(raw)
    findings = _check_content_name(files, name, digest, profile)
    config = ImageConfig.parse(raw, document=name)
    findings += check_layers(config, len(saved.layers), document=name, profile=profile)
    layers = []
    for written, diff_id in zip(saved.layers, config.diff_ids, strict=True):
        layer = clean_name(files.path, written)
        if used.setdefault(layer, diff_id) != diff_id:
            raise StoreError(files.path, layer, "it stands for layers with different diff_ids")
        layers.append(_layer(files, saved, layer, diff_id))
    return Image(
        store=files.path,
        names=saved.repo_tags,
        manifest=None,
        config_descriptor=Descriptor(DOCKER_CONFIG, digest, len(raw)),
        config_raw=raw,
        config=config,
        layers=tuple(layers),
        findings=(*files.findings, *findings),
    )


def _layer(files: Files, saved: SavedImage, name: str, diff_id: Digest) -> StoredLayer:
    location = files.find(name)
    source = saved.layer_sources.get(diff_id)
    blob = BLOB_NAME.fullmatch(name)
    digest = f"sha256:{blob[1]}" if blob else None
    if source is not None and (source.digest != digest or not _fits(source, location)):
        source = None  # it speaks of the layer as it was in a registry
    return StoredLayer(name, source or Descriptor(digest=digest), diff_id, location)


def _fits(source: Descriptor, location: Location | None) -> bool:
    return location is None or source.size == location.size


def _check_content_name(
    files: Files, name: str, digest: Digest, profile: Profile
) -> tuple[str, ...]:
    """Hold a config against a name that looks like its digest; only in a layout it has to be."""
    named = CONTENT_NAME.fullmatch(name)
    if named is None or named[1] == digest.encoded:
        return ()
    if profile == "strict" or BLOB_NAME.fullmatch(name):
        error = DigestMismatch(f"sha256:{named[1]}", digest)
        error.add_note(f"{name} of {files.path}")
        raise error
    return (f"{name} has the digest {digest}, its name is another",)


def _select(
    files: Files, images: tuple[Image, ...], wanted: ImageReference | None
) -> tuple[Image, ...]:
    if wanted is None or not wanted.selector:
        return images
    if wanted.number is not None:
        found = images[wanted.number : wanted.number + 1]
    elif wanted.digest is not None:
        found = tuple(i for i in images if i.config_descriptor.digest == wanted.digest)
    else:
        full = full_name(wanted.name or "")
        meant = [(image, [n for n in image.names if full_name(n) == full]) for image in images]
        found = tuple(replace(image, names=tuple(names)) for image, names in meant if names)
    if not found:
        known = ", ".join(name for image in images for name in image.names)
        raise ImageNotFound(files.path, wanted.selector, known or f"{len(images)} without names")
    return found[-1:]  # of two images with one tag a loader would leave it to the last
