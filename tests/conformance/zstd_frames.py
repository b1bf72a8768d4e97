"""zstd frames by hand, from the words of RFC 8878; raw and run blocks are all a test needs."""

from __future__ import annotations

import struct

import xxhash

MAGIC = bytes.fromhex("28b52ffd")
BLOCK_MAX = 128 << 10


def block(kind: int, size: int, payload: bytes, *, last: bool = False) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + payload


def raw(payload: bytes, *, last: bool = False) -> bytes:
    return block(0, len(payload), payload, last=last)


def run(byte: bytes, count: int, *, last: bool = False) -> bytes:
    return block(1, count, byte, last=last)


def header(
    window: int | None = 0x38,
    size: int | None = None,
    *,
    flag: int | None = None,
    dictionary: bytes = b"",
    checksum: bool = False,
    extra: int = 0,
) -> bytes:
    """`window` is the descriptor byte (0x38: 128 KiB); None makes a single segment of `size`."""
    if flag is None:
        flag = 0 if size is None or (window is None and size < 256) else 3
    width = (int(window is None), 2, 4, 8)[flag]
    descriptor = flag << 6 | (window is None) << 5 | checksum << 2 | extra
    descriptor |= {0: 0, 1: 1, 2: 2, 4: 3}[len(dictionary)]
    field = (size or 0) - (256 if flag == 1 else 0)
    fields = b"" if window is None else bytes([window])
    return MAGIC + bytes([descriptor]) + fields + dictionary + field.to_bytes(width, "little")


def frame(content: bytes = b"", **fields: object) -> bytes:
    """A frame of raw blocks."""
    pieces = [content[at : at + BLOCK_MAX] for at in range(0, len(content), BLOCK_MAX)] or [b""]
    blocks = [raw(piece, last=False) for piece in pieces[:-1]] + [raw(pieces[-1], last=True)]
    tail = checksum_of(content) if fields.get("checksum") else b""
    return header(**fields) + b"".join(blocks) + tail


def checksum_of(content: bytes) -> bytes:
    return struct.pack("<I", xxhash.xxh64_intdigest(content) & 0xFFFFFFFF)


def skippable(payload: bytes, nibble: int = 0) -> bytes:
    return struct.pack("<II", 0x184D2A50 + nibble, len(payload)) + payload
