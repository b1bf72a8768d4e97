"""What the caller knows of a blob beforehand, and the checks that fail as soon as they can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.errors import (
    CompressedDataError,
    DigestMismatch,
    SizeMismatch,
    TarError,
    UnsupportedError,
)
from ocifast.layer import Finding
from ocifast.spec.media_type import codec_of

if TYPE_CHECKING:
    from ocifast.limits import Profile
    from ocifast.spec.descriptor import Descriptor
    from ocifast.spec.digest import Digest

__all__ = ["Expectation"]


class Expectation:
    """What the caller knows of the blob beforehand; each check fails as soon as it can.

    Raises UnsupportedError for a digest of another algorithm than sha256: it would go unchecked.
    """

    def __init__(self, descriptor: Descriptor, profile: Profile) -> None:
        if descriptor.digest is not None and not descriptor.digest.startswith("sha256:"):
            raise UnsupportedError(
                "only sha256 digests can be verified, not " + descriptor.digest[:7]
            )
        self._descriptor = descriptor
        self._profile = profile

    def check_size(self, size: int, *, final: bool) -> None:
        """Compare the bytes seen so far, or all of them.

        Raises SizeMismatch; and TarError when there are none, as nothing says what it was to be.
        """
        expected = self._descriptor.size
        if expected is not None and (size > expected or (final and size < expected)):
            raise SizeMismatch(expected, size)
        if final and size == 0:
            raise TarError("empty", 0, "no bytes at all; a tar ends with two zero blocks")

    def check_codec(self, codec: str) -> Finding | None:
        """Compare the media type with what the first bytes say (Z07).

        Raises CompressedDataError in the strict profile; a finding otherwise.
        """
        media_type = self._descriptor.media_type
        promised = codec_of(media_type) if media_type is not None else None
        if promised is None or promised == codec:
            return None
        reason = f"the media type {media_type} promises {promised}, the bytes are {codec}"
        if self._profile == "strict":
            raise CompressedDataError(codec, 0, reason)
        return Finding("media-type", "blob", 0, reason)

    def check_digest(self, digest: Digest) -> None:
        """Compare the digest of all bytes. Raises DigestMismatch."""
        expected = self._descriptor.digest
        if expected is not None and expected != digest:
            raise DigestMismatch(expected, digest)
