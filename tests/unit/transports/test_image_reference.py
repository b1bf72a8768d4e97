"""What a person types: every form, and words that help where it is none."""

import pytest

from ocifast.errors import ReferenceSyntaxError
from ocifast.transports.reference import ImageReference

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("save.tar", (None, "save.tar", None, None, None)),
        ("-", (None, "-", None, None, None)),
        ("./oci:x", (None, "./oci:x", None, None, None)),
        ("c:/images", (None, "c:/images", None, None, None)),
        ("oci:images", ("oci", "images", None, None, None)),
        ("oci:images:debian:12", ("oci", "images", "debian:12", None, None)),
        ("oci:images:v1.0--rc/a+b", ("oci", "images", "v1.0--rc/a+b", None, None)),
        ("oci:images:a__b:1", ("oci", "images", "a__b:1", None, None)),
        ("oci:images:@2", ("oci", "images", None, 2, None)),
        (f"oci:images:@{DIGEST}", ("oci", "images", None, None, DIGEST)),
        ("oci-archive:-", ("oci-archive", "-", None, None, None)),
        ("oci-archive:a.tar:x", ("oci-archive", "a.tar", "x", None, None)),
        (
            "docker-archive:a.tar:debian",
            ("docker-archive", "a.tar", "docker.io/library/debian:latest", None, None),
        ),
        ("docker-archive:a.tar:@0", ("docker-archive", "a.tar", None, 0, None)),
        ("dir:a:b", ("dir", "a:b", None, None, None)),
    ],
)
def test_a_reference_is_read_as_skopeo_does(text: str, expected) -> None:
    found = ImageReference.parse(text)
    parts = (found.transport, found.path, found.name, found.number, found.digest)
    assert parts == expected
    assert ImageReference.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "a\0b", "oci:", "oci::x", "dir:", "oci:a:", "docker-archive::x"),
        *("oci:a:@", "oci:a:@x", "oci:a:@-1", "oci:a:@sha256:00", "oci:a:b c", "oci:a:/x"),
        *("docker-archive:a:UPPER", "docker-archive:a:b c", "docker://debian", "docker-daemon:x"),
        *("containers-storage:x", "oci:a:@9999999"),
    ],
)
def test_what_is_no_reference_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError) as error:
        ImageReference.parse(text)
    assert error.value.exit_code == 2
    assert error.value.reason


def test_a_registry_is_answered_with_the_forms_there_are() -> None:
    with pytest.raises(ReferenceSyntaxError, match=r"docker-archive:FILE\[:NAME\]"):
        ImageReference.parse("docker://debian")
