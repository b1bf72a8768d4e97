"""The headers of a plain tar: what the members of an archive of blobs need, and no more.

Regular files and folders, owned by root, of the year 1970; names and sizes that a header has no
room for stand in a PAX record. *Invariant:* the same name and size give the same bytes.
"""

from __future__ import annotations

from typing import Final

__all__ = ["END", "folder_header", "member_header", "padding"]

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""What ends an archive."""
NAME_BYTES: Final = 100
SIZE_MAX: Final = 8**11 - 1


def member_header(name: str, size: int) -> bytes:
    """Give all that stands before the payload of a regular file.

    Example:
        >>> len(member_header("index.json", 12)), len(member_header("x" * 101, 8 << 30))
        (512, 1536)
    """
    return _header(name, size, b"0", 0o444)


def folder_header(name: str) -> bytes:
    r"""Give the header of a folder; its name ends with a slash, as is usual.

    Example:
        >>> folder_header("blobs")[:7]
        b'blobs/\x00'
    """
    return _header(f"{name}/", 0, b"5", 0o755)


def padding(size: int) -> bytes:
    """Give the zeros that stand behind a payload.

    Example:
        >>> len(padding(513)), len(padding(512))
        (511, 0)
    """
    return bytes(-size % BLOCK)


def _header(name: str, size: int, kind: bytes, mode: int) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    records = b""
    if len(raw) > NAME_BYTES:
        records += _record(b"path", raw)
    if size > SIZE_MAX:
        records += _record(b"size", b"%d" % size)
    block = _block(raw[:NAME_BYTES], 0 if size > SIZE_MAX else size, kind, mode)
    if not records:
        return block
    return (
        _block(b"PaxHeaders/0", len(records), b"x", 0o644) + records + padding(len(records)) + block
    )


def _record(key: bytes, value: bytes) -> bytes:
    """A PAX record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _block(name: bytes, size: int, kind: bytes, mode: int) -> bytes:
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:157] = b"%07o\0%07o\0%07o\0%011o\0%011o\0        %s" % (mode, 0, 0, size, 0, kind)
    block[257:265] = b"ustar\00000"
    block[329:345] = b"%07o\0%07o\0" % (0, 0)
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
