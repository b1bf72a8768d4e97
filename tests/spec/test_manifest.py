"""Manifests: what they are by their own words, what announced them, and nothing else (J01)."""

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import (
    descriptor,
    digest_of,
    raw_descriptor,
    raw_index,
    raw_manifest,
    to_bytes,
)

from ocifast.errors import DocumentError, UnsupportedError
from ocifast.spec import media_type as types
from ocifast.spec.index import Index, parse_manifest_or_index
from ocifast.spec.manifest import Manifest

CONFIG = descriptor("config", types.CONFIG)


def parse(value: object, media_type: str | None = None) -> Manifest | Index:
    return parse_manifest_or_index(to_bytes(value), document="doc", media_type=media_type)


def refused(value: object, media_type: str | None = None) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse(value, media_type)
    assert caught.value.document == "doc"
    return caught.value


def test_a_manifest_is_its_bytes() -> None:
    raw = json.dumps(raw_manifest(), indent=3).encode()
    found = Manifest.parse(raw, document="doc")
    assert found.raw == raw
    assert found.digest == digest_of(raw)
    assert (found.descriptor.size, found.descriptor.media_type) == (len(raw), types.MANIFEST)
    assert [layer.digest for layer in found.layers] == [digest_of("base"), digest_of("top")]


def test_canonical_bytes_of_a_manifest() -> None:
    found = Manifest.build(
        CONFIG,
        [descriptor("base")],
        annotations={"z": "1", "a": "é"},
        subject=descriptor("subject", types.MANIFEST),
        artifact_type="a/b",
        extra={"x-new": True},
    )
    config, layer, subject = (
        json.dumps(raw_descriptor(name, mediaType=kind), separators=(",", ":"))
        for name, kind in (
            ("config", types.CONFIG),
            ("base", types.LAYER + "+gzip"),
            ("subject", types.MANIFEST),
        )
    )
    assert found.raw.decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"artifactType":"a/b","config":{config},"layers":[{layer}],"subject":{subject},'
        '"annotations":{"z":"1","a":"é"},"x-new":true}'
    )


def test_golden_digests_of_documents_do_not_move() -> None:
    """A change here is a change of bytes, and stands in the changelog."""
    manifest = Manifest.build(CONFIG, [descriptor("base"), descriptor("top")])
    docker = Manifest.build(
        descriptor("config", types.DOCKER_CONFIG),
        [descriptor("base", types.DOCKER_LAYER + ".gzip")],
        media_type=types.DOCKER_MANIFEST,
    )
    index = Index.build([manifest.descriptor, docker.descriptor], annotations={"a": "b"})
    assert [each.digest[7:19] for each in (manifest, docker, index)] == GOLDEN


GOLDEN = ["a7c25ef33019", "d72efdf201db", "753fa7452408"]


@pytest.mark.parametrize("key", ["config", "layers", "fsLayers", "history"])
def test_j01_an_index_with_a_key_of_a_manifest_is_ambiguous(key: str) -> None:
    with pytest.raises((DocumentError, UnsupportedError)):
        parse(raw_index(**{key: []}))
    assert "ambiguous" in refused(raw_index(layers=[])).reason


@pytest.mark.parametrize("change", [{"manifests": []}, {"history": []}])
def test_j01_a_manifest_with_a_key_of_another_document_is_ambiguous(change: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        parse(raw_manifest(**change))
    with pytest.raises(DocumentError, match="ambiguous"):
        Manifest.parse(to_bytes(raw_manifest(**change)), document="doc")


def test_j01_null_makes_a_document_ambiguous_as_well() -> None:
    raw = to_bytes(raw_manifest()).replace(b'"layers"', b'"manifests": null, "layers"')
    with pytest.raises(DocumentError, match=r"not the type|ambiguous"):
        parse_manifest_or_index(raw, document="doc")


@pytest.mark.parametrize(
    ("value", "stated"),
    [
        (raw_manifest(), types.INDEX),
        (raw_manifest(), types.DOCKER_MANIFEST),
        (raw_manifest(mediaType=None), types.INDEX),
        (raw_manifest(mediaType=None), "application/json"),
        (raw_manifest(mediaType=types.INDEX), None),
        (raw_manifest(mediaType=types.INDEX), types.INDEX),
        (raw_manifest(mediaType="text/plain"), None),
        (raw_index(), types.MANIFEST),
        (raw_index(mediaType=None), types.MANIFEST),
        (raw_index(mediaType=types.MANIFEST), types.MANIFEST),
        (raw_index(mediaType=types.DOCKER_LIST), types.INDEX),
    ],
)
def test_j01_a_document_is_what_it_was_announced_as(value: object, stated: str | None) -> None:
    assert refused(value, stated).where == "mediaType"


@pytest.mark.parametrize(
    ("value", "stated", "expected"),
    [
        (raw_manifest(mediaType=None), None, types.MANIFEST),
        (raw_manifest(mediaType=None), types.DOCKER_MANIFEST, types.DOCKER_MANIFEST),
        (raw_manifest(mediaType=""), types.MANIFEST, types.MANIFEST),
        (
            raw_manifest(mediaType=None, config=raw_descriptor("c", mediaType=types.DOCKER_CONFIG)),
            None,
            types.DOCKER_MANIFEST,
        ),
        (raw_manifest(), types.MANIFEST, types.MANIFEST),
        (raw_index(mediaType=None), None, types.INDEX),
        (raw_index(mediaType=None), types.DOCKER_LIST, types.DOCKER_LIST),
        (raw_index(mediaType=types.DOCKER_LIST), None, types.DOCKER_LIST),
    ],
)
def test_a_document_without_a_type_gets_the_announced_one(value, stated, expected) -> None:
    assert parse(value, stated).media_type == expected


@pytest.mark.parametrize(
    "key", ["Layers", "LAYERS", "Config", "mediatype", "Manifests", "FSLayers"]
)
def test_j02_a_known_key_in_another_case_is_refused(key: str) -> None:
    assert "must be spelt" in refused(raw_manifest(**{key: []})).reason
    assert "must be spelt" in refused(raw_index(**{key: []})).reason


@pytest.mark.parametrize("version", [3, 0, "2", 2.0, True, None, [2]])
def test_the_schema_version_is_two(version: object) -> None:
    assert refused({**raw_manifest(), "schemaVersion": version}).where == "schemaVersion"


SCHEMA1 = {"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": [], "history": []}


@pytest.mark.parametrize(
    ("value", "stated"),
    [
        (SCHEMA1, None),
        ({**SCHEMA1, "signatures": [{}]}, types.SCHEMA1_SIGNED),
        ({**SCHEMA1, "mediaType": types.SCHEMA1}, None),
        (raw_manifest(mediaType=None), types.SCHEMA1),
        (raw_manifest(fsLayers=[{}]), None),
    ],
)
def test_j11_schema_1_is_unsupported_and_says_so(value: object, stated: str | None) -> None:
    with pytest.raises(UnsupportedError, match="schema 1"):
        parse(value, stated)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"config": None}, "config"),
        ({"config": []}, "config"),
        ({"layers": None}, "layers"),
        ({"layers": {}}, "layers"),
        ({"layers": [None]}, "layers[0]"),
        ({"layers": [raw_descriptor(), raw_descriptor(size=1.0)]}, "layers[1].size"),
        ({"annotations": {"a": 1}}, "annotations"),
        ({"subject": {}}, "subject.mediaType"),
        ({"artifactType": 1}, "artifactType"),
        ({"mediaType": 1}, "mediaType"),
    ],
)
def test_an_error_says_where_it_is(change: dict[str, Any], where: str) -> None:
    assert refused(raw_manifest(**change)).where == where


@pytest.mark.parametrize("value", [None, [], "x", 2, {}])
def test_a_manifest_is_an_object_with_a_version(value: object) -> None:
    refused(value)


def test_j04_the_limits_of_layers_and_manifests_are_inclusive() -> None:
    parse(raw_manifest(layers=[raw_descriptor()] * 1024))
    assert "at most 1024" in refused(raw_manifest(layers=[raw_descriptor()] * 1025)).reason
    entries = raw_index()["manifests"][:1]
    parse(raw_index(manifests=entries * 1024))
    assert "at most 1024" in refused(raw_index(manifests=entries * 1025)).reason


def test_j04_a_manifest_of_more_than_4_mib_is_not_parsed() -> None:
    raw = to_bytes(raw_manifest())
    Manifest.parse(raw + b" " * ((4 << 20) - len(raw)), document="doc")
    with pytest.raises(DocumentError, match="at most 4194304"):
        Manifest.parse(raw + b" " * ((4 << 20) - len(raw) + 1), document="doc")


def test_j12_unknown_types_and_fields_are_kept() -> None:
    found = parse(
        raw_manifest(
            config=raw_descriptor("c", mediaType="application/vnd.helm.config"),
            layers=[raw_descriptor("l", mediaType="application/vnd.erofs.layer.v1")],
            **{"x-new": {"Layers": 1}},
        )
    )
    assert isinstance(found, Manifest)
    assert found.layers[0].media_type == "application/vnd.erofs.layer.v1"
    assert found.extra == {"x-new": {"Layers": 1}}


def test_null_where_something_optional_may_stand_is_absent() -> None:
    value = {**raw_manifest(), "annotations": None, "subject": None, "layers": None}
    found = parse(value)
    assert isinstance(found, Manifest)
    assert (found.annotations, found.subject, found.layers) == ({}, None, ())


@pytest.mark.parametrize(
    "given_",
    [
        {"annotations": {"a": "b"}},
        {"artifact_type": "a/b"},
        {"subject": CONFIG},
    ],
)
def test_schema_2_has_no_words_for_what_oci_added(given_: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="schema 2"):
        Manifest.build(CONFIG, [], media_type=types.DOCKER_MANIFEST, **given_)


def test_an_unknown_field_must_be_unknown() -> None:
    with pytest.raises(ValueError, match="'layers'"):
        Manifest.build(CONFIG, [], extra={"layers": []})
    with pytest.raises(DocumentError, match="must be spelt"):
        Manifest.build(CONFIG, [], extra={"Layers": []})


def test_what_would_not_be_read_is_not_written() -> None:
    with pytest.raises(DocumentError, match="at most 1024"):
        Manifest.build(CONFIG, [descriptor()] * 1025)
    with pytest.raises(DocumentError, match="not the type of a manifest"):
        Manifest.build(CONFIG, [], media_type=types.INDEX)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
DESCRIPTORS = st.builds(descriptor, TEXT, st.sampled_from([types.LAYER, "a/b"]))


@given(
    layers=st.lists(DESCRIPTORS, max_size=4),
    annotations=st.dictionaries(TEXT, TEXT),
    subject=st.none() | DESCRIPTORS,
    artifact_type=st.none() | st.just("a/b"),
    extra=st.dictionaries(TEXT.map("x-{}".format), st.integers(0, 9) | TEXT),
)
def test_what_is_written_is_read_back(layers, annotations, subject, artifact_type, extra) -> None:
    given_ = {
        "annotations": annotations,
        "subject": subject,
        "artifact_type": artifact_type,
        "extra": extra,
    }
    manifest = Manifest.build(CONFIG, layers, **given_)
    assert manifest.layers == tuple(layers)
    assert parse_manifest_or_index(manifest.raw, document="doc") == manifest
    assert Manifest.build(CONFIG, layers, **given_).raw == manifest.raw
    index = Index.build([manifest.descriptor, *layers], **given_)
    assert parse_manifest_or_index(index.raw, document="doc", media_type=types.INDEX) == index
    assert index.descriptor.digest == digest_of(index.raw)
    for found in (manifest, index):
        assert {key: getattr(found, key) for key in given_} == given_
        assert pickle.loads(pickle.dumps(found)) == found
