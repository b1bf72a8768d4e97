"""What `unpack` gives: where the tree is, what layers it is of, and what could not be kept.

Plain frozen values. Invariant: a report is only made of a tree that is complete under its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ocifast.layer import LayerReport

__all__ = ["UnpackReport"]

SCHEMA: Final = "ocifast.unpack/1"


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """A tree that was unpacked to `path`; `entries` are those of the tree, `size` bytes of files.

    `findings` are sentences about what was tolerated or could not be kept.
    """

    path: str
    layers: tuple[LayerReport, ...]
    entries: int
    size: int
    findings: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON; layers with the keys every verb describes them by."""
        return {
            "schema": SCHEMA,
            "path": self.path,
            "entries": self.entries,
            "size": self.size,
            "layers": [layer.to_dict() for layer in self.layers],
            "findings": list(self.findings),
            "seconds": round(self.seconds, 6),
        }
