"""Media types of layers (image-spec, media-types.md; Docker image manifest V2.2)."""

from __future__ import annotations

from typing import Final

__all__ = ["LAYER", "codec_of", "layer_media_type"]

LAYER: Final = "application/vnd.oci.image.layer.v1.tar"

SUFFIXES: Final = {"identity": "", "gzip": "+gzip", "zstd": "+zstd"}

CODECS: Final = {
    **{LAYER + suffix: codec for codec, suffix in SUFFIXES.items()},
    **{
        LAYER.replace("layer.", "layer.nondistributable.") + suffix: codec
        for codec, suffix in SUFFIXES.items()
    },
    "application/vnd.docker.image.rootfs.diff.tar": "identity",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
}


def layer_media_type(codec: str) -> str:
    """Give the OCI media type of a layer compressed with a codec.

    Example:
        >>> layer_media_type("zstd")
        'application/vnd.oci.image.layer.v1.tar+zstd'
    """
    return LAYER + SUFFIXES[codec]


def codec_of(media_type: str) -> str | None:
    """Name the codec a layer media type promises; None for types that are not layers we know."""
    return CODECS.get(media_type)
