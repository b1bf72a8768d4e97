"""Descriptors: digests and sizes that may be trusted in form, content that was embedded."""

import base64
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import digest_of, raw_descriptor

from ocifast.errors import DocumentError, UnsupportedError
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.document import encode_json
from ocifast.spec.platform import Platform

HEX = "0123456789abcdef" * 4
EMPTY = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
    "data": "e30=",
}


def read(value: object) -> Descriptor:
    return Descriptor.from_json(value, "layers[2]", "manifest")


def refused(value: object) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read(value)
    return caught.value


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:../../etc/passwd",
        "sha256:" + HEX.upper(),
        "sha256:" + HEX[:-1],
        "sha256:" + HEX + "0",
        "sha256:" + HEX + "\n",
        "sha512:" + HEX,
        "sha256:",
        "sha256",
        "",
        ":" + HEX,
        "SHA256:" + HEX,
        "sha256:sha256:" + HEX,
        "../x:" + HEX,
        "md5:../x",
        "sha256:" + HEX[:-1] + "\u0661",
        7,
        None,
        [],
    ],
    ids=ascii,
)
def test_j07_a_digest_that_is_none_is_refused_where_it_stands(digest: object) -> None:
    assert refused(raw_descriptor(digest=digest)).where == "layers[2].digest"


@pytest.mark.parametrize(
    "digest", ["md5:d41d8cd98f00b204e9800998ecf8427e", "blake3:" + HEX, "a+b.c:X=_-"]
)
def test_j07_a_digest_of_an_unknown_algorithm_is_unsupported(digest: str) -> None:
    with pytest.raises(UnsupportedError, match=r"manifest: layers\[2\]\.digest: .*algorithm"):
        read(raw_descriptor(digest=digest))


@pytest.mark.parametrize("size", [-1, 1.0, 1e3, True, "7", None, [], 1 << 63])
def test_j03_a_size_is_an_integer_that_is_not_negative(size: object) -> None:
    assert refused(raw_descriptor(size=size)).where == "layers[2].size"


@pytest.mark.parametrize("size", [0, 1, (1 << 63) - 1])
def test_j03_sizes_of_64_bits_are_read(size: int) -> None:
    assert read(raw_descriptor(size=size)).size == size


@pytest.mark.parametrize("key", ["mediaType", "digest", "size"])
def test_what_is_required_is_required(key: str) -> None:
    value = raw_descriptor()
    del value[key]
    assert (refused(value).where, refused(value).reason) == (f"layers[2].{key}", "it is required")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mediaType", 1),
        ("urls", "http://x"),
        ("urls", [1]),
        ("annotations", []),
        ("annotations", {"a": 1}),
        ("annotations", {"a": None}),
        ("data", 7),
        ("data", "e30"),
        ("data", "e30=\n"),
        ("data", "é"),
        ("artifactType", []),
        ("platform", "linux"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: object) -> None:
    assert refused(raw_descriptor(**{key: value})).where == f"layers[2].{key}"


@pytest.mark.parametrize("value", [None, [], "sha256:x", 7])
def test_a_descriptor_is_an_object(value: object) -> None:
    assert refused(value).where == "layers[2]"


@pytest.mark.parametrize(
    "key", ["Size", "SIZE", "mediatype", "MediaType", "\u017fize", "dige\u017ft"]
)
def test_j02_a_known_key_in_another_case_is_refused(key: str) -> None:
    assert "must be spelt" in refused(raw_descriptor(**{key: 1})).reason


def test_j02_keys_of_annotations_may_differ_in_case() -> None:
    found = read(raw_descriptor(annotations={"size": "1", "Size": "2"}))
    assert found.annotations == {"size": "1", "Size": "2"}


def test_j04_annotations_are_bounded() -> None:
    read(raw_descriptor(annotations={"a": "x" * ((1 << 20) - 1)}))
    assert "at most" in refused(raw_descriptor(annotations={"a": "x" * (1 << 20)})).reason


def test_j09_embedded_data_is_decoded() -> None:
    assert read(EMPTY).data == b"{}"
    assert read(EMPTY).to_json() == EMPTY


@pytest.mark.parametrize(
    "change",
    [{"size": 3}, {"data": "e34="}, {"data": "e30g"}, {"digest": "sha256:" + HEX}, {"data": ""}],
    ids=str,
)
def test_j09_embedded_data_must_be_what_is_named(change: dict[str, Any]) -> None:
    assert refused({**EMPTY, **change}).where == "layers[2].data"


def test_j08_embedded_data_is_held_against_a_sha512_too() -> None:
    digest = "sha512:" + "0" * 128
    assert refused({**EMPTY, "digest": digest}).where == "layers[2].data"


def test_j09_embedded_data_is_bounded() -> None:
    content = bytes((1 << 20) + 3)
    value = raw_descriptor(
        size=len(content), digest=digest_of(content), data=base64.b64encode(content).decode()
    )
    assert "at most 1048576" in refused(value).reason


def test_j12_unknown_fields_and_types_are_kept() -> None:
    value = raw_descriptor(mediaType="application/x-new; v=1", hints={"a": [1]}, reserved=None)
    assert read(value).extra == {"hints": {"a": [1]}, "reserved": None}
    assert read(value).to_json() == value


def test_j13_urls_are_kept_and_null_is_absent() -> None:
    value = raw_descriptor(urls=["https://example.com/x"], annotations=None, platform=None)
    found = read(value)
    assert (found.urls, found.annotations, found.platform) == (("https://example.com/x",), {}, None)


def test_canonical_bytes_follow_the_order_of_go() -> None:
    found = Descriptor(
        "a/b",
        digest_of(b"{}"),
        2,
        urls=("u",),
        annotations={"k": "v"},
        data=b"{}",
        platform=Platform("linux", "arm", "v7", "1", ("f",)),
        artifact_type="c/d",
        extra={"x": 1},
    )
    assert encode_json(found.to_json()).decode() == (
        f'{{"mediaType":"a/b","digest":"{digest_of(b"{}")}","size":2,"urls":["u"],'
        '"annotations":{"k":"v"},"data":"e30=","platform":{"architecture":"arm","os":"linux",'
        '"os.version":"1","os.features":["f"],"variant":"v7"},"artifactType":"c/d","x":1}'
    )


@pytest.mark.parametrize(
    "known", [{}, {"media_type": "a/b"}, {"digest": digest_of(b""), "size": 0}]
)
def test_a_descriptor_with_parts_missing_is_not_written(known: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs media type, digest and size"):
        Descriptor(**known).to_json()


@pytest.mark.parametrize("size", [-1, True, 1.0, "1"])
def test_a_descriptor_is_not_made_with_a_size_that_is_none(size: Any) -> None:
    with pytest.raises(ValueError, match="non-negative integer"):
        Descriptor(size=size)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLATFORMS = st.builds(
    Platform, os=TEXT, architecture=TEXT, variant=TEXT, os_features=st.lists(TEXT).map(tuple)
)


@given(
    content=st.binary(max_size=30),
    urls=st.lists(TEXT).map(tuple),
    annotations=st.dictionaries(TEXT, TEXT),
    platform=st.none() | PLATFORMS,
    embedded=st.booleans(),
)
def test_what_is_written_is_read_back(content, urls, annotations, platform, embedded) -> None:
    found = Descriptor(
        "a/b",
        digest_of(content),
        len(content),
        urls=urls,
        annotations=annotations,
        platform=platform,
        data=content if embedded else None,
        extra={"x": [1]},
    )
    assert read(found.to_json()) == found
    assert hash(read(found.to_json())) == hash(found)
    assert pickle.loads(pickle.dumps(found)) == found
