"""Descriptors: what is expected of a blob before it is read (image-spec, descriptor.md)."""

from __future__ import annotations

from dataclasses import dataclass

from ocifast.spec.digest import Digest

__all__ = ["Descriptor"]


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

    def __post_init__(self) -> None:
        if self.digest is not None:
            object.__setattr__(self, "digest", Digest.parse(self.digest))
        if self.size is not None and (not isinstance(self.size, int) or self.size < 0):
            msg = f"size must be a non-negative integer, not {self.size!r}"
            raise ValueError(msg)
