r"""Lists of digests: sha256sum's lines written and read, and our own JSON lines read.

A line is `<hex>  <path>`; where the path has a newline, a carriage return or a backslash, these are
escaped and the line begins with a backslash, as coreutils do. Invariant: what `sum_line` writes,
`read_list` and `sha256sum -c` read back to the same bytes of a path.
"""

from __future__ import annotations

import json
import os
import re
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from ocifast.cli.output import shown, text_of
from ocifast.errors import DigestSyntaxError, FormatError
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Listed", "escaped", "read_list", "sum_line"]

LINE_BYTES: Final = 64 << 10
"""A path has at most 4096 bytes; a longer line is no list, and is not collected in memory."""

PLAIN: Final = re.compile(rb"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
TAGGED: Final = re.compile(rb"(\\?)SHA256 \((.+)\) = ([0-9a-fA-F]{64})", re.DOTALL)
ESCAPE: Final = re.compile(rb"[\\\n\r]")
ESCAPES: Final = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
UNESCAPE: Final = re.compile(rb"\\(.?)", re.DOTALL)
UNESCAPES: Final = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


class Listed(NamedTuple):
    """One line of a list: a path and what its layer has to be; None is not checked."""

    path: bytes
    digest: Digest
    size: int | None = None
    diff_id: Digest | None = None


def escaped(name: bytes, *, terminal: bool) -> tuple[bytes, bytes]:
    """Give what begins the line, and the name as it stands in it.

    On a terminal everything that is not printable is escaped too, and such a line is for eyes only.
    """
    if terminal and not text_of(name).isprintable():
        return b"\\", shown(text_of(name)).encode()
    if ESCAPE.search(name) is None:
        return b"", name
    return b"\\", ESCAPE.sub(lambda found: ESCAPES[found[0]], name)


def sum_line(digest: Digest, name: bytes, *, terminal: bool) -> bytes:
    r"""Give the line of one layer.

    Example:
        >>> sum_line(Digest.of_sha256(bytes(32)), b"a\nb", terminal=False)[-8:]
        b'0  a\\nb\n'
    """
    mark, shown_name = escaped(name, terminal=terminal)
    return b"%s%s  %s\n" % (mark, digest.encoded.encode(), shown_name)


def read_list(file: IO[bytes], name: str) -> Iterator[Listed]:
    """Read a list; empty lines and comments (#) are skipped, a CR before the newline is dropped.

    Raises:
        FormatError: A line is not of a form we know; the message has its number.
    """
    number = 0
    while line := file.readline(LINE_BYTES + 1):
        number += 1
        try:
            listed = _parse(line.removesuffix(b"\n").removesuffix(b"\r"))
        except FormatError as error:
            raise FormatError(f"{name}: line {number}: {error}") from None
        if listed is not None:
            yield listed


def _parse(line: bytes) -> Listed | None:
    if len(line) > LINE_BYTES:
        raise FormatError(f"longer than {LINE_BYTES} bytes")
    text = line.lstrip(b" \t")
    if not text or text.startswith(b"#"):
        return None
    if text.startswith(b"{"):
        return _parse_json(text)
    if found := PLAIN.fullmatch(text):
        mark, encoded, path = found.groups()
    elif found := TAGGED.fullmatch(text):
        mark, path, encoded = found.groups()
    else:
        raise FormatError("neither a line of sha256sum nor one of ocifast hash --json")
    if mark:
        path = UNESCAPE.sub(_unescape, path)
    return Listed(_checked(path), Digest("sha256:" + encoded.decode().lower()))


def _unescape(found: re.Match[bytes]) -> bytes:
    try:
        return UNESCAPES[found[1]]
    except KeyError:
        raise FormatError("unknown escape in the path") from None


def _checked(path: bytes) -> bytes:
    if b"\0" in path:
        raise FormatError("NUL byte in the path")
    return path


def _parse_json(text: bytes) -> Listed | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise FormatError("malformed JSON") from None
    schema = value.get("schema")
    if schema == "ocifast.entry/1":  # a list made with --entries
        return None
    if schema != "ocifast.hash/1":
        raise FormatError(f"schema {schema!r} is not ocifast.hash/1")
    path, size = value.get("path"), value.get("size")
    if not isinstance(path, str) or not path:
        raise FormatError("no path")
    if type(size) is not int or size < 0:
        raise FormatError("no size")
    try:
        digests = [Digest.parse(str(value.get(key))) for key in ("digest", "diff_id")]
        raw = os.fsencode(path)
    except (DigestSyntaxError, UnicodeEncodeError) as error:
        raise FormatError(str(error)) from None
    if any(digest.algorithm != "sha256" for digest in digests):
        raise FormatError("only sha256 digests can be checked")
    return Listed(_checked(raw), digests[0], size, digests[1])
