"""Indexes: one name for the images of several platforms (image-spec, image-index.md; Docker lists).

An index is its bytes, like a manifest. It names manifests, indexes and things we do not know, and
reads none of them. *Invariant:* `parse(i.raw)` equals `i`, for those built here as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Self

from ocifast.spec import media_type as types
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.document import (
    CATALOGUE_BYTES,
    CATALOGUE_ENTRIES,
    MANIFEST_BYTES,
    MANIFESTS,
    parse_json,
)
from ocifast.spec.fields import Fields
from ocifast.spec.kind import KNOWN, check_kind, compose, is_index_document
from ocifast.spec.manifest import Manifest, check_docker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocifast.spec.platform import Platform

__all__ = ["Index", "LayoutIndex", "is_attestation", "parse_manifest_or_index"]

ATTESTATION: Final = "application/vnd.docker.attestation.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Index:
    """An OCI index, or a Docker manifest list."""

    bytes_max: ClassVar[int] = MANIFEST_BYTES
    entries_max: ClassVar[int] = MANIFESTS

    raw: bytes = field(repr=False)
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    subject: Descriptor | None = None
    artifact_type: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Unknown fields, kept as they were."""

    @classmethod
    def parse(cls, raw: bytes, *, document: str, media_type: str | None = None) -> Self:
        """Read an index; `document` names it in errors, `media_type` is what was announced.

        Raises:
            DocumentError: It is malformed, ambiguous, or not what was announced.
            UnsupportedError: It names a digest of unknown algorithm.
        """
        value = parse_json(raw, what=document, limit=cls.bytes_max)
        return cls.from_json(value, raw, document=document, media_type=media_type)

    @classmethod
    def from_json(
        cls, value: object, raw: bytes, *, document: str, media_type: str | None = None
    ) -> Self:
        """Read an index that is parsed already; raises as `parse`."""
        fields = Fields(value, KNOWN, document)
        media_type = check_kind(fields, media_type, index=True)
        if not fields.holds("manifests"):
            fields.fail("manifests", "it is required")
        manifests = fields.items("manifests", cls.entries_max)
        subject = fields.take("subject")
        return cls(
            raw=raw,
            media_type=media_type or types.INDEX,
            manifests=tuple(
                Descriptor.from_json(item, where, document) for item, where in manifests
            ),
            annotations=fields.text_map("annotations"),
            subject=None if subject is None else Descriptor.from_json(subject, "subject", document),
            artifact_type=fields.text("artifactType") or None,
            extra=fields.rest(),
        )

    @classmethod
    def build(
        cls,
        manifests: Iterable[Descriptor],
        *,
        media_type: str = types.INDEX,
        annotations: Mapping[str, str] | None = None,
        subject: Descriptor | None = None,
        artifact_type: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Self:
        """Write an index in its one form: the same arguments give the same bytes.

        Raises:
            DocumentError: What was given does not make an index that would be read back.
            UnsupportedError: A Docker manifest list cannot say it.
        """
        manifests = tuple(manifests)
        if media_type == types.DOCKER_LIST:
            check_docker(manifests, annotations, subject, artifact_type)
        raw = compose(
            media_type,
            {"manifests": [each.to_json() for each in manifests]},
            annotations=annotations,
            subject=subject,
            artifact_type=artifact_type,
            extra=extra,
        )
        return cls.parse(raw, document="index")

    @property
    def digest(self) -> Digest:
        """Of the bytes as they are."""
        return Digest.of_content(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """What another index says of it, without annotations."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    def select(self, wanted: Platform) -> Descriptor | None:
        """Choose the entry that fits a platform best, the first of equals; None when none fits.

        Attestations and entries without a platform are passed over.
        """
        ranked = [
            (rank, number)
            for number, entry in enumerate(self.manifests)
            if entry.platform is not None and not is_attestation(entry)
            for rank in (wanted.rank(entry.platform),)
            if rank is not None
        ]
        return self.manifests[min(ranked)[1]] if ranked else None


@dataclass(frozen=True, slots=True)
class LayoutIndex(Index):
    """The index.json of a layout, which may name more than an index that is sent around."""

    bytes_max: ClassVar[int] = CATALOGUE_BYTES
    entries_max: ClassVar[int] = CATALOGUE_ENTRIES


def is_attestation(descriptor: Descriptor) -> bool:
    """Whether an entry is what BuildKit says about another entry, instead of an image."""
    return (
        descriptor.artifact_type == ATTESTATION
        or descriptor.annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        or (descriptor.platform is not None and descriptor.platform.is_unknown)
    )


def parse_manifest_or_index(
    raw: bytes, *, document: str, media_type: str | None = None
) -> Manifest | Index:
    """Read a document that is one of the two; raises as `Manifest.parse`."""
    value = parse_json(raw, what=document, limit=MANIFEST_BYTES)
    kind = Index if is_index_document(value) else Manifest
    return kind.from_json(value, raw, document=document, media_type=media_type)
