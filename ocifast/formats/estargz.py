"""eStargz: a tar in gzip members that begin with files and their chunks, and its TOC at its end.

Any gzip reader sees a plain tar.gz, so the media type stays; stargz-snapshotter, podman and CRI-O
pull it in parts. Compression is handed in. Invariant: what a TOC says is only a claim until its
digest, which the layer's annotation holds, has been verified by whoever reads it.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = [
    "FOOTER_BYTES",
    "LANDMARK",
    "RESERVED",
    "TOC_END",
    "TOC_NAME",
    "estargz_annotations",
    "estargz_footer",
    "landmark",
    "read_estargz_footer",
    "toc_entry",
]

FOOTER_BYTES: Final = 51
TOC_NAME: Final = b"stargz.index.json"
LANDMARK: Final = b".no.prefetch.landmark"
"""First entry of a layer whose files were not put into an order of use: nothing is fetched ahead.
Readers hide it and the TOC; what unpacks the layer as a plain tar leaves both in the tree."""
RESERVED: Final = frozenset({TOC_NAME, LANDMARK, b".prefetch.landmark"})
"""Names the format has taken: such entries of a source are its own of an earlier conversion. What
cuts a tar, `ext/csrc/toc_cut.c`, has them too."""
TOC_DIGEST: Final = "containerd.io/snapshot/stargz/toc.digest"
"""The annotation that says what the digest of the TOC is."""
LANDMARK_CONTENT: Final = b"\x0f"
BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
TOC_END: Final = b"]}"

# gzip header with a field "SG" of 22 bytes, an empty stored block, checksum and size of nothing
_FOOTER: Final = struct.Struct("<10sH2sH16s6s5s8s")
_HEAD: Final = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"
_EMPTY_BLOCK: Final = b"\x01\0\0\xff\xff"
_NAME: Final = b"STARGZ"


def _footer(digits: bytes) -> bytes:
    return _FOOTER.pack(_HEAD, 26, b"SG", 22, digits, _NAME, _EMPTY_BLOCK, bytes(8))


def estargz_footer(toc_offset: int) -> bytes:
    """Give the last bytes of a blob, a gzip member of nothing.

    Example:
        >>> len(estargz_footer(0x1234)), estargz_footer(0x1234)[16:32]
        (51, b'0000000000001234')
    """
    return _footer(b"%016x" % toc_offset)


def read_estargz_footer(raw: bytes) -> int | None:
    """Give where the member of the TOC begins, of the last 51 bytes; None if that is no footer.

    Example:
        >>> read_estargz_footer(estargz_footer(7)), read_estargz_footer(bytes(51))
        (7, None)
    """
    digits = raw[16:32]
    is_number = len(digits) == 16 and not digits.strip(b"0123456789abcdef")
    return int(digits, 16) if is_number and raw == _footer(digits) else None


def estargz_annotations(toc_digest: str, uncompressed_size: int) -> dict[str, str]:
    """Give what the descriptor of the layer has to say; podman alone reads the size."""
    return {
        TOC_DIGEST: toc_digest,
        "io.containers.estargz.uncompressed-size": str(uncompressed_size),
    }


def landmark() -> tuple[bytes, bytes]:
    """Give header and content of the entry that begins a layer.

    Example:
        >>> [len(part) for part in landmark()]
        [512, 1]
    """
    return _header(LANDMARK, len(LANDMARK_CONTENT)), LANDMARK_CONTENT


def toc_entry(toc: bytes) -> bytes:
    """Give the last entry of the tar, and the end of the archive behind it.

    Example:
        >>> len(toc_entry(b"{}"))
        2048
    """
    return _header(TOC_NAME, len(toc)) + toc + bytes(-len(toc) % BLOCK) + END


def _header(name: bytes, size: int) -> bytes:
    """The header Go writes for a file of root's without mode, of the year 1970."""
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:157] = b"0000000\0" * 3 + b"%011o\0%011o\0        0" % (size, 0)
    block[257:265] = b"ustar\00000"
    block[329:345] = b"0000000\0" * 2
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
