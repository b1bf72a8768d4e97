"""Images changed in one thing, and what became of their layers, for tests of rebuild."""

import json
from dataclasses import replace

from ocifast.spec.descriptor import Descriptor
from ocifast.spec.manifest import Manifest
from ocifast.spec.media_type import codec_of, layer_media_type
from support.documents import digest_of
from support.images import compact

LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER = "application/vnd.docker.image.rootfs"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"


class Results:
    """What became of layers: with a codec, other blobs; without one, the same."""

    def __init__(self, codec=None, salt=""):
        self.codec, self.salt = codec, salt

    def new_layer(self, layer):
        old = layer.descriptor
        if layer.location is None or (layer.diff_id is None and old.digest is not None):
            return old
        if self.codec is None:
            codec = codec_of(old.media_type or "") or "identity"
            return Descriptor(layer_media_type(codec), old.digest, old.size)
        content = f"{self.codec} {self.salt} {layer.diff_id}"
        return Descriptor(layer_media_type(self.codec), digest_of(content), len(content))

    def diff_id(self, layer):
        return str(layer.diff_id)


KEEP = Results()


def with_manifest(image, **changes):
    """The image with a manifest that says something else."""
    value = {**json.loads(image.manifest.raw), **changes}
    manifest = Manifest.parse(compact(value), document="m")
    layers = tuple(
        replace(layer, descriptor=new)
        for layer, new in zip(image.layers, manifest.layers, strict=True)
    )
    return replace(
        image,
        manifest=manifest,
        layers=layers,
        config_descriptor=manifest.config,
        descriptor=manifest.descriptor,
    )


def with_layer(image, **changes):
    """The image with another first layer in its manifest; None takes a key out."""
    first, *others = json.loads(image.manifest.raw)["layers"]
    first = {k: v for k, v in {**first, **changes}.items() if v is not None}
    return with_manifest(image, layers=[first, *others])


def manifest_of(rebuilt):
    return rebuilt.images[0].manifest


def as_docker(image, layer_type=DOCKER + ".diff.tar.gzip", **changes):
    value = json.loads(image.manifest.raw)
    value["config"]["mediaType"] = DOCKER_CONFIG
    for layer in value["layers"]:
        layer["mediaType"] = layer_type
    value["layers"][0] |= changes
    return with_manifest(image, **{**value, "mediaType": DOCKER_MANIFEST})
