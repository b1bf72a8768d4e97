"""The result of packing a tree, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.spec.digest import Digest

__all__ = ["PackedLayer"]


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """A layer that was made of a tree.

    `recipe` says what its bytes depend on, None where the tar was left as it is. `image` is the
    digest of the manifest it was put into, if it was. `findings` are sentences about what was left
    out. `annotations` belong into its descriptor; only seekable formats have some.
    """

    path: str
    media_type: str
    digest: Digest
    size: int
    diff_id: Digest
    uncompressed_size: int
    entries: int
    recipe: str | None
    seconds: float
    findings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    image: Digest | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give what the command line prints as JSON."""
        return {
            "schema": "ocifast.pack/1",
            "path": self.path,
            "media_type": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            "diff_id": str(self.diff_id),
            "uncompressed_size": self.uncompressed_size,
            "entries": self.entries,
            "recipe": self.recipe,
            "annotations": dict(self.annotations),
            "image": None if self.image is None else str(self.image),
            "findings": list(self.findings),
            "seconds": round(self.seconds, 3),
        }
