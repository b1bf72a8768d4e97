"""zstd:chunked: a tar in zstd frames that begin and end with files and their chunks, and its TOC.

The dialect of containers/storage, which podman and CRI-O pull in parts; any zstd reader sees a
plain tar. Compression is handed in. Invariant: what a TOC says is only a claim until the blob's
digest, or that of the TOC, has been verified by whoever reads it.
"""

from __future__ import annotations

import base64
import itertools
import json
import struct
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast.errors import UnsupportedError
from ocifast.tree.entry import EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ocifast.tree.entry import Entry

__all__ = [
    "FOOTER_BYTES",
    "FRAME_HEADER_BYTES",
    "TYPES",
    "Chunk",
    "Position",
    "footer",
    "layer_annotations",
    "read_footer",
    "skippable",
    "toc_end",
    "toc_lines",
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

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
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
    """A part of a file as it is stored: a frame of its own."""

    offset: int
    end_offset: int
    size: int
    """Bytes of the file in it."""
    digest: str


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


def toc_lines(entries: Iterable[tuple[Entry, str, tuple[Chunk, ...]]]) -> Iterator[bytes]:
    """Give the TOC piece by piece, but for its last bytes (`toc_end`).

    An entry comes with the digest of its content and its chunks, both empty where it has none.

    Raises:
        UnsupportedError: A name is not UTF-8, and so not in JSON.
    """
    yield b'{"version":1,"entries":['
    before = b""
    for entry, digest, chunks in entries:
        for described in _described(entry, digest, chunks):
            yield before + _encode(described).encode()
            before = b","


def toc_end(tar_split_digest: str) -> bytes:
    """Give the last bytes of a TOC; the digest is of the compressed tar-split."""
    return b'],"tarSplitDigest":"' + tar_split_digest.encode() + b'"}'


def _described(entry: Entry, digest: str, chunks: tuple[Chunk, ...]) -> Iterator[dict[str, Any]]:
    name = _text(entry.path)
    whole: dict[str, Any] = {"type": TYPES[entry.kind], "name": name}
    known: Mapping[str, object] = {
        "linkName": _text(entry.link_target),
        "mode": entry.mode,
        "size": entry.size,
        "uid": entry.uid,
        "gid": entry.gid,
        "modtime": _time(entry.mtime_ns),
        "devMajor": entry.dev_major,
        "devMinor": entry.dev_minor,
        "xattrs": {_text(key): base64.b64encode(value).decode() for key, value in entry.xattrs},
        "digest": digest,
    }
    whole |= {key: value for key, value in known.items() if value}
    if chunks:
        whole |= {"offset": chunks[0].offset, "endOffset": chunks[-1].end_offset}
    if len(chunks) > 1:
        whole |= {"chunkSize": chunks[0].size, "chunkDigest": chunks[0].digest}
    yield whole
    at = 0
    for before, chunk in itertools.pairwise(chunks):
        at += before.size
        yield {
            "type": "chunk",
            "name": name,
            "offset": chunk.offset,
            "chunkSize": chunk.size,
            "chunkOffset": at,
            "chunkDigest": chunk.digest,
        }


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        shown = raw.decode(errors="backslashreplace")
        raise UnsupportedError(f"{shown!r} is not UTF-8, and cannot be in a TOC") from None


def _time(ns: int) -> str:
    seconds, rest = divmod(ns, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"
