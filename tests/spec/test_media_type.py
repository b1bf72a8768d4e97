"""Media types: a table, and questions that unknown types may be asked too (rows J12, J13)."""

import pytest

from ocifast.errors import UnsupportedError
from ocifast.spec import media_type as types

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."

LAYERS = {
    OCI + "layer.v1.tar": ("identity", "oci", False),
    OCI + "layer.v1.tar+gzip": ("gzip", "oci", False),
    OCI + "layer.v1.tar+zstd": ("zstd", "oci", False),
    OCI + "layer.nondistributable.v1.tar": ("identity", "oci", True),
    OCI + "layer.nondistributable.v1.tar+gzip": ("gzip", "oci", True),
    OCI + "layer.nondistributable.v1.tar+zstd": ("zstd", "oci", True),
    DOCKER + "image.rootfs.diff.tar": ("identity", "docker", False),
    DOCKER + "image.rootfs.diff.tar.gzip": ("gzip", "docker", False),
    DOCKER + "image.rootfs.diff.tar.zstd": ("zstd", "docker", False),
    DOCKER + "image.rootfs.foreign.diff.tar": ("identity", "docker", True),
    DOCKER + "image.rootfs.foreign.diff.tar.gzip": ("gzip", "docker", True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_tell_codec_family_and_whether_they_are_foreign(name: str) -> None:
    codec, family, foreign = LAYERS[name]
    assert types.codec_of(name) == codec
    assert types.family_of(name) == family
    assert types.is_foreign(name) is foreign
    assert types.is_layer(name)
    if (codec, family) != ("zstd", "docker"):
        assert types.layer_media_type(codec, family, foreign=foreign) == name


def test_schema_2_has_no_zstd_to_be_written() -> None:
    with pytest.raises(UnsupportedError, match="no zstd layers"):
        types.layer_media_type("zstd", "docker")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (OCI + "index.v1+json", "is_index"),
        (DOCKER + "distribution.manifest.list.v2+json", "is_index"),
        (OCI + "manifest.v1+json", "is_manifest"),
        (DOCKER + "distribution.manifest.v2+json", "is_manifest"),
        (OCI + "config.v1+json", "is_config"),
        (DOCKER + "container.image.v1+json", "is_config"),
        (DOCKER + "distribution.manifest.v1+json", "is_schema1"),
        (DOCKER + "distribution.manifest.v1+prettyjws", "is_schema1"),
    ],
)
def test_a_type_is_of_one_kind(name: str, kind: str) -> None:
    questions = ["is_index", "is_manifest", "is_config", "is_schema1", "is_layer", "is_foreign"]
    assert [each for each in questions if getattr(types, each)(name)] == [kind]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "text/plain",
        "application/vnd.in-toto+json",
        OCI + "layer.v1.tar+gzip+encrypted",
        OCI.upper() + "LAYER.V1.TAR",
        "application/vnd.erofs.layer.v1",
    ],
)
def test_j12_an_unknown_type_is_of_no_kind(name: str) -> None:
    assert types.codec_of(name) is None
    assert not any((types.is_index(name), types.is_manifest(name), types.is_config(name)))
