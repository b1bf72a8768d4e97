"""What every codec has to keep, written against the `Decoder` protocol alone.

`BLOBS` makes a blob of each codec; a codec missing there fails loudly, so teaching it here is all a
new codec needs to be tested. Invariant: nothing here knows a backend or a decoder's class.
"""

from __future__ import annotations

import gzip
import random
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocifast.codecs import Decoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN = bytes(range(256)) * 5 + b"layer " * 900 + random.Random(7).randbytes(3000)


def make_gzip(plain: bytes) -> bytes:
    return gzip.compress(plain, 6, mtime=0)


def make_zstd(plain: bytes) -> bytes:
    return zstd.compress(plain, options={zstd.CompressionParameter.checksum_flag: 1})


BLOBS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": make_gzip,
    "zstd": make_zstd,
}


def drain(decoder: Decoder, room: int = 1 << 16) -> Iterator[bytes]:
    """Everything the fed piece gives, in buffers of `room` bytes."""
    out = memoryview(bytearray(room))
    while not decoder.needs_input:
        count = decoder.readinto(out)
        assert 0 <= count <= room
        assert count or decoder.needs_input, "0 must mean: feed more"
        yield bytes(out[:count])


def decode(decoder: Decoder, blob: bytes, piece: int = 1 << 17, room: int = 1 << 16) -> bytes:
    """The whole output for a blob fed in pieces of one size."""
    pieces = (blob[at : at + piece] for at in range(0, len(blob), piece))
    return decode_pieces(decoder, pieces, room)


def decode_pieces(decoder: Decoder, pieces: Iterable[bytes], room: int = 1 << 16) -> bytes:
    output = bytearray()
    for piece in pieces:
        decoder.feed(piece)
        for chunk in drain(decoder, room):
            output += chunk
    decoder.finish()
    return bytes(output)


def cut(blob: bytes, seed: int) -> list[bytes]:
    """The blob in pieces of random length, empty ones among them."""
    rng = random.Random(seed)
    borders = sorted(rng.randrange(len(blob) + 1) for _ in range(rng.randrange(1, 30)))
    return [blob[a:b] for a, b in zip([0, *borders], [*borders, len(blob)], strict=True)]
