"""An encoder driven to its end as a pass over a layer does it; inputs anybody can make again."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from ocifast.codecs.recipe import Recipe, open_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ocifast.codecs.encoder import Encoder

PIECE = 256 << 10
PATIENCE = 300


def noise(seed: str, size: int) -> bytes:
    """The first bytes SHAKE-256 gives for a seed: the same for ever, and incompressible."""
    return hashlib.shake_256(seed.encode()).digest(size)


def text(seed: str, size: int) -> bytes:
    """Words of a vocabulary of 512, in an order decided by `noise`: compresses to about a third."""
    letters = noise(seed + " words", 512 * 8).hex()
    words = [letters[16 * i : 16 * i + 3 + i % 11].encode() + b" " for i in range(512)]
    order = memoryview(noise(seed, size & ~1 or 2)).cast("H")
    parts, length = [], 0
    for number in order:
        parts.append(words[number % 512 & number >> 7])
        length += len(parts[-1])
        if length >= size:
            break
    return b"".join(parts)[:size]


def tar_like(seed: str, size: int) -> bytes:
    """Files behind headers of mostly zeros; some come back after megabytes, as in real layers."""
    files = [text(f"{seed} {i}", 40_000 + 9_000 * i) for i in range(8)]
    files += [noise(f"{seed} {i}", 50_000) for i in range(8, 12)]
    out, turn = bytearray(), 0
    while len(out) < size:
        choice = noise(f"{seed} turn {turn}", 4)
        file = files[choice[0] % 12] if choice[1] % 3 == 0 else text(f"{seed} {turn}", 20_000)
        name = f"usr/lib/{choice.hex()}/{turn}".encode()
        out += name.ljust(512, b"\0") + file + bytes(-len(file) % 512)
        turn += 1
    return bytes(out[:size])


def pieces(data: bytes, size: int = PIECE) -> Iterator[memoryview]:
    """The data in pieces of one size."""
    view = memoryview(data)
    return (view[at : at + size] for at in range(0, len(view), size))


def drive(encoder: Encoder, fed: Iterable[memoryview | bytes], rung: threading.Event) -> bytes:
    """Feed while it is not full, take as soon as there is something, wait only when told to."""
    output, waiting, finished = bytearray(), iter(fed), False
    while not encoder.done:
        rung.clear()
        if (piece := encoder.take()) is not None:
            assert piece, "there is nothing in it, and None would have said so"
            output += piece
        elif not finished and not encoder.full:
            following = next(waiting, None)
            if following is None:
                encoder.finish()
                finished = True
            else:
                encoder.feed(following)
        else:
            assert rung.wait(PATIENCE) or encoder.done, "nobody rang"
    return bytes(output)


def encode(recipe: Recipe, fed: Iterable[memoryview | bytes], threads: int = 0) -> bytes:
    """The whole blob."""
    rung = threading.Event()
    encoder = open_encoder(recipe, threads, rung.set)
    try:
        return drive(encoder, fed, rung)
    finally:
        encoder.close()
