"""Caps against hostile layers, and the two profiles that say what is refused.

Every length that comes from input is held against one of these before memory is spent on it. The
numbers are defaults of this project; the rows they answer are named in tests (H.., Z..).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

__all__ = ["DEFAULT_LIMITS", "Limits", "Profile"]

Profile = Literal["strict", "compat"]
"""``strict`` refuses what two readers would read differently; ``compat`` reads what Docker and
containerd accept and reports each oddity as a finding."""

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps for reading one layer; all are inclusive, sizes are bytes.

    Example:
        >>> Limits(output_bytes=16 << 30).entries
        4000000
    """

    output_bytes: int = 64 * GIB
    """Uncompressed bytes of a layer; the holes of sparse files count."""
    ratio: int = 512
    """Uncompressed bytes per stored byte, looked at once `ratio_grace_bytes` have come out."""
    ratio_grace_bytes: int = 64 * MIB
    entries: int = 4_000_000
    """Headers of all kinds, extension headers included."""
    table_bytes: int = 2 * GIB
    """Memory of the entry table, when one is kept."""
    path_bytes: int = 4096
    component_bytes: int = 255
    depth: int = 1024
    metadata_bytes: int = 1 * MIB
    """Extension headers (PAX, GNU long names, sparse maps) of one entry, together."""
    extensions: int = 16
    """Extension headers before one entry."""
    xattr_bytes: int = 64 * KIB
    sparse_regions: int = 10_000
    tail_bytes: int = 1 * MIB
    """Zeros after the end-of-archive mark, strict profile."""
    members: int = 16 << 20
    """gzip members or zstd frames in a blob."""
    gzip_header_bytes: int = 64 * KIB
    zstd_window_bytes: int = 128 * MIB
    skippable_bytes: int = 64 * MIB
    """zstd skippable frames of a blob, together. They are hashed, never held; the table of contents
    of a zstd:chunked layer is one, some 60 bytes a file."""
    nul_tail_bytes: int = 64 * KIB
    """NULs after the last gzip member or zstd frame, compat profile; strict allows none."""
    findings: int = 100
    """Findings kept in full; beyond it they are counted."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or not 0 <= value < 1 << 62:
                msg = f"{field.name} must be an integer in 0..2**62-1, not {value!r}"
                raise ValueError(msg)


DEFAULT_LIMITS: Final = Limits()
