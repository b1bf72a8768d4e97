"""One view of a layer: what a single pass over its bytes has established.

Nothing here reads; the numbers come from `ocifast.hash_layer` and its kin. Words are the spec's:
`digest` is of the bytes as stored, `diff_id` of the uncompressed tar.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from ocifast.formats.tar import EntryTable
    from ocifast.spec.digest import Digest

__all__ = ["Finding", "LayerReport"]


class Finding(NamedTuple):
    """An oddity the compat profile tolerated.

    `code` is its stable name; `stream` says what `offset` counts: ``blob`` for bytes as stored,
    ``tar`` for the uncompressed stream.
    """

    code: str
    stream: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What one pass over a layer found out.

    `size` counts stored bytes, `uncompressed_size` those of the tar; `entries` counts its entries,
    and `table` describes them, if one was asked for.
    """

    path: str
    media_type: str
    digest: Digest
    size: int
    diff_id: Digest
    uncompressed_size: int
    entries: int
    finding_count: int = 0
    findings: tuple[Finding, ...] = ()
    table: EntryTable | None = field(default=None, compare=False, repr=False)
    contents: ReadableBuffer | None = field(default=None, compare=False, repr=False)
    """SHA-256 of each file, 32 bytes a row of the table, zeros for what is none; if asked for."""

    def to_dict(self) -> dict[str, Any]:
        """Give what the command line prints as JSON; the table is not part of it."""
        return {
            "path": self.path,
            "media_type": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            "diff_id": str(self.diff_id),
            "uncompressed_size": self.uncompressed_size,
            "entries": self.entries,
            "findings": [finding._asdict() for finding in self.findings],
            "finding_count": self.finding_count,
        }
