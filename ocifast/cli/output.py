"""The two streams: data to stdout as bytes, words to stderr; and names made safe to show.

Nothing else of the package writes. Invariant: what `say` and `shown` let through is printable, so a
name in a hostile layer cannot steer a terminal or forge a second line.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import select
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "OutputFailed",
    "emit",
    "encode",
    "is_terminal",
    "json_line",
    "printable",
    "say",
    "shown",
    "text_of",
]

encode = json.JSONEncoder(separators=(",", ":")).encode
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class OutputFailed(Exception):
    """Standard output cannot be written; told apart from an OSError of a layer."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.errno, self.strerror = number, os.strerror(number)


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def emit(data: bytes) -> None:
    """Write to stdout, all of it and now.

    It bypasses Python's buffer: nothing is left to be flushed, and to fail, when the process ends.

    Raises:
        OutputFailed: It is closed, full, or its reader is gone.
    """
    if sys.stdout is None:
        raise OutputFailed(errno.EBADF)
    try:
        descriptor = sys.stdout.fileno()
    except io.UnsupportedOperation:  # something in its place that is no file, as in tests
        sys.stdout.buffer.write(data)
        return
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # set so by another process that shares the pipe
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError as error:
            raise OutputFailed(error.errno or errno.EIO) from None


def say(message: str) -> None:
    """Write one line to stderr; when that fails there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"ocifast: {printable(message)}\n")


def json_line(value: Mapping[str, object]) -> bytes:
    """Give an object as a line of ASCII; bytes that are not UTF-8 are lone surrogates U+DCxx."""
    return encode(value).encode() + b"\n"


def text_of(name: bytes) -> str:
    """Decode a name; bytes that are not UTF-8 become lone surrogates, in every locale."""
    return name.decode("utf-8", "surrogateescape")


def shown(name: str) -> str:
    r"""Show a decoded name in the manner of `tar -t`: escapes for what is not printable UTF-8.

    Example:
        >>> shown("café"), shown("a\nb\x1b\udcff\\")
        ('café', 'a\\nb\\033\\377\\\\')
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(_ESCAPES.get(char) or _octal(char) for char in name)


def printable(text: str) -> str:
    """Escape what is not printable; backslashes stay, so it can be applied to ready sentences."""
    if text.isprintable():
        return text
    return "".join(char if char == "\\" else _ESCAPES.get(char) or _octal(char) for char in text)


def _octal(char: str) -> str:
    if char.isprintable():
        return char
    undecoded = "\udc80" <= char <= "\udcff"
    raw = bytes([ord(char) & 0xFF]) if undecoded else char.encode("utf-8", "replace")
    return "".join(f"\\{byte:03o}" for byte in raw)
