"""Deflate by hand: a bit writer for odd streams, and a slow reader that says what they mean.

The reader is the arbiter where backends differ. It is written from RFC 1951 alone and knows one
thing more than a decoder needs: whether a block's Huffman sets were complete, which zlib and Go
insist on and ISA-L does not.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
LENGTHS = [(3 + i, 0) for i in range(8)]
for extra in range(1, 6):
    LENGTHS += [(LENGTHS[-1][0] + (1 << LENGTHS[-1][1]) + (i << extra), extra) for i in range(4)]
LENGTHS[28:] = [(258, 0)]
DISTANCES = [(1, 0), (2, 0), (3, 0), (4, 0)]
for extra in range(1, 14):
    DISTANCES += [((2 << extra) + 1 + (i << extra), extra) for i in range(2)]
FIXED = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8


def gzip_member(raw: bytes, output: bytes, head: bytes = b"\x1f\x8b\x08" + bytes(7)) -> bytes:
    return head + raw + struct.pack("<II", zlib.crc32(output), len(output) & 0xFFFFFFFF)


def codes_of(lengths: list[int]) -> dict[int, tuple[int, int]]:
    """Symbol -> (code, length), canonical."""
    codes, code = {}, 0
    for length in range(1, 16):
        for symbol, each in enumerate(lengths):
            if each == length:
                codes[symbol] = (code, length)
                code += 1
        code <<= 1
    return codes


class Writer:
    """Bits in deflate's order."""

    def __init__(self) -> None:
        self.value = self.count = 0

    def bits(self, value: int, count: int) -> Writer:
        self.value |= value << self.count
        self.count += count
        return self

    def code(self, code: int, length: int) -> Writer:
        return self.bits(int(f"{code:0{length}b}"[::-1], 2), length)

    def fixed(self, symbol: int) -> Writer:
        return self.code(*codes_of(FIXED)[symbol])

    def stored(self, payload: bytes, *, last: bool = False, complement: int = 0xFFFF) -> Writer:
        self.bits(last, 3)
        self.count += -self.count % 8
        self.bits(len(payload), 16).bits(len(payload) ^ complement, 16)
        return self.bits(int.from_bytes(payload, "little"), 8 * len(payload))

    def dynamic(self, lit: list[int], dist: list[int], *, last: bool = True) -> Writer:
        """A dynamic header whose code lengths are written plainly, 5 bits each."""
        self.bits(last, 1).bits(2, 2).bits(len(lit) - 257, 5).bits(len(dist) - 1, 5).bits(15, 4)
        plain = [4] * 16 + [0] * 3  # complete: the 16 plain lengths, no repeats
        for symbol in ORDER:
            self.bits(plain[symbol], 3)
        for length in lit + dist:
            self.code(*codes_of(plain)[length])
        return self

    def bytes(self) -> bytes:
        return self.value.to_bytes((self.count + 7) // 8, "little")


class InvalidError(Exception):
    """No deflate stream; `ShortError` when more input could still make it one."""


class ShortError(InvalidError):
    pass


@dataclass
class Reader:
    """Reads one stream; `complete` turns False at a set zlib would refuse."""

    raw: bytes
    at: int = 0
    complete: bool = True
    out: bytearray = field(default_factory=bytearray)

    def bits(self, count: int) -> int:
        if self.at + count > 8 * len(self.raw):
            raise ShortError
        window = int.from_bytes(self.raw[self.at // 8 : (self.at + count + 7) // 8], "little")
        value = window >> self.at % 8 & (1 << count) - 1
        self.at += count
        return value

    def table(self, lengths: list[int], *, single_allowed: bool) -> dict[tuple[int, int], int]:
        space = sum(1 << 15 - length for length in lengths if length)
        if space > 1 << 15:
            raise InvalidError
        single = single_allowed and max(lengths, default=0) <= 1
        self.complete &= space in (0, 1 << 15) or single
        return {code: symbol for symbol, code in codes_of(lengths).items()}

    def symbol(self, table: dict[tuple[int, int], int]) -> int:
        code = 0
        for length in range(1, 16):
            code = code << 1 | self.bits(1)
            if (code, length) in table:
                return table[code, length]
        raise InvalidError

    def lengths(self, table: dict[tuple[int, int], int], count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            symbol = self.symbol(table)
            if symbol == 16 and not found:
                raise InvalidError
            if symbol < 16:
                found.append(symbol)
            elif symbol == 16:
                found += [found[-1]] * (3 + self.bits(2))
            else:
                found += [0] * (3 + self.bits(3) if symbol == 17 else 11 + self.bits(7))
        if len(found) > count:
            raise InvalidError
        return found

    def dynamic(self) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
        lit, dist, order = self.bits(5) + 257, self.bits(5) + 1, self.bits(4) + 4
        if lit > 286 or dist > 30:
            raise InvalidError
        first = [0] * 19
        for symbol in ORDER[:order]:
            first[symbol] = self.bits(3)
        found = self.lengths(self.table(first, single_allowed=False), lit + dist)
        if not found[256]:
            raise InvalidError
        return (
            self.table(found[:lit], single_allowed=True),
            self.table(found[lit:], single_allowed=True),
        )

    def copy(self, symbol: int, dist: dict[tuple[int, int], int]) -> None:
        if symbol > 285:
            raise InvalidError
        base, extra = LENGTHS[symbol - 257]
        length = base + self.bits(extra)
        code = self.symbol(dist)
        if code > 29:
            raise InvalidError
        base, extra = DISTANCES[code]
        distance = base + self.bits(extra)
        if distance > len(self.out):
            raise InvalidError
        for _ in range(length):
            self.out.append(self.out[-distance])

    def block(self) -> bool:
        last, kind = self.bits(1), self.bits(2)
        if kind == 3:
            raise InvalidError
        if kind == 0:
            self.at += -self.at % 8
            length, complement = self.bits(16), self.bits(16)
            if length ^ complement != 0xFFFF:
                raise InvalidError
            self.out += bytes(self.bits(8) for _ in range(length))
            return bool(last)
        fixed = {code: symbol for symbol, code in codes_of(FIXED).items()}
        even = {code: symbol for symbol, code in codes_of([5] * 32).items()}
        lit, dist = self.dynamic() if kind == 2 else (fixed, even)
        while (symbol := self.symbol(lit)) != 256:
            if symbol < 256:
                self.out.append(symbol)
            else:
                self.copy(symbol, dist)
        return bool(last)

    def read(self) -> tuple[bytes, int]:
        """Output, and how many bytes of `raw` it took."""
        while not self.block():
            pass
        return bytes(self.out), (self.at + 7) // 8
