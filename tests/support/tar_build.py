"""Tar archives byte by byte: every field can be wrong, and the checksum is right unless asked.

It knows nothing of ocifast, so a mistake here cannot hide one there.
"""

MAGIC_USTAR, MAGIC_GNU, MAGIC_V7 = b"ustar\x0000", b"ustar  \x00", bytes(8)
BLOCK, END = 512, bytes(1024)
FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "chksum": (148, 8),
    "kind": (156, 1),
    "link": (157, 100),
    "magic": (257, 8),
    "uname": (265, 32),
    "gname": (297, 32),
    "major": (329, 8),
    "minor": (337, 8),
    "prefix": (345, 155),
    "tail": (500, 12),
}


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int) -> bytes:
    lead = b"\x80" if value >= 0 else b"\xff"
    return lead + value.to_bytes(width - 1, "big", signed=value < 0)


def checksum(block: bytes, *, signed: bool = False) -> int:
    spaced = block[:148] + b" " * 8 + block[156:]
    return sum(byte - 256 if signed and byte > 127 else byte for byte in spaced)


def header(
    name: bytes = b"f", kind: bytes = b"0", *, size: int = 0, **fields: int | bytes
) -> bytes:
    """One block. Fields by name; int is written as octal, bytes as they are."""
    values: dict[str, int | bytes] = {
        "name": name,
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": size,
        "mtime": 0,
        "kind": kind,
        "magic": MAGIC_USTAR,
    }
    values |= fields
    block = bytearray(BLOCK)
    for field, value in values.items():
        at, width = FIELDS[field]
        raw = octal(value, width) if isinstance(value, int) else value
        assert len(raw) <= width, field
        block[at : at + len(raw)] = raw
    if "chksum" not in fields:
        block[148:156] = b"%06o\0 " % checksum(bytes(block))
    return bytes(block)


def padded(payload: bytes) -> bytes:
    return payload + bytes(-len(payload) % BLOCK)


def entry(
    name: bytes = b"f", payload: bytes = b"", kind: bytes = b"0", **fields: int | bytes
) -> bytes:
    fields.setdefault("size", len(payload))
    return header(name, kind, **fields) + padded(payload)  # type: ignore[arg-type]


def record(key: bytes, value: bytes) -> bytes:
    """A PAX record; its length counts itself."""
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    size = rest + len(str(size))
    return b"%d %s=%s\n" % (size, key, value)


def pax(*records: tuple[bytes, bytes] | bytes, kind: bytes = b"x", **fields: int | bytes) -> bytes:
    """An extension header of records, each (key, value) or raw bytes."""
    payload = b"".join(r if isinstance(r, bytes) else record(*r) for r in records)
    return entry(b"PaxHeaders/f", payload, kind, **fields)


def long_name(name: bytes, kind: bytes = b"L", end: bytes = b"\0") -> bytes:
    return entry(b"././@LongLink", name + end, kind, magic=MAGIC_GNU)


def archive(*parts: bytes) -> bytes:
    return b"".join(parts) + END


def refit(data: bytes) -> bytes:
    """Make the checksum of every non-zero block fit, so that mutations get behind it."""
    blocks = bytearray(data)
    for at in range(0, len(blocks) - BLOCK + 1, BLOCK):
        block = bytes(blocks[at : at + BLOCK])
        if any(block) and block[156:157] in b"\x000123456789ABCDEFGHIJKLMNOPQRSTUVWXYZgxLKS":
            blocks[at + 148 : at + 156] = b"%06o\0 " % checksum(block)
    return bytes(blocks)
