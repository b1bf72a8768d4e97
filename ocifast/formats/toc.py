"""A TOC as it is read: what a seekable blob says it holds, and where, strictly looked at.

The claims of a blob about itself; whoever reads files by them checks their digests. Invariant: what
comes out is ordered, lies within the blob, and names no path twice.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast.errors import DigestSyntaxError, DocumentError, LimitExceeded
from ocifast.formats.zstd_chunked import TYPES, Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocifast.tree.entry import EntryKind

__all__ = ["TOC_BYTES", "TocEntry", "parse_toc"]

TOC_BYTES: Final = 150 << 20
"""No longer TOC is read; containers/storage has the same cap."""
TOC_OBJECTS: Final = 1 << 20
"""Nor one of more entries and chunks: each takes a KiB once it is read, and 150 MiB of ``[],[],``
would take three GiB."""
TOC_PARTS: Final = 24 * TOC_OBJECTS
KINDS: Final = {word: kind for kind, word in TYPES.items()}
SIZE_MAX: Final = 2**63 - 1
DOCUMENT: Final = "TOC"
MEMBER_END: Final = None
NUMBERS: Final = ("size", "mode", "uid", "gid", "devMajor", "devMinor")
TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class TocEntry(NamedTuple):
    """What a TOC says of an entry; of a file also where its chunks lie, in order."""

    path: bytes
    kind: EntryKind
    size: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    dev_major: int
    dev_minor: int
    link_target: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]
    digest: str
    chunks: tuple[Chunk, ...]


def parse_toc(raw: bytes, end: int, *, has_ends: bool = True) -> tuple[TocEntry, ...]:
    """Read a TOC of a blob whose frames, or members, end at `end`.

    In zstd:chunked it says where a file ends; in eStargz (not `has_ends`) that is where the next
    member begins, and files may share one.

    Raises:
        DocumentError: It is no TOC, or says what cannot be.
        LimitExceeded: It has more entries than are read.

    Example:
        >>> parse_toc(b'{"version":1,"entries":[{"type":"dir","name":"etc/"}]}', 0)[0].path
        b'etc/'
    """
    _check_count(raw)
    try:
        value = json.loads(
            raw, object_pairs_hook=_object, parse_float=_refuse, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise DocumentError(DOCUMENT, "", f"it is not JSON: {error}") from None
    if not isinstance(value, dict) or value.get("version") != 1:
        raise DocumentError(DOCUMENT, "version", "only version 1 is known")
    entries = value.get("entries")
    if not isinstance(entries, list):
        raise DocumentError(DOCUMENT, "entries", "it must be a list")
    if not has_ends:
        _set_ends(entries, end)
    return _ordered(_grouped(entries), end)


def _check_count(raw: bytes) -> None:
    """Bound what is made of the bytes before it is made; names may hold such characters too."""
    objects, parts = raw.count(b"{") + raw.count(b"["), raw.count(b",")
    if objects > TOC_OBJECTS + 2:
        raise LimitExceeded("toc_objects", TOC_OBJECTS, objects - 2)
    if parts > TOC_PARTS:
        raise LimitExceeded("toc_parts", TOC_PARTS, parts)


def _set_ends(entries: list[Any], end: int) -> None:
    """Say of each part of a file where its member ends, under a key that JSON cannot have."""
    member, member_end = end, end
    for value in reversed(entries):
        offset = value.get("offset") if isinstance(value, dict) else None
        if type(offset) is not int or offset <= 0:
            continue
        if offset != member:
            member, member_end = offset, member
        value[MEMBER_END] = member_end


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _refuse(token: str) -> float:
    raise ValueError(f"{token} is no integer")


def _grouped(entries: list[Any]) -> Iterable[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Give each entry with the chunks that follow it."""
    at = 0
    while at < len(entries):
        where, entry, more = f"entries[{at}]", entries[at], at + 1
        if not isinstance(entry, dict):
            raise DocumentError(DOCUMENT, where, "it must be an object")
        while more < len(entries) and _is_chunk_of(entries[more], entry):
            more += 1
        yield where, entry, entries[at + 1 : more]
        at = more


def _is_chunk_of(value: Any, entry: dict[str, Any]) -> bool:
    is_chunk = isinstance(value, dict) and value.get("type") == "chunk"
    return is_chunk and value.get("name") == entry.get("name")


def _ordered(grouped: Iterable[Any], end: int) -> tuple[TocEntry, ...]:
    found, last, seen = [], Chunk(0, 0, 0, ""), set()
    for where, value, more in grouped:
        entry = _entry(where, value, more)
        if entry.path in seen:
            raise DocumentError(DOCUMENT, f"{where}.name", f"a second entry of {entry.path!r}")
        seen.add(entry.path)
        for chunk in entry.chunks:
            fits = last.end_offset <= chunk.offset < chunk.end_offset <= end
            if not (fits or _shares(last, chunk)):
                reason = (
                    f"bytes {chunk.offset} to {chunk.end_offset} are out of order or of the blob"
                )
                raise DocumentError(DOCUMENT, f"{where}.offset", reason)
            last = chunk
        if len(entry.chunks) > 1 and sum([chunk.size for chunk in entry.chunks]) != entry.size:
            raise DocumentError(DOCUMENT, where, "its chunks do not add up to its size")
        found.append(entry)
    return tuple(found)


def _shares(last: Chunk, chunk: Chunk) -> bool:
    """Whether it stands behind another one in the same member."""
    return chunk[:2] == last[:2] and chunk.inner >= last.inner + last.size > 0


def _entry(where: str, value: dict[str, Any], more: list[dict[str, Any]]) -> TocEntry:
    get = value.get
    kind = KINDS.get(get("type", ""))
    if kind is None:
        raise DocumentError(DOCUMENT, f"{where}.type", f"{get('type')!r} is no type")
    numbers = [get(key, 0) for key in NUMBERS]
    for key, number in zip(NUMBERS, numbers, strict=True):
        if type(number) is not int or not 0 <= number <= SIZE_MAX:
            _number(where, value, key)
    size, mode, uid, gid, major, minor = numbers
    link, xattrs = get("linkName"), get("xattrs")
    return TocEntry(
        _name(where, value, "name"),
        kind,
        size,
        mode,
        uid,
        gid,
        _time(where, get("modtime", "")),
        major,
        minor,
        _name(where, value, "linkName") if link else b"",
        _xattrs(where, xattrs) if xattrs else (),
        _digest(where, value, "digest") if size else str(get("digest", "")),
        _chunks(where, value, more) if size else (),
    )


def _chunks(where: str, value: dict[Any, Any], more: list[dict[Any, Any]]) -> tuple[Chunk, ...]:
    size = _number(where, value, "size")
    if not more:
        return (_chunk(where, value, "digest", size, _number(where, value, "endOffset")),)
    parts = [value, *more]
    ends = [*(_number(where, part, "offset") for part in more), _number(where, value, "endOffset")]
    at, found = 0, []
    for part, end in zip(parts, ends, strict=True):
        if _number(where, part, "chunkOffset") != at:
            raise DocumentError(DOCUMENT, f"{where}.chunkOffset", "chunks have gaps or overlap")
        length = _number(where, part, "chunkSize") or size - at
        found.append(_chunk(where, part, "chunkDigest", length, end))
        at += length
    return tuple(found)


def _chunk(where: str, part: dict[Any, Any], digest: str, size: int, end: int) -> Chunk:
    inner = 0
    if MEMBER_END in part:
        end, inner = part[MEMBER_END], _number(where, part, "innerOffset")
    return Chunk(_number(where, part, "offset"), end, size, _digest(where, part, digest), inner)


def _number(where: str, value: dict[str, Any], key: str) -> int:
    number = value.get(key, 0)
    if type(number) is not int or not 0 <= number <= SIZE_MAX:
        raise DocumentError(DOCUMENT, f"{where}.{key}", f"{number!r} is no size")
    return number


def _time(where: str, text: Any) -> int:
    """Nanoseconds of a time as Go writes it; an absent one is the beginning of 1970."""
    found = _nanoseconds(text) if isinstance(text, str) else None
    if found is None:
        raise DocumentError(DOCUMENT, f"{where}.modtime", f"{text!r} is no time")
    return found


@lru_cache(4096)
def _nanoseconds(text: str) -> int | None:
    if text == "":
        return 0
    found = TIME.fullmatch(text)
    if found is None:
        return None
    try:
        since = dt.datetime.fromisoformat(found[1] + found[3]) - EPOCH
    except (ValueError, OverflowError):
        return None
    seconds = since.days * 86_400 + since.seconds
    return seconds * 10**9 + int((found[2] or "").ljust(9, "0"))


def _name(where: str, value: dict[str, Any], key: str) -> bytes:
    name = value.get(key)
    if not isinstance(name, str) or not name or "\0" in name:
        raise DocumentError(DOCUMENT, f"{where}.{key}", f"{name!r} is no name")
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise DocumentError(DOCUMENT, f"{where}.{key}", "it holds a lone surrogate") from None


def _digest(where: str, value: dict[str, Any], key: str) -> str:
    digest = value.get(key)
    # The one algorithm of the format; the value object belongs to documents of images.
    if not isinstance(digest, str) or len(digest) != 71 or not digest.startswith("sha256:"):
        raise DocumentError(
            DOCUMENT, f"{where}.{key}", str(DigestSyntaxError(str(digest), "sha256 is needed"))
        )
    return digest


def _xattrs(where: str, value: Any) -> tuple[tuple[bytes, bytes], ...]:
    try:
        return tuple(
            sorted(
                (key.encode(), base64.b64decode(raw, validate=True)) for key, raw in value.items()
            )
        )
    except (AttributeError, TypeError, ValueError, binascii.Error):
        raise DocumentError(DOCUMENT, f"{where}.xattrs", "they must be names and base64") from None
