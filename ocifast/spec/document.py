"""JSON documents of images: strict bytes to plain values and back, and the caps on them.

It knows JSON (RFC 8259) and nothing of what the documents mean; types and key names are looked at
in `fields`. *Invariant:* a text that two JSON readers could read differently is refused, and no
memory is spent on a shape before it is held against its cap.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Final

from ocifast.errors import DocumentError

__all__ = [
    "ANNOTATION_BYTES",
    "CATALOGUE_BYTES",
    "CATALOGUE_ENTRIES",
    "CONFIG_BYTES",
    "DATA_BYTES",
    "DEPTH",
    "INTEGER_MAX",
    "KEYS",
    "LAYERS",
    "MANIFESTS",
    "MANIFEST_BYTES",
    "SAVE_MANIFEST_BYTES",
    "VALUES",
    "encode_json",
    "parse_json",
]

MIB: Final = 1 << 20
MANIFEST_BYTES: Final = 4 * MIB
"""Of a manifest or index; what registries accept at most, and the spec asks to be read."""
CONFIG_BYTES: Final = 8 * MIB
"""Of a config; histories of generated images outgrow manifests, none is known near this."""
CATALOGUE_BYTES: Final = 16 * MIB
"""Of the index.json of a layout, which is never sent anywhere: one layout may keep thousands of
images, each in an entry of some 400 bytes."""
CATALOGUE_ENTRIES: Final = 10_000
SAVE_MANIFEST_BYTES: Final = 4 * MIB
"""Of `manifest.json` or `repositories`; about four hundred images of a hundred layers."""
LAYERS: Final = 1024
"""Of one manifest; overlayfs mounts some five hundred, Docker builds 127."""
MANIFESTS: Final = 1024
"""Of one index; a release has tens of platforms."""
ANNOTATION_BYTES: Final = 1 * MIB
"""Keys and values of one annotation map, together."""
DATA_BYTES: Final = 1 * MIB
"""Content embedded in one descriptor; it is meant for documents of a few KiB."""
DEPTH: Final = 64
"""Arrays and objects within each other; far below where any reader's stack ends."""
KEYS: Final = 100_000
VALUES: Final = 250_000
"""Elements and containers of one document: an empty array of two bytes costs sixty here."""
INTEGER_MAX: Final = (1 << 63) - 1
"""What the spec's int64 holds; a size beyond it wraps in other readers."""

STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
BRACKET: Final = re.compile(r"[\[\]{}]")
SUSPECT: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
REFUSED: Final = re.compile("[\0\ud800-\udfff]")


def parse_json(raw: bytes, *, what: str, limit: int) -> object:
    """Read a document of at most `limit` bytes; `what` names it in errors.

    Raises:
        DocumentError: It is too long or too deep, no JSON in UTF-8, holds a key twice in one
            object, or a number or string that readers disagree about.

    Example:
        >>> parse_json(b'{"size": 7}', what="manifest", limit=100)
        {'size': 7}
    """
    if len(raw) > limit:
        raise DocumentError(what, "", f"it has {len(raw)} bytes, at most {limit} are read")
    text = _text(raw, what)
    _check_shape(text, what)
    decoder = json.JSONDecoder(
        object_pairs_hook=lambda pairs: _object(pairs, what),
        parse_int=lambda token: _integer(token, what),
        parse_float=lambda token: _float(token, what),
        parse_constant=lambda token: _constant(token, what),
    )
    try:
        value: object = decoder.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise DocumentError(what, place, f"it is not JSON: {error.msg}") from None
    if SUSPECT.search(text):
        _check_strings(value, what)
    return value


def encode_json(value: object) -> bytes:
    """Write a value in its one form: compact, UTF-8, keys in the order given, no newline.

    Example:
        >>> encode_json({"b": 1, "a": [True, None]})
        b'{"b":1,"a":[true,null]}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _text(raw: bytes, what: str) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise DocumentError(what, "", "it begins with a byte order mark")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(what, "", f"byte {error.start} is not UTF-8") from None


def _check_shape(text: str, what: str) -> None:
    """Hold depth and counts against their caps by the punctuation outside of strings."""
    bare = STRING.sub("", text)
    if bare.count(":") > KEYS:
        raise DocumentError(what, "", f"it has more than {KEYS} keys")
    if bare.count(",") + bare.count("[") + bare.count("{") > VALUES:
        raise DocumentError(what, "", f"it has more than {VALUES} values")
    depth = 0
    for mark in BRACKET.findall(bare):
        depth += 1 if mark in "[{" else -1
        if depth > DEPTH:
            raise DocumentError(what, "", f"it is nested deeper than {DEPTH} levels")


def _object(pairs: list[tuple[str, object]], what: str) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        key = next(key for key, count in counts.items() if count > 1)
        raise DocumentError(what, "", f"the key {key[:80]!r} stands twice in one object")
    return value


def _integer(token: str, what: str) -> int:
    # By length first: int() of a long token costs the square of it.
    if len(token) > 20 or abs(int(token)) > INTEGER_MAX:
        raise DocumentError(what, "", f"the integer {token[:24]} does not fit in 64 bits")
    return int(token)


def _float(token: str, what: str) -> float:
    value = float(token)
    if math.isinf(value):
        raise DocumentError(what, "", f"the number {token[:24]} is out of range")
    return value


def _constant(token: str, what: str) -> float:
    raise DocumentError(what, "", f"{token} is not JSON")


def _check_strings(value: object, what: str) -> None:
    """Refuse what an escape can smuggle into a string: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        if REFUSED.search(value):
            raise DocumentError(what, "", "a string holds a NUL or a lone surrogate")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_strings(key, what)
            _check_strings(inner, what)
    elif isinstance(value, list):
        for inner in value:
            _check_strings(inner, what)
