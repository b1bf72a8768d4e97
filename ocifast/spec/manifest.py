"""Manifests: one image as a config and layers (image-spec, manifest.md; Docker schema 2).

A manifest is its bytes: the digest is of what was received, and fields are a view of it. It names
blobs and never reads them. *Invariant:* `parse(m.raw)` equals `m`, for those built here as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocifast.errors import UnsupportedError
from ocifast.spec import media_type as types
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.document import LAYERS, MANIFEST_BYTES, parse_json
from ocifast.spec.fields import Fields
from ocifast.spec.kind import KNOWN, check_kind, compose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Manifest", "check_docker"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """An OCI manifest, or a Docker manifest of schema 2."""

    raw: bytes = field(repr=False)
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    """From the base up."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    subject: Descriptor | None = None
    artifact_type: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Unknown fields, kept as they were."""

    @classmethod
    def parse(cls, raw: bytes, *, document: str, media_type: str | None = None) -> Manifest:
        """Read a manifest; `document` names it in errors, `media_type` is what was announced.

        Raises:
            DocumentError: It is malformed, ambiguous, or not what was announced.
            UnsupportedError: It is of Docker's schema 1, or names a digest of unknown algorithm.
        """
        value = parse_json(raw, what=document, limit=MANIFEST_BYTES)
        return cls.from_json(value, raw, document=document, media_type=media_type)

    @classmethod
    def from_json(
        cls, value: object, raw: bytes, *, document: str, media_type: str | None = None
    ) -> Manifest:
        """Read a manifest that is parsed already; raises as `parse`."""
        fields = Fields(value, KNOWN, document)
        media_type = check_kind(fields, media_type, index=False)
        config = Descriptor.from_json(fields.take("config", required=True), "config", document)
        if not fields.holds("layers"):
            fields.fail("layers", "it is required")
        if not media_type:
            # Before image-spec 1.0.2 manifests did not name their type.
            docker = config.media_type == types.DOCKER_CONFIG
            media_type = types.DOCKER_MANIFEST if docker else types.MANIFEST
        layers = fields.items("layers", LAYERS)
        subject = fields.take("subject")
        return cls(
            raw=raw,
            media_type=media_type,
            config=config,
            layers=tuple(Descriptor.from_json(item, where, document) for item, where in layers),
            annotations=fields.text_map("annotations"),
            subject=None if subject is None else Descriptor.from_json(subject, "subject", document),
            artifact_type=fields.text("artifactType") or None,
            extra=fields.rest(),
        )

    @classmethod
    def build(  # noqa: PLR0913 - all but the first two by keyword only
        cls,
        config: Descriptor,
        layers: Iterable[Descriptor],
        *,
        media_type: str = types.MANIFEST,
        annotations: Mapping[str, str] | None = None,
        subject: Descriptor | None = None,
        artifact_type: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Manifest:
        """Write a manifest in its one form: the same arguments give the same bytes.

        Raises:
            DocumentError: What was given does not make a manifest that would be read back.
            UnsupportedError: Schema 2 cannot say it.
        """
        layers = tuple(layers)
        if media_type == types.DOCKER_MANIFEST:
            check_docker((config, *layers), annotations, subject, artifact_type)
        raw = compose(
            media_type,
            {"config": config.to_json(), "layers": [each.to_json() for each in layers]},
            annotations=annotations,
            subject=subject,
            artifact_type=artifact_type,
            extra=extra,
        )
        return cls.parse(raw, document="manifest")

    @property
    def digest(self) -> Digest:
        """Of the bytes as they are."""
        return Digest.of_content(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """What an index says of it, without platform and annotations."""
        return Descriptor(self.media_type, self.digest, len(self.raw))


def check_docker(
    descriptors: Iterable[Descriptor],
    annotations: Mapping[str, str] | None,
    subject: Descriptor | None,
    artifact_type: str | None,
) -> None:
    """Refuse what Docker's documents have no words for. Raises UnsupportedError."""
    annotated = any(each.annotations or each.artifact_type for each in descriptors)
    if annotated or annotations or subject is not None or artifact_type:
        raise UnsupportedError(
            "Docker's schema 2 has no annotations, subject or artifactType: write OCI documents"
        )
