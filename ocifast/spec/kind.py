"""Telling a manifest from an index by the document itself (image-spec, considerations.md).

A document that could be read as either is refused, and so is one that calls itself something else
than whoever points at it does (hardening J01; CVE-2021-41190). It does not read what is in them.
*Invariant:* no document is both a manifest and an index, and none is Docker's schema 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.errors import UnsupportedError
from ocifast.spec.document import encode_json
from ocifast.spec.media_type import is_index, is_manifest, is_schema1

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.spec.descriptor import Descriptor
    from ocifast.spec.fields import Fields

__all__ = ["KNOWN", "check_kind", "compose", "is_index_document"]

KNOWN: Final = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
    "history",
    "signatures",
)
"""Keys of all three documents, so that each is refused in the wrong one however it is spelt."""


def is_index_document(value: object) -> bool:
    """Whether a parsed document is to be read as an index."""
    return isinstance(value, dict) and "manifests" in value


def check_kind(fields: Fields, stated: str | None, *, index: bool) -> str:
    """Take version and media type out of a document that is to be an index, or a manifest.

    `stated` is the media type given by the descriptor or the registry. The answer is empty when
    nobody gave one.

    Raises:
        DocumentError: It is neither, both, or not what was stated.
        UnsupportedError: It is a manifest of Docker's schema 1 (J11).
    """
    version = fields.take("schemaVersion", required=True)
    media_type = fields.text("mediaType")
    number = version if type(version) is int else None
    if number == 1 or is_schema1(media_type or stated or "") or "fsLayers" in fields:
        raise UnsupportedError(
            f"{fields.document}: manifests of Docker's schema 1 are not supported; "
            "registries no longer serve them, pull the image again with a current tool"
        )
    if number != 2:
        fields.fail("schemaVersion", f"it must be 2, not {version!r:.40}")
    if media_type and stated and media_type != stated:
        fields.fail("mediaType", f"it is {media_type}, but {stated} is what was announced")
    media_type = media_type or stated or ""
    belongs = is_index if index else is_manifest
    if media_type and not belongs(media_type):
        fields.fail("mediaType", f"{media_type} is not the type of {_article(index)}")
    for key in ("config", "layers", "history") if index else ("manifests", "history"):
        if fields.holds(key):
            fields.fail(key, f"it must not stand in {_article(index)}: the document is ambiguous")
    return media_type


def compose(
    media_type: str,
    content: Mapping[str, object],
    *,
    annotations: Mapping[str, str] | None,
    subject: Descriptor | None,
    artifact_type: str | None,
    extra: Mapping[str, object] | None,
) -> bytes:
    """Write a document around its content, keys in the order Go writes them, unknown fields last.

    Raises:
        ValueError: An unknown field is one that is known.
    """
    clash = sorted(set(KNOWN) & set(extra or {}))
    if clash:
        msg = f"extra must not hold {clash[0]!r}, which has a parameter of its own"
        raise ValueError(msg)
    optional = {
        "subject": subject.to_json() if subject is not None else None,
        "annotations": dict(annotations or {}),
    }
    return encode_json(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            **({"artifactType": artifact_type} if artifact_type else {}),
            **content,
            **{key: value for key, value in optional.items() if value},
            **(extra or {}),
        }
    )


def _article(index: bool) -> str:  # noqa: FBT001 - two words
    return "an index" if index else "a manifest"
