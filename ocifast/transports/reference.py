"""What a person types to name an image on disk: `transport:PATH[:NAME]`, or a bare path.

Written as skopeo does, where it can be. It looks at nothing on disk. *Invariant:* one text means
one thing: a bare path is only ever a path, and the first colon behind a transport's path ends it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ocifast.errors import DigestSyntaxError, ReferenceSyntaxError
from ocifast.spec.digest import Digest
from ocifast.spec.reference import ImageName, is_layout_name

__all__ = ["TRANSPORT_NAMES", "ImageReference", "meant_transport"]

TRANSPORT_NAMES: Final = ("oci", "oci-archive", "docker-archive", "dir")
ELSEWHERE: Final = (
    "docker",
    "docker-daemon",
    "containers-storage",
    "ostree",
    "sif",
    "tarball",
    "oci-docker",
)
FORMS: Final = (
    "oci:FOLDER[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:FOLDER, a path "
    "or - for standard input; NAME may be @N or @DIGEST"
)
SLIPS: Final = {"oci-layout": "oci"}
"""What other tools call them."""
NUMBER: Final = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A place, and which of the images there; at most one of name, number and digest is given.

    Example:
        >>> ImageReference.parse("oci:images:debian:12")
        ImageReference(transport='oci', path='images', name='debian:12', number=None, digest=None)
        >>> ImageReference.parse("save.tar").transport is None
        True
    """

    transport: str | None
    path: str
    name: str | None = None
    number: int | None = None
    """Counted from 0, in the order of index.json or manifest.json."""
    digest: Digest | None = None
    """Of a manifest or index, or of the config in archives that have no manifests."""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a reference.

        Raises:
            ReferenceSyntaxError: It is none; `reason` lists the valid forms.
        """
        if not text or "\0" in text:
            raise ReferenceSyntaxError(text, f"write {FORMS}")
        prefix, colon, rest = text.partition(":")
        if colon and prefix in ELSEWHERE:
            reason = f"images are read from disk only: write {FORMS}"
            raise ReferenceSyntaxError(text, reason)
        if not colon or prefix not in TRANSPORT_NAMES:
            return cls(None, text)
        path, name = _split_path(prefix, rest, text)
        if not name:
            return cls(prefix, path)
        if not name.startswith("@"):
            return cls(prefix, path, _checked_name(prefix, name, text))
        if NUMBER.fullmatch(name, 1):
            return cls(prefix, path, number=int(name[1:]))
        try:
            return cls(prefix, path, digest=Digest.parse(name[1:]))
        except DigestSyntaxError:
            reason = "behind @ stands a number, counted from 0, or a digest"
            raise ReferenceSyntaxError(text, reason) from None

    @property
    def selector(self) -> str:
        """Which of the images is meant, as it is typed; empty when that is left open."""
        if self.name is not None:
            return self.name
        if self.number is not None:
            return f"@{self.number}"
        return "" if self.digest is None else f"@{self.digest}"

    def __str__(self) -> str:
        transport = f"{self.transport}:" if self.transport else ""
        return f"{transport}{self.path}" + (f":{self.selector}" if self.selector else "")


def meant_transport(path: str) -> str:
    """The transport whose name a path that is not there begins with, but for a slip; else empty.

    Example:
        >>> meant_transport("docker-archiv:app.tar"), meant_transport("archive.tar:1")
        ('docker-archive', '')
    """
    from difflib import get_close_matches  # of no use unless something is wrong

    prefix, colon, _ = path.partition(":")
    if not colon:
        return ""
    close = get_close_matches(prefix, (*TRANSPORT_NAMES, *SLIPS), 1, 0.8)
    return SLIPS.get(close[0], close[0]) if close else ""


def _split_path(transport: str, rest: str, text: str) -> tuple[str, str]:
    """Part a path from the name behind it; a `dir:` holds one image, without a name."""
    path, colon, name = (rest, "", "") if transport == "dir" else rest.partition(":")
    if not path or (colon and not name):
        lacking = "it has no path" if not path else "nothing stands behind the colon"
        raise ReferenceSyntaxError(text, f"{lacking}: write {FORMS}")
    return path, name


def _checked_name(transport: str, name: str, text: str) -> str:
    if transport == "docker-archive":
        try:
            return str(ImageName.parse_normalized(name).with_default_tag())
        except ReferenceSyntaxError as error:
            raise ReferenceSyntaxError(text, error.reason) from None
    if not is_layout_name(name) and not _is_image_name(name):
        raise ReferenceSyntaxError(text, f"{name[:80]!r} is not a name in an OCI layout")
    return name


def _is_image_name(text: str) -> bool:
    try:
        ImageName.parse_normalized(text)
    except ReferenceSyntaxError:
        return False
    return True
