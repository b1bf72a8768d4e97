"""Platforms: the names containerd gives them, and what a machine runs besides its own."""

import os

import pytest

from ocifast.errors import DocumentError, ReferenceSyntaxError
from ocifast.spec.platform import Platform, host_platform

NORMALIZED = {
    "linux/amd64": "linux/amd64",
    "linux/x86_64": "linux/amd64",
    "Linux/x86-64": "linux/amd64",
    "linux/AMD64/V1": "linux/amd64",
    "linux/amd64/v2": "linux/amd64/v2",
    "linux/aarch64": "linux/arm64",
    "linux/arm64/v8": "linux/arm64",
    "linux/arm64/8": "linux/arm64",
    "linux/arm64/v8.0": "linux/arm64",
    "linux/arm64/v8.2": "linux/arm64/v8.2",
    "linux/arm64/v9.0": "linux/arm64/v9",
    "linux/i386": "linux/386",
    "linux/i686": "linux/386",
    "linux/armhf": "linux/arm/v7",
    "linux/armel": "linux/arm/v6",
    "linux/arm": "linux/arm/v7",
    "linux/arm/7": "linux/arm/v7",
    "linux/arm/v6": "linux/arm/v6",
    "linux/arm/8": "linux/arm/v8",
    "macOS/arm64": "darwin/arm64",
    "linux/ppc64le/power9": "linux/ppc64le/power9",
    "linux/riscv64/rva20u64": "linux/riscv64/rva20u64",
    "windows/amd64": "windows/amd64",
}

# what is wanted, and what fits from the best down
WALKS = {
    "linux/amd64": ["amd64", "386"],
    "linux/amd64/v3": ["amd64/v3", "amd64/v2", "amd64", "386"],
    "linux/arm/v7": ["arm/v7", "arm/v6", "arm/v5"],
    "linux/arm/v8": ["arm/v8", "arm", "arm/v6", "arm/v5"],
    "linux/arm64": ["arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"],
    "linux/arm64/v8.2": ["arm64/v8.2", "arm64/v8.1", "arm64/v8", "arm/v8", "arm/v7"],
    "linux/arm64/v9.1": ["arm64/v9.1", "arm64/v9", "arm64/v8.6", "arm64/v8.5", "arm64", "arm/v8"],
    "linux/s390x": ["s390x"],
    "linux/386": ["386"],
}


@pytest.mark.parametrize("text", NORMALIZED)
def test_names_are_normalised_as_containerd_does(text: str) -> None:
    assert str(Platform.parse(text)) == NORMALIZED[text]


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "a//b", "linux/é"]
)
def test_a_platform_is_two_or_three_words(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError, match="os/architecture"):
        Platform.parse(text)


@pytest.mark.parametrize("text", WALKS)
def test_matching_walks_downwards(text: str) -> None:
    wanted = Platform.parse(text)
    ranks = [wanted.rank(Platform("linux", *name.split("/"))) for name in WALKS[text]]
    assert None not in ranks
    assert ranks == sorted(set(ranks))
    assert ranks[0] == 0


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        ("linux/amd64", "linux/arm64"),
        ("linux/amd64", "windows/amd64"),
        ("linux/amd64", "linux/amd64/v2"),
        ("linux/386", "linux/amd64"),
        ("linux/arm/v6", "linux/arm/v7"),
        ("linux/arm64/v8", "linux/arm64/v9"),
        ("linux/arm64/v8.1", "linux/arm64/v8.2"),
        ("linux/arm/v5", "linux/arm64"),
        ("linux/amd64/weird", "linux/amd64"),
    ],
)
def test_matching_does_not_walk_upwards(wanted: str, offered: str) -> None:
    assert not Platform.parse(wanted).matches(Platform.parse(offered))


def test_spellings_of_documents_match_too() -> None:
    assert Platform.parse("linux/arm64").rank(Platform("linux", "aarch64", "v8")) == 0


def test_an_os_version_matches_as_far_as_it_was_asked_for() -> None:
    wanted = Platform("windows", "amd64", os_version="10.0.17763")
    assert wanted.matches(Platform("windows", "amd64", os_version="10.0.17763.1432"))
    assert wanted.matches(Platform("windows", "amd64"))
    assert not wanted.matches(Platform("windows", "amd64", os_version="10.0.177630"))
    assert Platform("windows", "amd64").matches(Platform("windows", "amd64", os_version="10"))


def test_a_platform_of_a_document_keeps_its_spelling_and_unknown_fields() -> None:
    value = {"architecture": "X86_64", "os": "Linux", "features": ["sse4"], "os.version": "1"}
    found = Platform.from_json(value, "index")
    assert (str(found), found.os_version) == ("Linux/X86_64", "1")
    assert found.to_json() == value


def test_a_platform_of_a_document_is_typed() -> None:
    with pytest.raises(DocumentError) as caught:
        Platform.from_json({"architecture": "a", "os": "b", "os.features": "c"}, "index")
    assert caught.value.where == "platform.os.features"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("loongarch64", "linux/loong64"),
        ("riscv64", "linux/riscv64"),
    ],
)
def test_the_host_is_named_in_the_words_of_go(machine, expected, monkeypatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", "6", "1", machine)))
    assert str(host_platform()) == expected
