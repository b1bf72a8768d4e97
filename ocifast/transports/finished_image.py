"""An image that is finished, and the files it becomes in an archive or a `dir:`.

Pure functions: they give names, and for each its bytes or the digest of the blob that has them.
*Invariant:* the same images give the same files in the same order, and what tells what is in an
archive comes first, so that a reader of a stream knows it early.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from ocifast.errors import ReferenceSyntaxError, UnsupportedError
from ocifast.spec.digest import Digest
from ocifast.spec.media_type import is_config, is_index, is_manifest
from ocifast.spec.reference import ImageName
from ocifast.spec.save_manifest import SavedImage, build_repositories, build_save_manifest
from ocifast.transports.directory import DIRECTORY_VERSION, blob_file, manifest_file
from ocifast.transports.layout_index import add_entries
from ocifast.transports.layout_writer import LAYOUT_RAW
from ocifast.transports.walk import blob_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ocifast.spec.descriptor import Descriptor
    from ocifast.spec.manifest import Manifest

__all__ = [
    "FinishedImage",
    "StoreMember",
    "directory_members",
    "docker_archive_members",
    "oci_archive_members",
    "repo_tag",
]


@dataclass(frozen=True, slots=True)
class FinishedImage:
    """An image or index all of whose blobs lie in one blob store.

    `top` is what index.json says of it; `blobs` are all it is made of, `top` included, each with
    the media type it has in its manifest. `manifest` and `diff_ids` are those of a runnable image.
    """

    top: Descriptor
    blobs: tuple[Descriptor, ...]
    names: tuple[str, ...] = ()
    manifest: Manifest | None = None
    diff_ids: tuple[str, ...] = field(default=())


class StoreMember(NamedTuple):
    """A file to be written: its bytes, or the digest of the blob that has them; else a folder."""

    name: str
    size: int = 0
    content: bytes | None = None
    digest: Digest | None = None


def oci_archive_members(images: Sequence[FinishedImage]) -> list[StoreMember]:
    """The files of an OCI layout that is packed into a tar.

    Raises:
        DocumentError: There are more entries than an index may have.
    """
    index = add_entries(None, ((image.top, image.names) for image in images))
    return [
        _member("oci-layout", LAYOUT_RAW),
        _member("index.json", index.raw),
        *_blobs(blob for image in images for blob in image.blobs),
    ]


def docker_archive_members(images: Sequence[FinishedImage]) -> list[StoreMember]:
    """The files of an archive that `docker load` reads, from 1.10 on, and readers of OCI layouts.

    Raises:
        UnsupportedError: An index, an artifact, or a name that Docker does not take.
    """
    tops: dict[str, dict[str, str]] = {}
    saved: dict[str, SavedImage] = {}
    for image in images:
        found = _saved(image)
        key = f"{found.config} {found.layers}"
        if key in saved:
            tags = dict.fromkeys((*saved[key].repo_tags, *found.repo_tags))
            found = replace(saved[key], repo_tags=tuple(tags))
        saved[key] = found
        for tag in found.repo_tags:
            repository, _, version = tag.rpartition(":")
            top = image.diff_ids[-1] if image.diff_ids else ""
            tops.setdefault(repository, {})[version] = top.partition(":")[2]
    members = oci_archive_members(images)
    documents = [
        _member("manifest.json", build_save_manifest(_last_of_each_tag(list(saved.values())))),
        _member(
            "repositories", build_repositories({k: v for k, v in tops.items() if all(v.values())})
        ),
    ]
    return [*members[:2], *documents, *members[2:]]


def directory_members(image: FinishedImage) -> list[StoreMember]:
    """The files of skopeo's `dir:`, its manifest.json last."""
    found: dict[str, StoreMember] = {"version": _member("version", DIRECTORY_VERSION.encode())}
    top = Digest(image.top.digest or "")
    for blob in image.blobs:
        digest, media_type = Digest(blob.digest or ""), blob.media_type or ""
        if digest != top:
            is_document = is_manifest(media_type) or is_index(media_type)
            name = manifest_file(digest) if is_document else blob_file(digest)
            found[name] = StoreMember(name, blob.size or 0, digest=digest)
    manifest = StoreMember("manifest.json", image.top.size or 0, digest=top)
    return [*found.values(), manifest]


def _member(name: str, content: bytes) -> StoreMember:
    return StoreMember(name, len(content), content)


def _blobs(blobs: Iterable[Descriptor]) -> list[StoreMember]:
    """Folders, then each blob once: documents before layers, sorted."""
    found: dict[str, tuple[bool, StoreMember]] = {}
    for blob in blobs:
        digest, media_type = Digest(blob.digest or ""), blob.media_type or ""
        is_document = is_manifest(media_type) or is_index(media_type) or is_config(media_type)
        name = blob_path(digest)
        found.setdefault(name, (not is_document, StoreMember(name, blob.size or 0, digest=digest)))
    folders = sorted({name.rpartition("/")[0] for name in found})
    return [
        *(StoreMember(name) for name in ("blobs", *folders)),
        *(member for _, member in sorted(found.values())),
    ]


def _saved(image: FinishedImage) -> SavedImage:
    manifest = image.manifest
    if manifest is None or not is_config(manifest.config.media_type or ""):
        raise UnsupportedError(
            "a docker-archive holds single images, not indexes or artifacts: choose a platform"
        )
    return SavedImage(
        config=blob_path(Digest(manifest.config.digest or "")),
        layers=tuple(blob_path(Digest(layer.digest or "")) for layer in manifest.layers),
        repo_tags=tuple(dict.fromkeys(map(repo_tag, image.names))),
        layer_sources=dict(zip(image.diff_ids, manifest.layers, strict=False)),
    )


def repo_tag(name: str) -> str:
    """The familiar form of a name, with its tag, as `docker load` takes it.

    Raises:
        UnsupportedError: Docker does not take it.

    Example:
        >>> repo_tag("docker.io/library/debian")
        'debian:latest'
    """
    try:
        full = ImageName.parse_normalized(name).with_default_tag()
    except ReferenceSyntaxError as error:
        raise UnsupportedError(
            f"Docker does not take the name {name[:80]!r}: {error.reason}"
        ) from None
    return replace(full, digest=None).with_default_tag().familiar


def _last_of_each_tag(saved: list[SavedImage]) -> list[SavedImage]:
    """Leave a tag to the last image that has it, as index.json does."""
    owner = {tag: number for number, image in enumerate(saved) for tag in image.repo_tags}
    return [
        replace(image, repo_tags=tuple(tag for tag in image.repo_tags if owner[tag] == number))
        for number, image in enumerate(saved)
    ]
