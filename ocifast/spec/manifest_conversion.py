"""Manifests of Docker as OCI's and back: the same blobs in other words.

A manifest names its own type, so it is always written anew. It converts neither layers nor configs.
*Invariant:* digests and sizes of config and layers are those that were given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocifast.errors import UnsupportedError
from ocifast.spec import media_type as types
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocifast.spec.media_type import Family

__all__ = ["manifest_for"]


def manifest_for(
    family: Family,
    config: Descriptor,
    layers: Iterable[Descriptor],
    *,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Write the manifest of an image in the words of a family, whichever the descriptors use.

    For Docker, annotations and embedded data are left out: there is no place for them.

    Raises:
        UnsupportedError: Docker's schema 2 has no word for the config or a layer; zstd is one case.
        ValueError: A descriptor lacks its media type, digest or size.
    """
    if family == "oci":
        return Manifest.build(
            _retyped(config, types.CONFIG),
            [_oci_layer(layer) for layer in layers],
            annotations=annotations,
        )
    return Manifest.build(
        _docker_config(config),
        [_docker_layer(layer) for layer in layers],
        media_type=types.DOCKER_MANIFEST,
    )


def _retyped(descriptor: Descriptor, config_type: str) -> Descriptor:
    """Give the descriptor of a config its type in a family; of anything else, leave it (J12)."""
    known = types.is_config(descriptor.media_type or "")
    return replace(descriptor, media_type=config_type) if known else descriptor


def _oci_layer(layer: Descriptor) -> Descriptor:
    media_type = layer.media_type or ""
    codec = types.codec_of(media_type)
    if codec is None:
        return layer
    foreign = types.is_foreign(media_type)
    return replace(layer, media_type=types.layer_media_type(codec, "oci", foreign=foreign))


def _docker_config(config: Descriptor) -> Descriptor:
    if not types.is_config(config.media_type or ""):
        raise UnsupportedError(
            f"Docker's schema 2 has no {config.media_type} as a config: write an OCI manifest"
        )
    return Descriptor(types.DOCKER_CONFIG, config.digest, config.size)


def _docker_layer(layer: Descriptor) -> Descriptor:
    media_type = layer.media_type or ""
    codec = types.codec_of(media_type)
    if codec is None:
        raise UnsupportedError(
            f"Docker's schema 2 has no layer of type {media_type}: write an OCI manifest"
        )
    foreign = types.is_foreign(media_type)
    docker_type = types.layer_media_type(codec, "docker", foreign=foreign)
    return Descriptor(docker_type, layer.digest, layer.size, urls=layer.urls)
