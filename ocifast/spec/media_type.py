"""Media types: what a blob is said to be (image-spec, media-types.md; Docker image manifest V2.2).

A table of names and questions about them; it knows no documents. *Invariant:* a type that is not in
the table is an answer (None or False), never an error: unknown types are copied as they are.
"""

from __future__ import annotations

from typing import Final, Literal

from ocifast.errors import UnsupportedError

__all__ = [
    "CONFIG",
    "DESCRIPTOR",
    "DOCKER_CONFIG",
    "DOCKER_FOREIGN_LAYER",
    "DOCKER_LAYER",
    "DOCKER_LIST",
    "DOCKER_MANIFEST",
    "DOCKER_PLUGIN",
    "EMPTY",
    "INDEX",
    "LAYER",
    "LAYOUT_HEADER",
    "MANIFEST",
    "NONDISTRIBUTABLE_LAYER",
    "SCHEMA1",
    "SCHEMA1_SIGNED",
    "Family",
    "codec_of",
    "family_of",
    "is_config",
    "is_foreign",
    "is_index",
    "is_layer",
    "is_manifest",
    "is_schema1",
    "layer_media_type",
]

Family = Literal["oci", "docker"]
"""Whose vocabulary a document is written in; the blobs it names are the same bytes in both."""

DESCRIPTOR: Final = "application/vnd.oci.descriptor.v1+json"
LAYOUT_HEADER: Final = "application/vnd.oci.layout.header.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
NONDISTRIBUTABLE_LAYER: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"

DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_PLUGIN: Final = "application/vnd.docker.plugin.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_FOREIGN_LAYER: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar"
SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"

OCI_SUFFIXES: Final = {"identity": "", "gzip": "+gzip", "zstd": "+zstd"}
DOCKER_SUFFIXES: Final = {"identity": "", "gzip": ".gzip", "zstd": ".zstd"}

CODECS: Final = {
    base + suffix: codec
    for base, suffixes in (
        (LAYER, OCI_SUFFIXES),
        (NONDISTRIBUTABLE_LAYER, OCI_SUFFIXES),
        (DOCKER_LAYER, DOCKER_SUFFIXES),
        (DOCKER_FOREIGN_LAYER, DOCKER_SUFFIXES),
    )
    for codec, suffix in suffixes.items()
}


def layer_media_type(codec: str, family: Family = "oci", *, foreign: bool = False) -> str:
    """Give the media type of a layer compressed with a codec.

    Raises:
        UnsupportedError: Docker's schema 2 has no zstd layers.

    Example:
        >>> layer_media_type("zstd")
        'application/vnd.oci.image.layer.v1.tar+zstd'
        >>> layer_media_type("gzip", "docker")
        'application/vnd.docker.image.rootfs.diff.tar.gzip'
    """
    if family == "oci":
        return (NONDISTRIBUTABLE_LAYER if foreign else LAYER) + OCI_SUFFIXES[codec]
    if codec == "zstd":
        raise UnsupportedError(
            "Docker's schema 2 has no zstd layers: write an OCI manifest, or compress with gzip"
        )
    return (DOCKER_FOREIGN_LAYER if foreign else DOCKER_LAYER) + DOCKER_SUFFIXES[codec]


def codec_of(media_type: str) -> str | None:
    """Name the codec a layer media type promises; None for types that are not layers we know."""
    return CODECS.get(media_type)


def is_layer(media_type: str) -> bool:
    """Whether it is a layer of either family, in a compression that is known."""
    return media_type in CODECS


def is_foreign(media_type: str) -> bool:
    """Whether it is a layer that is not to be distributed, and may be missing from stores (J13)."""
    return media_type.startswith((NONDISTRIBUTABLE_LAYER, DOCKER_FOREIGN_LAYER))


def is_index(media_type: str) -> bool:
    """Whether it is an OCI index or a Docker manifest list."""
    return media_type in (INDEX, DOCKER_LIST)


def is_manifest(media_type: str) -> bool:
    """Whether it is an OCI manifest or a Docker schema 2 manifest."""
    return media_type in (MANIFEST, DOCKER_MANIFEST)


def is_schema1(media_type: str) -> bool:
    """Whether it is Docker's manifest of before 2016, which registries no longer serve."""
    return media_type in (SCHEMA1, SCHEMA1_SIGNED)


def is_config(media_type: str) -> bool:
    """Whether it is the config of an image that can be run; others are not parsed (J12)."""
    return media_type in (CONFIG, DOCKER_CONFIG)


def family_of(media_type: str) -> Family | None:
    """Tell OCI's types from Docker's; None for types of neither.

    Example:
        >>> family_of("application/vnd.docker.container.image.v1+json")
        'docker'
    """
    if media_type.startswith("application/vnd.oci."):
        return "oci"
    return "docker" if media_type.startswith("application/vnd.docker.") else None
