"""Descriptors: what is promised of a blob before it is read (image-spec, descriptor.md).

A promise, not a check: the bytes it names are looked at elsewhere, except those it carries itself.
*Invariant:* a digest in it is safe to put into a path, and `data` is the content it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.spec.fields import Fields
    from ocifast.spec.platform import Platform

__all__ = ["Descriptor"]

KNOWN: Final = (
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "platform",
    "artifactType",
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest and size of a blob; a part that is None is not checked.

    Example:
        >>> Descriptor(digest="sha256:" + "0" * 64, size=10).size
        10
    """

    media_type: str | None = None
    digest: str | None = None
    size: int | None = None
    urls: tuple[str, ...] = ()
    """Where else the blob is offered; never fetched on our own account (J13)."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    data: bytes | None = None
    """The blob itself, when it was embedded."""
    platform: Platform | None = None
    artifact_type: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Unknown fields, kept as they were."""

    def __post_init__(self) -> None:
        if self.digest is not None:
            object.__setattr__(self, "digest", Digest.parse(self.digest))
        if self.size is not None and (type(self.size) is not int or self.size < 0):
            msg = f"size must be a non-negative integer, not {self.size!r}"
            raise ValueError(msg)

    @classmethod
    def from_json(cls, value: object, where: str, document: str) -> Descriptor:
        """Read a descriptor that stands at `where` in a document.

        Raises:
            DocumentError: A part is missing or malformed, or `data` is not what it names (J09).
            UnsupportedError: Its digest is of an algorithm that is not known.
        """
        # Here, as `import ocifast` loads this module and mostly reads no documents.
        from ocifast.spec.fields import Fields
        from ocifast.spec.platform import Platform

        fields = Fields(value, KNOWN, document, where)
        platform = fields.take("platform")
        media_type, digest = fields.text("mediaType", required=True), fields.digest("digest")
        size = fields.size("size")
        return cls(
            media_type=media_type,
            digest=digest,
            size=size,
            urls=fields.texts("urls"),
            annotations=fields.text_map("annotations"),
            data=_embedded(fields, digest, size),
            platform=None
            if platform is None
            else Platform.from_json(platform, document, fields.place("platform")),
            artifact_type=fields.text("artifactType") or None,
            extra=fields.rest(),
        )

    def to_json(self) -> dict[str, object]:
        """Give the fields in the order Go writes them, absent ones left out.

        Raises:
            ValueError: Media type, digest or size is not known.
        """
        if self.media_type is None or self.digest is None or self.size is None:
            msg = f"a descriptor in a document needs media type, digest and size: {self}"
            raise ValueError(msg)
        optional = {
            "urls": list(self.urls),
            "annotations": dict(self.annotations),
            "data": None if self.data is None else _base64(self.data),
            "platform": None if self.platform is None else self.platform.to_json(),
            "artifactType": self.artifact_type,
        }
        return {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            **{key: value for key, value in optional.items() if value not in (None, [], {})},
            **self.extra,
        }


def _base64(data: bytes) -> str:
    import binascii

    return binascii.b2a_base64(data, newline=False).decode()


def _embedded(fields: Fields, digest: Digest, size: int) -> bytes | None:
    """Decode `data` and hold it against what it is the content of."""
    import binascii
    import hashlib

    from ocifast.spec.document import DATA_BYTES

    if "data" not in fields:
        return None
    text = fields.text("data", required=True)
    if len(text) > DATA_BYTES * 4 // 3 + 4:
        fields.fail("data", f"it has {len(text)} characters, at most {DATA_BYTES} bytes are read")
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        fields.fail("data", f"it is not base64: {error}")
    if len(data) != size:
        fields.fail("data", f"it holds {len(data)} bytes, the size is {size}")
    if hashlib.new(digest.algorithm, data).hexdigest() != digest.encoded:
        fields.fail("data", f"what it holds does not have the digest {digest}")
    return data
