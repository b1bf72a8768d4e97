"""Names of images: the reference grammar of Docker and the registries, and what short names mean.

`docker.io/library/debian:12` and `debian:12` are one name; this says which, and nothing asks a
registry. Names inside an OCI layout follow another grammar, which is looked at here too.
*Invariant:* an `ImageName` prints as a name that parses to the same one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from ocifast.errors import DigestSyntaxError, ReferenceSyntaxError
from ocifast.spec.digest import Digest

__all__ = ["ImageName", "is_layout_name"]

PATH_LENGTH: Final = 255
"""With "library/" where that is added; the domain is not counted."""
HUB: Final = "docker.io"
HUB_ALIAS: Final = "index.docker.io"
OFFICIAL: Final = "library/"

ALNUM: Final = "[a-z0-9]+"
COMPONENT: Final = rf"{ALNUM}(?:(?:\.|_{{1,2}}|-+){ALNUM})*"
PATH: Final = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
DOMAIN: Final = re.compile(rf"(?:{LABEL}(?:\.{LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
IDENTIFIER: Final = re.compile("[a-f0-9]{64}")
LAYOUT_PART: Final = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
LAYOUT_NAME: Final = re.compile(rf"{LAYOUT_PART}(?:/{LAYOUT_PART})*")
CHARACTERS: Final = 1024
"""Of a reference altogether: domain, path, tag and the longest digest have room in it."""


def is_layout_name(text: str) -> bool:
    """Whether it can be the `org.opencontainers.image.ref.name` of an entry of index.json.

    Example:
        >>> is_layout_name("v1.0--rc/a+b"), is_layout_name("a//b")
        (True, False)
    """
    return len(text) <= CHARACTERS and LAYOUT_NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ImageName:
    """A normalised name: the domain is always there; tag and digest may be, even both.

    Example:
        >>> name = ImageName.parse_normalized("debian:12")
        >>> str(name), name.familiar
        ('docker.io/library/debian:12', 'debian:12')
    """

    domain: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse_normalized(cls, text: str) -> ImageName:
        """Read a name as a person types it, and say what it means in full.

        Raises:
            ReferenceSyntaxError: It is none.
        """
        if not text or len(text) > CHARACTERS:
            raise ReferenceSyntaxError(text, f"a name has 1 to {CHARACTERS} characters")
        if IDENTIFIER.fullmatch(text):
            raise ReferenceSyntaxError(text, "64 hexadecimal digits are an image id, not a name")
        rest, at, digest = text.partition("@")
        name, tag = _split_tag(rest, text)
        domain, path = _normalized(name)
        _check_name(domain, path, text)
        return cls(domain, path, tag, _digest(digest, text) if at else None)

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """As short as it may be typed to mean the same."""
        path = self.path.removeprefix(OFFICIAL)
        short = self.path if "/" in path else path
        return (short if self.domain == HUB else self.name) + self._suffix()

    def with_default_tag(self) -> ImageName:
        """Give the name with the tag `latest`, unless it has a tag or a digest."""
        return self if self.tag or self.digest else replace(self, tag="latest")

    def __str__(self) -> str:
        return self.name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")


def _split_tag(rest: str, text: str) -> tuple[str, str]:
    """Part a name from its tag: a colon before the last slash belongs to a port."""
    slash = rest.rfind("/")
    colon = rest.find(":", slash + 1)
    # "[::1]" has no slash behind it, so it is no domain; its colons are caught as a bad tag.
    if colon < 0:
        return rest, ""
    tag = rest[colon + 1 :]
    if not TAG.fullmatch(tag):
        raise ReferenceSyntaxError(
            text,
            "a tag has up to 128 letters, digits, '_', '.' and '-', and begins with none of .-",
        )
    return rest[:colon], tag


def _normalized(name: str) -> tuple[str, str]:
    """Say which registry a name is of; without one that looks like a domain it is Docker Hub."""
    first, slash, rest = name.partition("/")
    is_domain = first == "localhost" or re.search(r"[.:A-Z]", first) is not None
    domain, path = (first, rest) if slash and is_domain else (HUB, name)
    if domain == HUB_ALIAS:
        domain = HUB
    if domain == HUB and "/" not in path:
        path = OFFICIAL + path
    return domain, path


def _check_name(domain: str, path: str, text: str) -> None:
    if not DOMAIN.fullmatch(domain):
        raise ReferenceSyntaxError(
            text, f"{domain[:80]!r} is not a host name with or without a port"
        )
    if path != path.lower():
        raise ReferenceSyntaxError(text, "the repository must be in lower case")
    if not PATH.fullmatch(path):
        raise ReferenceSyntaxError(
            text, "a repository is made of lower-case letters and digits, joined by . _ __ - or /"
        )
    if len(path) > PATH_LENGTH:
        raise ReferenceSyntaxError(
            text, f"the repository has {len(path)} characters, {PATH_LENGTH} are allowed"
        )


def _digest(digest: str, text: str) -> Digest:
    try:
        return Digest.parse(digest)
    except DigestSyntaxError as error:
        raise ReferenceSyntaxError(text, str(error)) from None
