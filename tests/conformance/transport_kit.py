"""What every transport has to keep: images written by one are read back from it as they were.

`WRITERS` writes images with our writers; a transport missing there fails loudly, so teaching it
here is all a new one needs to be tested. Invariant: layers and configs keep their bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.ops.archive_writer import write_archive, write_directory
from ocifast.ops.image import open_store
from ocifast.transports.base import Image
from ocifast.transports.blob_store import BlobStore
from ocifast.transports.finished_image import (
    FinishedImage,
    directory_members,
    docker_archive_members,
    oci_archive_members,
)
from ocifast.transports.layout_writer import add_to_layout, prepare_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from support.images import Sample

__all__ = ["WRITERS", "copy_image", "facts", "finish"]


def finish(stored: Image, store: BlobStore) -> FinishedImage:
    """Put all an image is made of into a store."""
    manifest = stored.manifest
    assert manifest is not None
    store.put(manifest.raw)
    store.put(stored.config_raw)
    for layer in stored.layers:
        assert layer.location is not None
        assert layer.descriptor.digest is not None
        assert layer.descriptor.size is not None
        store.link(layer.location, layer.descriptor.digest, layer.descriptor.size)
    return FinishedImage(
        top=manifest.descriptor,
        blobs=(manifest.descriptor, manifest.config, *manifest.layers),
        names=stored.names,
        manifest=manifest,
        diff_ids=tuple(map(str, stored.config.diff_ids)) if stored.config else (),
    )


def write_oci(path: Path, images: Sequence[Image]) -> None:
    prepare_layout(str(path))
    with BlobStore(str(path)) as store:
        finished = [finish(image, store) for image in images]
    add_to_layout(str(path), [(image.top, image.names) for image in finished])


def write_oci_archive(path: Path, images: Sequence[Image]) -> None:
    with BlobStore(f"{path}.blobs") as store:
        members = oci_archive_members([finish(image, store) for image in images])
        write_archive(str(path), members, store)


def write_docker_archive(path: Path, images: Sequence[Image]) -> None:
    with BlobStore(f"{path}.blobs") as store:
        members = docker_archive_members([finish(image, store) for image in images])
        write_archive(str(path), members, store)


def write_dir(path: Path, images: Sequence[Image]) -> None:
    (image,) = images
    with BlobStore(f"{path}.blobs") as store:
        write_directory(str(path), directory_members(finish(image, store)), store)


WRITERS: dict[str, Callable[[Path, Sequence[Image]], None]] = {
    "oci": write_oci,
    "oci-archive": write_oci_archive,
    "docker-archive": write_docker_archive,
    "dir": write_dir,
}


def copy_image(source: str, transport: str, path: Path) -> str:
    """Copy every image of a store to another, and give its reference."""
    images = open_store(source)
    assert all(isinstance(image, Image) for image in images)
    WRITERS[transport](path, images)
    return f"{transport}:{path}"


def facts(sample: Sample) -> tuple[str, str, list[str], list[str]]:
    """What must be the same wherever an image is: id, manifest, digests, diff_ids."""
    from support.layers import sha256

    return (
        sample.image_id,
        sha256(sample.manifest),
        [layer.digest for layer in sample.layers],
        [layer.diff_id for layer in sample.layers],
    )
