"""Names of images, by the vectors that the reference implementation of the grammar gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocifast.errors import ReferenceSyntaxError
from ocifast.spec.reference import ImageName, is_layout_name

F64 = "f" * 64
SHA = "sha256:" + F64
HUB = "docker.io"
LONG = "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev"

# input: domain, path, tag, familiar form
VECTORS = {
    "ubuntu": (HUB, "library/ubuntu", "", "ubuntu"),
    "user/app": (HUB, "user/app", "", "user/app"),
    "docker.io/ubuntu": (HUB, "library/ubuntu", "", "ubuntu"),
    "index.docker.io/ubuntu": (HUB, "library/ubuntu", "", "ubuntu"),
    "library/ubuntu": (HUB, "library/ubuntu", "", "ubuntu"),
    "docker.io/library/foo/bar": (HUB, "library/foo/bar", "", "library/foo/bar"),
    "registry-1.docker.io/library/x": ("registry-1.docker.io", "library/x", "", None),
    "localhost/foo": ("localhost", "foo", "", None),
    "localhost:5000/foo:1": ("localhost:5000", "foo", "1", None),
    "foo:5000/bar": ("foo:5000", "bar", "", None),
    "foo/bar:5000": (HUB, "foo/bar", "5000", None),
    "example.com": (HUB, "library/example.com", "", None),
    "example.com:80": (HUB, "library/example.com", "80", None),
    "192.168.0.1": (HUB, "library/192.168.0.1", "", None),
    "127.0.0.1/x": ("127.0.0.1", "x", "", None),
    "[::1]:5000/r": ("[::1]:5000", "r", "", None),
    "[::1]/r": ("[::1]", "r", "", None),
    "Docker/docker": ("Docker", "docker", "", None),
    "LOCALHOST/x": ("LOCALHOST", "x", "", None),
    "host_name/x": (HUB, "host_name/x", "", None),
    f"x:t@{SHA}": (HUB, "library/x", "t", None),
    f"sha256:{F64}": (HUB, "library/sha256", F64, None),
    "foo:_a": (HUB, "library/foo", "_a", None),
    "foo:Uppercase": (HUB, "library/foo", "Uppercase", None),
    f"docker.io/{'a' * 64}": (HUB, f"library/{'a' * 64}", "", "a" * 64),
    "a" * 247: (HUB, "library/" + "a" * 247, "", None),
    "example.com/" + "a" * 255: ("example.com", "a" * 255, "", None),
    "docker---rules/docker": (HUB, "docker---rules/docker", "", None),
    "dock__er/docker": (HUB, "dock__er/docker", "", None),
    "foo--bar": (HUB, "library/foo--bar", "", None),
    "d/docker": (HUB, "d/docker", "", None),
    "xn--n3h.com/myimage:xn--n3h.com": ("xn--n3h.com", "myimage", "xn--n3h.com", None),
    f"foo@sha512:{'f' * 128}": (HUB, "library/foo", "", None),
    LONG: (HUB, "library/" + LONG, "", None),
    "foo:" + "t" * 128: (HUB, "library/foo", "t" * 128, None),
}

REFUSED = [
    *("", ":justtag", f"@{SHA}", "docker/Docker", "Uppercase:tag", "::1/r", "[fc00::1]"),
    *("[fc00::1]:5000", "[fe80::1%eth0]:5000/debian", "[2001:db8:3:4::192.0.2.33]:5000/debian"),
    *("foo..bar", "foo.-bar", "foo___bar", "foo_-bar", "dock_.er/docker", "dock-.er/docker"),
    *("-foo", "foo-", "docker-/docker", "foo/", "/foo", "foo//bar", "foo:", "foo:-a", "foo:.a"),
    *("foo:" + "t" * 129, "foo@sha256:abc", f"foo@sha256:{'F' * 64}", f"foo@md5:{'f' * 32}"),
    *("a" * 64, "f" * 64, "foo.com:80:80/x", "foo.com:/x", "foo.com:abc/x", "ex ample", "é"),
    *("a:b:c", "https://github.com/docker/docker", "____/____", "_docker/_docker"),
    *("docker///docker", "host_name.com/x", "a" * 248, "example.com/" + "a" * 256),
    *(
        "foo@",
        "foo:t@",
        f"foo@{SHA}@{SHA}",
        f"foo@{SHA}:t",
        "foo\n",
        "foo:t\n",
        "foo\0",
        "x:\x1b[0m",
    ),
    *("../x", "./x", "x/../y", "example.com/", "example.com:80/", "a" * 2000, "x:\u0661", "\u017f"),
    *("-a.com/x", "a-.com/x", ".com/x", "[::1/x", "[]/x", "a@b:c/d"),
]


@pytest.mark.parametrize("text", VECTORS, ids=lambda text: text[:40])
def test_names_are_normalised(text: str) -> None:
    domain, path, tag, familiar = VECTORS[text]
    found = ImageName.parse_normalized(text)
    assert (found.domain, found.path, found.tag) == (domain, path, tag)
    assert found.familiar == (familiar or text)
    assert str(found).startswith(f"{domain}/{path}")


@pytest.mark.parametrize("text", VECTORS, ids=lambda text: text[:40])
def test_the_full_and_the_familiar_form_mean_the_same(text: str) -> None:
    found = ImageName.parse_normalized(text)
    assert ImageName.parse_normalized(str(found)) == found
    if found.familiar != "a" * 64:  # which is an id when it stands alone
        assert ImageName.parse_normalized(found.familiar) == found


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_d06_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ReferenceSyntaxError) as caught:
        ImageName.parse_normalized(text)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_the_digest_is_checked_and_kept() -> None:
    found = ImageName.parse_normalized(f"x:t@{SHA}")
    assert (found.digest, found.tag, found.name) == (SHA, "t", "docker.io/library/x")
    assert str(found) == f"docker.io/library/x:t@{SHA}"


@pytest.mark.parametrize(
    ("text", "expected"), [("x", "x:latest"), ("x:t", "x:t"), (f"x@{SHA}", f"x@{SHA}")]
)
def test_the_default_tag_is_given_to_names_without_tag_and_digest(text, expected) -> None:
    assert ImageName.parse_normalized(text).with_default_tag().familiar == expected


@pytest.mark.parametrize(
    "text",
    [
        *("latest", "v1.0", "a-b_c.d:e@f+g", "a--b", "docker.io/library/x:1", "a/b/c", "A"),
        *(f"x@{SHA}", "1"),
    ],
)
def test_names_in_a_layout_are_read(text: str) -> None:
    assert is_layout_name(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "/a", "a/", "a//b", "-a", "a-", "a..b", "a---b", "a_-b", "a b", "é", "a\n", "../a"),
        *("a\0", "a" * 2000, "@", "a/-b", "\x1b[0m"),
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_names_that_no_layout_may_hold_are_refused(text: str) -> None:
    assert not is_layout_name(text)


@given(st.from_regex(r"[a-z.:/@_A-F0-9\[\]-]{1,30}", fullmatch=True) | st.text(max_size=20))
def test_any_text_is_a_name_that_prints_as_itself_or_is_refused(text: str) -> None:
    try:
        found = ImageName.parse_normalized(text)
    except ReferenceSyntaxError:
        return
    assert ImageName.parse_normalized(str(found)) == found
