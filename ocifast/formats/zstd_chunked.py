"""zstd:chunked: a tar in zstd frames that begin and end with files and their chunks, and its TOC.

The dialect of containers/storage, which podman and CRI-O pull in parts; any zstd reader sees a
plain tar. Compression is handed in. Invariant: what a TOC says is only a claim until the blob's
digest, or that of the TOC, has been verified by whoever reads it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ocifast.tree.entry import EntryKind

__all__ = [
    "FOOTER_BYTES",
    "FRAME_HEADER_BYTES",
    "TOC_BEGIN",
    "TYPES",
    "Chunk",
    "Position",
    "footer",
    "layer_annotations",
    "read_footer",
    "skippable",
    "toc_end",
]

FOOTER_BYTES: Final = 64
FRAME_HEADER_BYTES: Final = 8
MAGIC: Final = b"GNUlInUx"
OLD_MAGIC: Final = b"GnUlInUx"
"""Of a shorter footer without tar-split, which older podmans wrote and stargz-snapshotter does."""
SKIPPABLE: Final = b"\x50\x2a\x4d\x18"
PREFIXES: Final = ("io.github.containers.zstd-chunked.", "io.containers.zstd-chunked.")
"""Of annotations; older podmans look for the second."""
MANIFEST_TYPE: Final = 1

TOC_BEGIN: Final = b'{"version":1,"entries":['
"""The first bytes of a TOC, of eStargz too; `_native.toc_cut` makes what stands behind them."""
_FOOTER: Final = struct.Struct("<7Q8s")
_OLD_FOOTER: Final = struct.Struct("<4Q8s")
TYPES: Final = {
    EntryKind.FILE: "reg",
    EntryKind.HARDLINK: "hardlink",
    EntryKind.SYMLINK: "symlink",
    EntryKind.CHAR_DEVICE: "char",
    EntryKind.BLOCK_DEVICE: "block",
    EntryKind.DIRECTORY: "dir",
    EntryKind.FIFO: "fifo",
}


class Chunk(NamedTuple):
    """A part of a file as it is stored: a frame, or in a gzip member."""

    offset: int
    end_offset: int
    size: int
    """Bytes of the file in it."""
    digest: str
    inner: int = 0
    """Where they begin, once it is inflated: files of an eStargz may share a member."""


class Position(NamedTuple):
    """Where a part of the tail lies in the blob: its compressed bytes, and how many they become."""

    offset: int
    size: int
    uncompressed_size: int


def skippable(payload: bytes) -> bytes:
    r"""Wrap bytes in a frame that every zstd reader passes over.

    Example:
        >>> skippable(b"x")
        b'P*M\x18\x01\x00\x00\x00x'
    """
    return SKIPPABLE + len(payload).to_bytes(4, "little") + payload


def footer(toc: Position, tar_split: Position) -> bytes:
    """Give the last bytes of a blob, its frame header not among them.

    Example:
        >>> len(footer(Position(1, 2, 3), Position(4, 5, 6)))
        64
    """
    return _FOOTER.pack(*toc, MANIFEST_TYPE, *tar_split, MAGIC)


def read_footer(raw: bytes) -> tuple[Position, Position | None] | None:
    """Give where TOC and tar-split lie, of the last 64 bytes of a blob; None if that is no footer.

    Example:
        >>> read_footer(footer(Position(1, 2, 3), Position(4, 5, 6)))[1].offset
        4
    """
    if len(raw) != FOOTER_BYTES:
        return None
    *numbers, magic = _FOOTER.unpack(raw)
    if magic == MAGIC and numbers[3] == MANIFEST_TYPE:
        return Position(*numbers[:3]), Position(*numbers[4:])
    *numbers, magic = _OLD_FOOTER.unpack(raw[-_OLD_FOOTER.size :])
    if magic == OLD_MAGIC and numbers[3] == MANIFEST_TYPE:
        return Position(*numbers[:3]), None
    return None


def layer_annotations(toc_digest: str, toc: Position, tar_split: Position) -> dict[str, str]:
    """Give what the descriptor of the layer has to say, in the words of podman of all ages."""
    position = ":".join(map(str, (*toc, MANIFEST_TYPE)))
    found = {f"{PREFIXES[0]}tarsplit-position": ":".join(map(str, tar_split))}
    for prefix in PREFIXES:
        found[f"{prefix}manifest-checksum"] = toc_digest
        found[f"{prefix}manifest-position"] = position
    return found


def toc_end(tar_split_digest: str) -> bytes:
    """Give the last bytes of a TOC; the digest is of the compressed tar-split."""
    return b'],"tarSplitDigest":"' + tar_split_digest.encode() + b'"}'
