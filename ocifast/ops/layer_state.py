"""The saved state of a LayerHasher as bytes: packed, summed up against corruption, and read back.

It is not signed: whoever can write a state can claim any hash. Invariant: reading raises
FormatError or gives parts that agree with each other, whatever the bytes are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser
from ocifast.codecs import CODECS, SNIFF_BYTES
from ocifast.errors import FormatError
from ocifast.layer import Finding

if TYPE_CHECKING:
    from ocifast.limits import Limits, Profile

__all__ = ["LayerState"]

MAGIC: Final = b"ocifast.layer/1\n"
CHECK_BYTES: Final = 16
PARTS: Final = 5
HIGHEST_OFFSET: Final = 1 << 62


class LayerState(NamedTuple):
    """What a hasher needs to go on.

    `restart` is where decoding begins afresh, as (offset in the blob, offset in the tar);
    `at_restart` is the hash of the blob up to there, and `findings` are those made before it.
    """

    profile: Profile
    table: bool
    codec: str
    head: bytes
    offset: int
    restart: tuple[int, int]
    findings: tuple[Finding, ...]
    finding_count: int
    blob: Sha256
    at_restart: Sha256
    diff: Sha256
    tar: TarParser

    def to_bytes(self) -> bytes:
        """Pack it."""
        about = {
            **{key: getattr(self, key) for key in ("profile", "table", "codec", "offset")},
            **{key: getattr(self, key) for key in ("restart", "findings", "finding_count")},
            "head": self.head.hex(),
        }
        states = [each.state() for each in (self.blob, self.at_restart, self.diff, self.tar)]
        parts = [json.dumps(about).encode(), *states]
        body = MAGIC + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return body + checksum(body)

    @classmethod
    def from_bytes(cls, state: bytes, limits: Limits) -> LayerState:
        """Read it back; raises FormatError for what `to_bytes` cannot have made."""
        encoded, *states, tar = split(state)
        blob, at_restart, diff = states
        made = cls(
            **parse_about(encoded),
            blob=Sha256.from_state(blob),
            at_restart=Sha256.from_state(at_restart),
            diff=Sha256.from_state(diff),
            tar=TarParser.from_state(tar, limits),
        )
        made.check(*(int.from_bytes(each[-8:], "big") for each in states))
        return made

    def check(self, blob: int, at_restart: int, diff: int) -> None:
        """Hold the parts against each other; the arguments are how many bytes each has hashed."""
        stored, produced = self.restart
        plain = not self.codec or self.codec == "identity"
        if not self.codec:
            sound = self.offset == len(self.head) < SNIFF_BYTES and blob == self.tar.offset == 0
        elif plain:
            sound = self.offset == blob == self.tar.offset
        else:
            sound = stored < self.offset == blob and produced <= self.tar.offset == diff
            sound = sound and stored == at_restart
        if plain:
            sound = sound and self.restart == (self.offset, self.tar.offset)
        if self.codec:
            sound = sound and not self.head
        if not sound:
            raise FormatError("the state of the layer hasher contradicts itself")


def checksum(body: bytes) -> bytes:
    """Sum a state up against corruption."""
    import xxhash  # not before a state is made: 2 ms

    return bytes(xxhash.xxh3_128_digest(body))


def split(state: bytes) -> list[bytes]:
    """Give the parts of a state, JSON first."""
    body, check = state[:-CHECK_BYTES], state[-CHECK_BYTES:]
    if not body.startswith(MAGIC) or checksum(body) != check:
        raise FormatError("not the state of a layer hasher, or damaged")
    parts: list[bytes] = []
    at = len(MAGIC)
    while at < len(body) and len(parts) < PARTS:
        size = int.from_bytes(body[at : at + 8], "big")
        parts.append(body[at + 8 : at + 8 + size])
        at += 8 + size
    if len(parts) != PARTS or at != len(body):
        raise FormatError("the state of the layer hasher has the wrong parts")
    return parts


def parse_about(encoded: bytes) -> dict[str, Any]:
    """Read the JSON part and check the kind of everything in it."""
    try:
        about = json.loads(encoded)
        match about:
            case {
                "profile": "strict" | "compat",
                "table": bool(),
                "codec": str(codec),
                "head": str(head),
                "offset": int(offset),
                "restart": [int(stored), int(produced)],
                "findings": list(findings),
                "finding_count": int(count),
            } if codec in ("", *CODECS) and len(about) == 8:
                numbers = offset, stored, produced, count
                if all(0 <= number < HIGHEST_OFFSET for number in numbers):
                    about["head"], about["restart"] = bytes.fromhex(head), (stored, produced)
                    about["findings"] = tuple(map(parse_finding, findings))
                    return dict(about)
    except (ValueError, RecursionError):
        pass
    raise FormatError("the state of the layer hasher is not readable")


def parse_finding(finding: object) -> Finding:
    """Make a finding of what JSON has left of it."""
    match finding:
        case [str(code), str(stream), int(offset), str(text)]:
            return Finding(code, stream, offset, text)
    raise ValueError("not a finding")
