"""Indexes: choosing among platforms, and what is not an image at all."""

from dataclasses import replace

import pytest
from support.documents import descriptor, raw_index, to_bytes

from ocifast.errors import DocumentError, UnsupportedError
from ocifast.spec import media_type as types
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.index import Index, is_attestation
from ocifast.spec.platform import Platform

NAMES = [
    "windows/amd64",
    "linux/386",
    "linux/amd64",
    "linux/amd64/v2",
    "linux/arm/v6",
    "linux/arm64",
]


def entry(name: str, platform: str | None, **changes: object) -> Descriptor:
    system, _, rest = (platform or "").partition("/")
    known = Platform(system, *rest.split("/")) if platform else None
    return replace(descriptor(name, types.MANIFEST), platform=known, **changes)


INDEX = Index.build([entry(name, name) for name in NAMES])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v2"),
        ("linux/386", "linux/386"),
        ("linux/arm/v7", "linux/arm/v6"),
        ("linux/arm64/v8", "linux/arm64"),
        ("windows/amd64", "windows/amd64"),
        ("linux/s390x", None),
        ("freebsd/amd64", None),
    ],
)
def test_the_entry_that_fits_best_is_chosen(wanted: str, expected: str | None) -> None:
    found = INDEX.select(Platform.parse(wanted))
    assert (found and str(found.platform)) == expected


def test_the_first_of_equal_entries_is_chosen() -> None:
    index = Index.build([entry("a", "linux/amd64"), entry("b", "linux/x86_64")])
    assert index.select(Platform.parse("linux/amd64")) == index.manifests[0]


def test_entries_that_are_no_images_are_passed_over() -> None:
    attested = {"vnd.docker.reference.type": "attestation-manifest"}
    others = [
        entry("a", "unknown/unknown"),
        entry("b", "linux/amd64", annotations=attested),
        entry("c", "linux/amd64", artifact_type="a/b"),
        entry("d", None),
    ]
    index = Index.build(others)
    assert [is_attestation(each) for each in index.manifests] == [True, True, False, False]
    assert index.select(Platform.parse("linux/amd64")) == index.manifests[2]
    assert index.select(Platform("unknown", "unknown")) is None


def test_an_index_may_be_empty() -> None:
    assert Index.build([]).raw == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    )


def test_an_error_says_which_entry_it_is_in() -> None:
    value = raw_index()
    value["manifests"][1]["platform"]["os"] = 7
    with pytest.raises(DocumentError) as caught:
        Index.parse(to_bytes(value), document="index.json")
    assert str(caught.value).startswith("index.json: manifests[1].platform.os: ")


def test_a_manifest_is_not_read_as_an_index() -> None:
    with pytest.raises(DocumentError, match="it is required"):
        Index.parse(b'{"schemaVersion": 2}', document="index.json")


def test_a_docker_list_has_no_annotations() -> None:
    Index.build([entry("a", "linux/amd64")], media_type=types.DOCKER_LIST)
    with pytest.raises(UnsupportedError, match="annotations"):
        Index.build([], media_type=types.DOCKER_LIST, annotations={"a": "b"})
