"""OCI image layouts: `oci:` when they are folders, `oci-archive:` when they are tars of one.

Reads oci-layout, index.json, manifests and configs; never a layer. *Invariant:* what is selected by
name is what index.json says of that name; blobs that nothing names are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.errors import (
    AmbiguousImage,
    DocumentError,
    ImageNotFound,
    ReferenceSyntaxError,
    StoreError,
)
from ocifast.spec.document import CATALOGUE_BYTES, parse_json
from ocifast.spec.fields import Fields
from ocifast.spec.index import LayoutIndex
from ocifast.spec.reference import ImageName
from ocifast.transports.collecting import collecting
from ocifast.transports.walk import Walk

if TYPE_CHECKING:
    from ocifast.limits import Profile
    from ocifast.spec.descriptor import Descriptor
    from ocifast.transports.base import Files, Stored
    from ocifast.transports.collecting import Collect
    from ocifast.transports.reference import ImageReference

__all__ = ["IMAGE_NAME", "REF_NAME", "entry_name", "full_name", "read_index", "read_layout"]

LAYOUT_FILE: Final = "oci-layout"
INDEX_FILE: Final = "index.json"
LAYOUT_BYTES: Final = 64 << 10
VERSION: Final = "1.0.0"
REF_NAME: Final = "org.opencontainers.image.ref.name"
IMAGE_NAME: Final = "io.containerd.image.name"


def read_layout(
    files: Files,
    wanted: ImageReference | None = None,
    profile: Profile = "compat",
    collect: Collect | None = None,
) -> tuple[Stored, ...]:
    """Give the images and indexes that index.json names, or those that are wanted.

    With `collect`, what is wrong with one of them is told to it, and the others are given.

    Raises:
        StoreError: It is no layout, or a document is not there.
        DocumentError, SizeMismatch, DigestMismatch: A document is malformed or another one.
        ImageNotFound, AmbiguousImage: Nothing is what is wanted, or several things are.
        UnsupportedError: Something is of a kind or version that is not read.
    """
    with collecting(collect, LAYOUT_FILE):
        check_version(files, profile)
    index = read_index(files)
    entries = _select(files, index.manifests, wanted)
    together: dict[str, list[Descriptor]] = {}
    for entry in entries:
        together.setdefault(str(entry.digest), []).append(entry)
    walk = Walk(files, profile, collect=collect)
    return tuple(
        walk.root(same[0], tuple(filter(None, dict.fromkeys(map(entry_name, same)))))
        for same in together.values()
    )


def check_version(files: Files, profile: Profile) -> None:
    """Look at oci-layout; the compat profile does without.

    Raises:
        StoreError: It is not there, in the strict profile.
        DocumentError: It is malformed, or of another version.
    """
    if files.find(LAYOUT_FILE) is None:
        if profile == "strict" or files.find(INDEX_FILE) is None:
            other = (
                "; manifest.json is: write docker-archive:" if files.find("manifest.json") else ""
            )
            reason = f"it is no OCI layout: this is not there{other}"
            raise StoreError(files.path, LAYOUT_FILE, reason)
        files.findings.append(f"{LAYOUT_FILE} is not there")
        return
    raw = files.read(LAYOUT_FILE, LAYOUT_BYTES)
    value = parse_json(raw, what=LAYOUT_FILE, limit=LAYOUT_BYTES)
    fields = Fields(value, ("imageLayoutVersion",), LAYOUT_FILE)
    version = fields.text("imageLayoutVersion", required=True)
    if version != VERSION:
        reason = f"version {version[:40]!r} is not known, {VERSION} is"
        raise DocumentError(LAYOUT_FILE, "imageLayoutVersion", reason)


def read_index(files: Files) -> LayoutIndex:
    """Read index.json. Raises StoreError and DocumentError."""
    return LayoutIndex.parse(files.read(INDEX_FILE, CATALOGUE_BYTES), document=INDEX_FILE)


def entry_name(entry: Descriptor) -> str:
    """The name of an entry of index.json: containerd's, which is in full, before the tag.

    Where both are the same name, the one that was typed. Empty when it has none.
    """
    full, typed = entry.annotations.get(IMAGE_NAME, ""), entry.annotations.get(REF_NAME, "")
    return typed if not full or full_name(typed) == full else full


def full_name(text: str) -> str | None:
    """A name in its one form, with its tag; None when it is no name that a registry would take.

    Example:
        >>> full_name("debian:12"), full_name("a b")
        ('docker.io/library/debian:12', None)
    """
    try:
        return str(ImageName.parse_normalized(text).with_default_tag())
    except ReferenceSyntaxError:
        return None


def _select(
    files: Files, entries: tuple[Descriptor, ...], wanted: ImageReference | None
) -> tuple[Descriptor, ...]:
    if wanted is None:
        return entries
    found = _matching(entries, wanted)
    if found is None:
        return entries
    known = ", ".join(dict.fromkeys(filter(None, map(entry_name, entries))))
    if not found:
        raise ImageNotFound(files.path, wanted.selector, known or f"{len(entries)} without names")
    if len({entry.digest for entry in found}) > 1:
        digests = ", ".join(f"@{entry.digest}" for entry in found)
        raise AmbiguousImage(files.path, digests)
    return found


def _matching(
    entries: tuple[Descriptor, ...], wanted: ImageReference
) -> tuple[Descriptor, ...] | None:
    """The entries that are meant; None when all are."""
    if wanted.number is not None:
        return entries[wanted.number : wanted.number + 1]
    if wanted.digest is not None:
        return tuple(entry for entry in entries if entry.digest == wanted.digest)
    if wanted.name is None:
        return None
    exact = tuple(entry for entry in entries if entry.annotations.get(REF_NAME) == wanted.name)
    if exact:
        return exact
    full = full_name(wanted.name)
    names = (wanted.name, full)
    return tuple(
        entry
        for entry in entries
        if entry.annotations.get(IMAGE_NAME) in names
        or (full is not None and full_name(entry_name(entry)) == full)
    )
