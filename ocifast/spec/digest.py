"""Digests: `algorithm:encoded`, the name of bytes (image-spec, descriptor.md, "Digests").

A `Digest` is a `str`, so it compares, hashes and serialises as what it looks like. Invariant: an
instance made by `parse` or `of_sha256` is safe to put into a path.
"""

from __future__ import annotations

import re
from typing import Final

from ocifast.errors import DigestSyntaxError

__all__ = ["Digest"]

ENCODED: Final = {"sha256": re.compile(r"[a-f0-9]{64}"), "sha512": re.compile(r"[a-f0-9]{128}")}


class Digest(str):
    """A digest of a registered algorithm, checked.

    Example:
        >>> Digest.of_sha256(bytes(32)).encoded[:4]
        '0000'
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Check a digest string; raises DigestSyntaxError, also for unknown algorithms."""
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise DigestSyntaxError(text, "it has no algorithm before a colon")
        pattern = ENCODED.get(algorithm)
        if pattern is None:
            raise DigestSyntaxError(text, "its algorithm is neither sha256 nor sha512")
        if not pattern.fullmatch(encoded):
            raise DigestSyntaxError(
                text, "its encoded part is not lower-case hex of the right length"
            )
        return cls(text)

    @classmethod
    def of_sha256(cls, raw: bytes) -> Digest:
        """Name the 32 bytes of a finished SHA-256."""
        return cls("sha256:" + raw.hex())

    @classmethod
    def of_content(cls, content: bytes) -> Digest:
        """Name a document by what is in it.

        Example:
            >>> Digest.of_content(b"{}").encoded[:8]
            '44136fa3'
        """
        import hashlib

        return cls.of_sha256(hashlib.sha256(content).digest())

    @property
    def algorithm(self) -> str:
        """The part before the colon."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The part behind the colon."""
        return self.partition(":")[2]
