"""Where the bytes of a layer come from: paths, descriptors, file objects, buffers, iterables.

A source is opened when its turn comes and read front to back, once. Descriptors travel to workers;
the other kinds are read in this process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import ReadableBuffer

    class Readable(Protocol):
        """A binary file object."""

        def read(self, size: int, /) -> ReadableBuffer:
            """Read up to so many bytes."""

    Source: TypeAlias = (
        str
        | os.PathLike[str]
        | os.PathLike[bytes]
        | int
        | Readable
        | ReadableBuffer
        | Iterable[ReadableBuffer]
        | "Window"
    )

__all__ = ["DescriptorReader", "Opened", "Window", "open_source"]

HEAD_BYTES: Final = 16
OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC


class Reader(Protocol):
    """What a task reads from."""

    size: int | None
    """Bytes it will give, when that is known beforehand."""

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end."""

    def close(self) -> None:
        """Let go of what was opened."""


class Window(NamedTuple):
    """A part of a regular file, such as a layer within an archive; `open` gives a descriptor."""

    name: str
    open: Callable[[], int]
    offset: int
    size: int


class Opened(NamedTuple):
    """A source seen from outside: a name for messages, how to open it, and what to expect.

    `size` is None when only reading will tell; `head` is the first bytes, when peeking is free.
    `window` is the part that is meant, [offset, size], where it is not all.
    """

    name: str
    open: Callable[[], object]
    local: bool
    size: int | None
    head: bytes
    window: list[int] | None = None


def open_source(source: Source) -> Opened:
    """Look at a source without reading it; a path is not kept open.

    Raises:
        OSError: The path cannot be opened, or is a directory.
        TypeError: It is none of the kinds.
    """
    if isinstance(source, Window):
        return _window(source)
    if isinstance(source, (str, os.PathLike)):
        return _path(os.fspath(source))
    if isinstance(source, int):
        return _descriptor(source)
    try:
        view = memoryview(source).cast("B")  # type: ignore[arg-type]
    except TypeError:
        return _stream(source)
    return Opened(
        "<buffer>",
        lambda: BufferReader(view),
        local=True,
        size=len(view),
        head=bytes(view[:HEAD_BYTES]),
    )


def _window(source: Window) -> Opened:
    descriptor = source.open()
    try:
        head = os.pread(descriptor, min(HEAD_BYTES, source.size), source.offset)
    finally:
        os.close(descriptor)
    window = [source.offset, source.size]
    return Opened(source.name, source.open, local=False, size=source.size, head=head, window=window)


def _path(path: str | bytes) -> Opened:
    name = os.fsdecode(path)
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory, not a layer", name)
    if not stat.S_ISREG(status.st_mode):  # opening a fifo to peek would eat its one reader
        # Without waiting for a fifo's writer: the reader does, in a worker.
        flags = OPEN_FLAGS | os.O_NONBLOCK
        return Opened(name, lambda: os.open(path, flags), local=False, size=None, head=b"")
    descriptor = os.open(path, OPEN_FLAGS)
    try:
        head = os.pread(descriptor, HEAD_BYTES, 0)
    finally:
        os.close(descriptor)
    return Opened(
        name, lambda: os.open(path, OPEN_FLAGS), local=False, size=status.st_size, head=head
    )


def _descriptor(descriptor: int) -> Opened:
    status = os.fstat(descriptor)
    name = f"<descriptor {descriptor}>"
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory, not a layer", name)
    if not stat.S_ISREG(status.st_mode):
        return Opened(name, lambda: os.dup(descriptor), local=False, size=None, head=b"")
    at = os.lseek(descriptor, 0, os.SEEK_CUR)
    head = os.pread(descriptor, HEAD_BYTES, at)
    return Opened(
        name, lambda: os.dup(descriptor), local=False, size=max(status.st_size - at, 0), head=head
    )


def _stream(source: object) -> Opened:
    read = getattr(source, "read", None)
    if read is None:
        try:
            read = Pieces(iter(source)).read  # type: ignore[call-overload]
        except TypeError:
            raise TypeError(f"a {type(source).__name__} is no source of a layer") from None
    name = getattr(source, "name", None)
    return Opened(
        name if isinstance(name, str) else "<stream>",
        lambda: FileReader(read),
        local=True,
        size=None,
        head=b"",
    )


class DescriptorReader:
    """Reads a descriptor it owns, from where it stands, or a window of it (offset, size).

    In a regular file it keeps its own position: the caller's does not move, and one descriptor
    given twice is read twice. Only regular files have windows, and windows are whole: a tar that is
    cut behind its last entry would be taken for one without end blocks.
    """

    def __init__(self, descriptor: int, window: tuple[int, int] | None = None) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._at: int | None = None
        self._end: int | None = None
        self._begun = False
        self.size: int | None = None
        if window is not None:
            self._at, self.size = window
            self._end = self._at + self.size
        elif stat.S_ISREG(status.st_mode):
            self._at = os.lseek(descriptor, 0, os.SEEK_CUR)
            # Files that are made while they are read, as in /proc, say 0.
            self.size = max(status.st_size - self._at, 0) or None
        if self._at is not None:
            with contextlib.suppress(OSError):
                os.posix_fadvise(descriptor, self._at, self.size or 0, os.POSIX_FADV_SEQUENTIAL)

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end."""
        filled = 0
        while filled < len(out):
            try:
                got = self._read(out[filled:])
            except BlockingIOError:  # standard input may be set so by whoever shares it
                self._wait()
                continue
            if got == 0:
                break
            filled += got
        return filled

    def _read(self, room: memoryview) -> int:
        if self._at is None:
            if not self._begun:  # a fifo that no writer has opened yet would seem to be at its end
                self._wait()
                self._begun = True
            return os.readv(self._descriptor, [room])
        if self._end is not None:
            room = room[: self._end - self._at]
            if not room:
                return 0
        got = os.preadv(self._descriptor, [room], self._at)
        if not got and self._end is not None:
            raise OSError(errno.EIO, "the file is shorter than it was when it was looked at")
        self._at += got
        return got

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.poll()

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FileReader:
    """Reads through a `read(size)` function; the object behind it stays the caller's."""

    size: int | None = None

    def __init__(self, read: Callable[[int], ReadableBuffer | None]) -> None:
        self._read = read

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end."""
        filled = 0
        while filled < len(out):
            room = out[filled:]
            piece = self._read(len(room))
            if piece is None:  # not the end: a raw file that does not block has nothing yet
                raise BlockingIOError(
                    errno.EAGAIN, "the file does not wait for bytes: make it block"
                )
            view = memoryview(piece).cast("B")
            if not view:
                break
            if len(view) > len(room):
                raise ValueError(f"read({len(room)}) gave {len(view)} bytes")
            room[: len(view)] = view
            filled += len(view)
            del piece, view  # whoever gave it may resize it for the next one
        return filled

    def close(self) -> None:
        """Nothing to do: it is not ours."""


class Pieces:
    """A `read(size)` over an iterator of buffers of any length."""

    def __init__(self, pieces: Iterator[ReadableBuffer]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int, /) -> memoryview:
        """Give up to `size` bytes; empty at the end."""
        while not self._rest:
            self._rest = memoryview(b"")  # lets go of the last piece, which may be used again
            try:
                self._rest = memoryview(next(self._pieces)).cast("B")
            except StopIteration:
                break
        head, self._rest = self._rest[:size], self._rest[size:]
        return head


class BufferReader:
    """Reads a buffer; one copy into the slot, so that the hashing lanes can share it."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.size: int | None = len(view)

    def readinto(self, out: memoryview) -> int:
        """Fill `out`; less than all of it only at the end."""
        count = min(len(out), len(self._view))
        out[:count] = self._view[:count]
        self._view = self._view[count:]
        return count

    def close(self) -> None:
        """Let go of the buffer."""
        self._view = memoryview(b"")
