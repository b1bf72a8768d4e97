"""From one family to the other: blobs and ids stay, manifests change their words."""

import json
from typing import Any

import pytest
from support.documents import MINIMAL_CONFIG, descriptor, digest_of, to_bytes

from ocifast.errors import DocumentError, UnsupportedError
from ocifast.spec import media_type as types
from ocifast.spec.config import ImageConfig
from ocifast.spec.config_conversion import to_docker, to_oci
from ocifast.spec.manifest_conversion import manifest_for

DIFF_ID = digest_of("layer")
DOCKER_CONFIG = {
    **MINIMAL_CONFIG,
    "config": {
        "Hostname": "",
        "Env": ["A=b"],
        "Cmd": None,
        "Entrypoint": None,
        "Volumes": None,
        "Labels": None,
        "OnBuild": None,
        "Healthcheck": {"Test": ["NONE"], "Interval": 10**9},
    },
    "container": "c" * 64,
    "container_config": {"Cmd": None, "Env": None},
    "docker_version": "20.10",
    "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
    "history": [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}],
}


@pytest.mark.parametrize("convert", [to_oci, to_docker])
def test_a_config_that_both_can_read_is_the_same_bytes(convert) -> None:
    raw = json.dumps(DOCKER_CONFIG, indent=2).encode()
    assert convert(raw) is raw


@pytest.mark.parametrize(
    ("change", "mended"),
    [
        ({"architecture": None}, {"architecture": "amd64"}),
        ({"os": ""}, {"os": "linux"}),
        ({"rootfs": {"type": "layers"}}, {"rootfs": {"type": "layers", "diff_ids": []}}),
        (
            {"rootfs": {"type": "layers", "diff_ids": None, "x": None}},
            {"rootfs": {"type": "layers", "diff_ids": [], "x": None}},
        ),
        (
            {"config": {"Env": None, "User": None, "X": None, "Cmd": None}},
            {"config": {"X": None, "Cmd": None}},
        ),
        (
            {"config": {"ExposedPorts": {"80/tcp": None}}},
            {"config": {"ExposedPorts": {"80/tcp": {}}}},
        ),
        (
            {"config": {"Volumes": {"/v": None, "/w": {}}}},
            {"config": {"Volumes": {"/v": {}, "/w": {}}}},
        ),
        (
            {"history": [{"author": None, "created_by": "x"}, {"empty_layer": None}]},
            {"history": [{"created_by": "x"}, {}]},
        ),
    ],
    ids=str,
)
def test_only_what_the_schema_refuses_is_mended(change: dict[str, Any], mended: Any) -> None:
    value = {**MINIMAL_CONFIG, "x-first": [1.5], **change, "x-last": None}
    raw = to_bytes(value)
    found = to_oci(raw)
    assert json.loads(found) == {**value, **mended}
    assert list(json.loads(found)) == list(value)
    assert to_oci(found) is found
    assert to_docker(raw) is raw


@pytest.mark.parametrize(
    "key", ["created", "author", "variant", "os.features", "config", "history"]
)
def test_null_is_taken_out_where_it_may_not_stand(key: str) -> None:
    raw = to_bytes({**MINIMAL_CONFIG, key: None, "Unknown": None})
    assert json.loads(to_oci(raw)) == {**MINIMAL_CONFIG, "Unknown": None}


def test_history_and_layers_stay_in_step() -> None:
    raw = to_bytes({**DOCKER_CONFIG, "author": None})
    before = ImageConfig.parse(raw, document="before")
    after = ImageConfig.parse(to_oci(raw), document="after")
    assert (after.history, after.diff_ids) == (before.history, before.diff_ids)
    assert after.runtime == before.runtime
    assert after.image_id != before.image_id


@pytest.mark.parametrize("convert", [to_oci, to_docker])
@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"rootfs": {"type": "layers+base"}}'])
def test_what_is_no_config_is_refused(convert, raw: bytes) -> None:
    with pytest.raises(DocumentError):
        convert(raw, document="config")


LAYERS = [
    (types.LAYER, types.DOCKER_LAYER),
    (types.LAYER + "+gzip", types.DOCKER_LAYER + ".gzip"),
    (types.NONDISTRIBUTABLE_LAYER + "+gzip", types.DOCKER_FOREIGN_LAYER + ".gzip"),
]


def test_a_manifest_there_and_back_is_the_same() -> None:
    config = descriptor("config", types.CONFIG)
    layers = [descriptor(name, name) for name, _ in LAYERS]
    oci = manifest_for("oci", config, layers)
    docker = manifest_for("docker", oci.config, oci.layers)
    assert docker.media_type == types.DOCKER_MANIFEST
    assert docker.config.media_type == types.DOCKER_CONFIG
    assert [layer.media_type for layer in docker.layers] == [name for _, name in LAYERS]
    assert [layer.digest for layer in docker.layers] == [layer.digest for layer in oci.layers]
    assert manifest_for("oci", docker.config, docker.layers) == oci
    assert manifest_for("docker", docker.config, docker.layers) == docker


def test_annotations_are_for_oci_only() -> None:
    config = descriptor("config", types.CONFIG)
    assert manifest_for("oci", config, [], annotations={"a": "b"}).annotations == {"a": "b"}
    assert b"annotations" not in manifest_for("docker", config, [], annotations={"a": "b"}).raw


@pytest.mark.parametrize(
    "media_type",
    [types.LAYER + "+zstd", types.DOCKER_LAYER + ".zstd", "application/vnd.x", types.EMPTY],
)
def test_schema_2_refuses_layers_it_has_no_word_for(media_type: str) -> None:
    config, layer = descriptor("config", types.CONFIG), descriptor("layer", media_type)
    with pytest.raises(UnsupportedError, match="schema 2 has no"):
        manifest_for("docker", config, [layer])
    assert manifest_for("oci", config, [layer]).layers[0].digest == layer.digest


def test_j12_an_unknown_config_stays_what_it_is() -> None:
    config = descriptor("config", "application/vnd.helm.config")
    assert manifest_for("oci", config, []).config == config
    with pytest.raises(UnsupportedError, match=r"no application/vnd\.helm\.config as a config"):
        manifest_for("docker", config, [])
