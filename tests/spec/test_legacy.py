"""Images of before Docker 1.10: a config from a chain, and a chain from a config."""

import json
from typing import Any

import pytest
from support.documents import MINIMAL_CONFIG, digest_of, to_bytes

from ocifast.errors import DocumentError
from ocifast.spec.config import ImageConfig, check_layers
from ocifast.spec.legacy import config_from_v1, parent_of, v1_layers

A, B, C = (digest_of(name) for name in "abc")
BASE = {
    "id": "1" * 64,
    "created": "2015-01-01T00:00:00Z",
    "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD file"]},
    "Size": 7,
}
MIDDLE = {**BASE, "id": "2" * 64, "parent": "1" * 64, "throwaway": True, "author": "me"}
TOP = {
    **BASE,
    "id": "3" * 64,
    "parent": "2" * 64,
    "parent_id": "x",
    "layer_id": "y",
    "os": "linux",
    "architecture": "amd64",
    "config": {"Cmd": ["echo", "<&>"], "Env": None},
    "comment": "é",
    "x-new": 1.5,
}
CHAIN = [to_bytes(each) for each in (BASE, MIDDLE, TOP)]


def test_the_config_is_that_of_the_top_without_what_is_of_one_layer() -> None:
    raw = config_from_v1(CHAIN, [A, B, C])
    value = json.loads(raw)
    assert list(value) == sorted(value)
    assert not {"id", "parent", "parent_id", "layer_id", "throwaway", "Size"} & set(value)
    assert value["rootfs"] == {"type": "layers", "diff_ids": [A, B, C]}
    assert value["x-new"] == 1.5
    found = ImageConfig.parse(raw, document="config")
    assert found.runtime.cmd == ("echo", "<&>")
    assert check_layers(found, 3, document="config", profile="strict") == ()
    assert [step.created_by for step in found.history] == ["/bin/sh -c #(nop) ADD file"] * 3
    assert found.history[1].author == "me"
    assert found.history[2].comment == "é"


def test_the_config_is_written_as_go_does() -> None:
    raw = config_from_v1(CHAIN, [A, B, C])
    assert b'["echo","\\u003c\\u0026\\u003e"]' in raw
    assert "é".encode() in raw


def test_documents_marked_throwaway_may_have_no_layer() -> None:
    found = ImageConfig.parse(config_from_v1(CHAIN, [A, C]), document="config")
    assert [step.empty_layer for step in found.history] == [False, True, False]
    assert found.diff_ids == (A, C)


@pytest.mark.parametrize("diff_ids", [[], [A], [A, B, C, A]])
def test_other_counts_are_refused(diff_ids: list[str]) -> None:
    with pytest.raises(DocumentError, match=f"{len(diff_ids)} layers belong to 3 documents"):
        config_from_v1(CHAIN, diff_ids)


def test_a_chain_has_a_layer_at_least() -> None:
    with pytest.raises(DocumentError, match="at least one"):
        config_from_v1([], [])


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"container_config": []}', b'{"Created": "x"}'])
def test_a_document_that_is_none_is_named(raw: bytes) -> None:
    with pytest.raises(DocumentError, match="layer 1 json"):
        config_from_v1([CHAIN[0], raw], [A, B])


def test_j11_ids_of_old_documents_are_never_paths() -> None:
    assert parent_of(CHAIN[1], document="json") == "1" * 64
    assert parent_of(to_bytes({"parent": "sha256:" + "a" * 64}), document="json") == "a" * 64
    assert not parent_of(CHAIN[0], document="json")
    for parent in ("../x", "A" * 64, "a" * 63, "/etc/passwd"):
        with pytest.raises(DocumentError, match="64 hexadecimal digits"):
            parent_of(to_bytes({"parent": parent}), document="json")


def make(diff_ids: list[str], **changes: Any) -> ImageConfig:
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    value = {**MINIMAL_CONFIG, "rootfs": rootfs, "config": {"Cmd": ["sh"]}, **changes}
    return ImageConfig.parse(to_bytes(value), document="config")


def test_each_layer_names_the_one_below() -> None:
    layers = v1_layers(make([A, B, A], comment="c"))
    values = [json.loads(layer.json) for layer in layers]
    assert [value["id"] for value in values] == [layer.id for layer in layers]
    assert [value.get("parent") for value in values] == [None, layers[0].id, layers[1].id]
    assert len({layer.id for layer in layers}) == 3
    assert [value.get("comment") for value in values] == [None, None, "c"]
    assert values[2]["config"] == {"Cmd": ["sh"]}
    assert [value["os"] for value in values] == ["linux"] * 3
    assert all(parent_of(layer.json, document="json") in {"", *dict(layers)} for layer in layers)


def test_images_share_the_ids_of_the_layers_they_share() -> None:
    one, two = v1_layers(make([A, B])), v1_layers(make([A, B, C]))
    assert one[0] == two[0]
    assert one[1] != two[1]  # the last one tells of its image


def test_an_image_of_no_layers_has_no_documents() -> None:
    assert v1_layers(make([])) == []


def test_the_id_of_a_stub_is_the_one_docker_gives() -> None:
    """By hand: Go's JSON of an empty image of 1970, sorted, with the chain id as layer_id."""
    stub = (
        '{"container_config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,'
        '"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,'
        '"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"",'
        f'"Entrypoint":null,"OnBuild":null,"Labels":null}},"created":"1970-01-01T00:00:00Z",'
        f'"layer_id":"{A}"}}'
    )
    assert "sha256:" + v1_layers(make([A, B]))[0].id == digest_of(stub)


def test_a_chain_of_a_config_makes_a_config_of_the_same_layers() -> None:
    config = make([A, B, C], created="2020-01-01T00:00:00Z", author="me")
    chain = [layer.json for layer in v1_layers(config)]
    back = ImageConfig.parse(config_from_v1(chain, config.diff_ids), document="config")
    assert (back.diff_ids, back.runtime, back.author) == (config.diff_ids, config.runtime, "me")
    assert (back.os, back.architecture, back.created) == ("linux", "amd64", config.created)
