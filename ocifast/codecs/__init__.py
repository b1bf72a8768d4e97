"""How layers are squeezed: the table of codecs, sniffing, and opening a decoder.

Which codec a blob is in is decided by its first bytes, never by a media type (ops compare the two).
Invariant: the table is immutable; a codec is one file beside this and one line in it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ocifast.codecs import gzip, identity, zstd
from ocifast.codecs.base import SNIFF_BYTES, Codec, Decoder, Finding
from ocifast.errors import UnknownCodec
from ocifast.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.limits import Limits, Profile

__all__ = ["CODECS", "SNIFF_BYTES", "Codec", "Decoder", "Finding", "open_decoder", "sniff"]

CODECS: Final[Mapping[str, Codec]] = MappingProxyType(
    {codec.name: codec for codec in (identity.CODEC, gzip.CODEC, zstd.CODEC)}
)

# Read by docker load, never in a registry's layer: known so that they are refused by name. "BZh9"
# alone could begin a tar, its first name being text; the block magic behind it cannot.
_BZIP2_BLOCKS: Final = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
_XZ_MAGIC: Final = b"\xfd7zXZ\0"


def sniff(head: bytes) -> str:
    """Return the name of the codec of the blob that begins with `head` (`SNIFF_BYTES` suffice).

    "bzip2" and "xz" are names `open_decoder` refuses; whatever is unknown is "identity".

    Example:
        >>> sniff(bytes.fromhex("1f8b0800000000000000ff"))
        'gzip'
    """
    for codec in CODECS.values():
        if codec.matches(head):
            return codec.name
    if head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    return "xz" if head.startswith(_XZ_MAGIC) else identity.CODEC.name


def open_decoder(
    name: str,
    limits: Limits = DEFAULT_LIMITS,
    profile: Profile = "strict",
    *,
    backend: str | None = None,
) -> Decoder:
    """Make a decoder for one blob; `backend` demands one of `CODECS[name].backends`.

    Raises:
        UnknownCodec: No codec of that name is read here.
        KernelUnavailable: The demanded backend is not installed.
    """
    codec = CODECS.get(name)
    if codec is None:
        raise UnknownCodec(name)
    return codec.open(limits, profile, backend)
