"""tar-split: all of a tar but the payload of its files, so that it can be put together again.

JSON lines in the form of vbatts/tar-split, as containers/storage keeps them in zstd:chunked layers.
It reads no tar: whoever does hands in what it met. Invariant: lines are in the order of the stream,
and what is neither payload nor in a line is nowhere.
"""

from __future__ import annotations

import base64
import json
from typing import Final

__all__ = ["TarSplit"]

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
SEGMENT_BYTES: Final = 1 << 20
"""What stands behind the end of the archive comes in segments of this size."""


class TarSplit:
    r"""Makes the lines of one stream.

    Example:
        >>> split = TarSplit()
        >>> split.file(b"etc/motd", 6, 0xB90956C775A41001)
        b'{"type":1,"name":"etc/motd","size":6,"payload":"uQlWx3WkEAE=","position":0}\n'
    """

    def __init__(self) -> None:
        self._position = 0

    def segment(self, raw: bytes | bytearray) -> bytes:
        """Lines for bytes that are no payload: headers, and the padding before them."""
        parts = (raw[at : at + SEGMENT_BYTES] for at in range(0, len(raw), SEGMENT_BYTES))
        return b"".join(self._line({"type": 2, "payload": _base64(part)}) for part in parts)

    def file(self, name: bytes, size: int, crc: int) -> bytes:
        """A line for an entry, which stands for its payload; `crc` is that of ISO 3309."""
        line: dict[str, object] = {"type": 1}
        try:
            line["name"] = name.decode()
        except UnicodeDecodeError:
            line["name_raw"] = _base64(name)
        if size:
            line["size"] = size
        line["payload"] = _base64(crc.to_bytes(8, "big")) if size else None
        return self._line(line)

    def _line(self, line: dict[str, object]) -> bytes:
        line["position"] = self._position
        self._position += 1
        return _encode(line).encode() + b"\n"


def _base64(raw: bytes | bytearray) -> str:
    return base64.b64encode(raw).decode()
