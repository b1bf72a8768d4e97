"""Writing archives and `dir:` folders out of a blob store.

Names, order and documents are the transports'; here are the bytes. *Invariant:* nothing has its
final name before all of it is on disk, and what failed leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from typing import TYPE_CHECKING, Final, Protocol

from ocifast.errors import SizeMismatch, StoreError
from ocifast.formats.tar_writer import END, folder_header, member_header, padding
from ocifast.transports.copying import copy_window, link_open_file
from ocifast.transports.pending_file import PendingFile, named, remove_left_over, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ocifast.transports.base import Location
    from ocifast.transports.finished_image import StoreMember

    class Blobs(Protocol):
        """What holds the blobs, such as a `BlobStore`."""

        def locate(self, digest: str) -> Location:
            """Say where a blob is."""


__all__ = ["remove_replaced", "write_archive", "write_directory"]

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
DIRECTORY_FILE: Final = "version"
UNFINISHED: Final = ".ocifast-dir-"
"""How folders begin that are on their way to a name, or out of it."""


def write_archive(
    path: str,
    members: Iterable[StoreMember],
    store: Blobs,
    *,
    overwrite: bool = False,
    advance: Callable[[int], object] = lambda _: None,
    finished: Callable[[os.stat_result], object] = lambda _: None,
) -> int:
    """Write a tar, and give its size; `advance` is told of bytes as they are written.

    `finished` is told what the file is when all of it is on disk, before it gets its name.

    Raises:
        FileExistsError: There is a file of that name, and `overwrite` is not set.
        SizeMismatch: A blob has another size than its member.
        OSError: It cannot be written.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "there is a file of that name already", path)
    folder, base = os.path.split(os.path.abspath(path))
    with _open_folder(folder) as descriptor, PendingFile(descriptor, path) as pending:
        remove_left_over(descriptor)
        with named(path):
            for member in members:
                advance(_append(pending.descriptor, member, store))
            write_all(pending.descriptor, END)
            os.fsync(pending.descriptor)  # its times as well, which tell it from other files
        status = os.fstat(pending.descriptor)
        finished(status)
        if overwrite:
            pending.replace(base, descriptor)
        else:
            pending.link(base, descriptor)
    return status.st_size


def _append(target: int, member: StoreMember, store: Blobs) -> int:
    """Write one member, and give the bytes it takes."""
    if member.digest is None and member.content is None:
        header = folder_header(member.name)
        write_all(target, header)
        return len(header)
    header = member_header(member.name, member.size)
    write_all(target, header)
    if member.content is not None:
        write_all(target, member.content)
    else:
        with _blob(member, store) as (source, offset):
            copy_window(source, target, offset, member.size)
    end = padding(member.size)
    write_all(target, end)
    return len(header) + member.size + len(end)


@contextlib.contextmanager
def _blob(member: StoreMember, store: Blobs) -> Iterator[tuple[int, int]]:
    """Open what holds a blob, and say where in it."""
    location = store.locate(member.digest or "")
    if location.size != member.size:
        raise SizeMismatch(member.size, location.size)
    assert location.open is not None
    source = location.open()
    try:
        yield source, location.offset
    finally:
        os.close(source)


@contextlib.contextmanager
def _open_folder(path: str) -> Iterator[int]:
    descriptor = os.open(path, FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_directory(
    path: str,
    members: Iterable[StoreMember],
    store: Blobs,
    *,
    overwrite: bool = False,
    finished: Callable[[os.stat_result], object] = lambda _: None,
) -> None:
    """Write a `dir:`: beside its place, and moved there when it is finished.

    With `overwrite`, one that is there is replaced; `finished` is told as by `write_archive`.

    Raises:
        FileExistsError: There is something of that name, and `overwrite` is not set.
        StoreError: What is to be replaced is no `dir:`.
        OSError: It cannot be written.
    """
    path = os.path.abspath(path)
    occupied = os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path))
    if occupied and not overwrite:
        raise FileExistsError(errno.EEXIST, "there is something of that name already", path)
    if occupied and not os.path.isfile(os.path.join(path, DIRECTORY_FILE)):
        raise StoreError(path, "", "it is not replaced: it is no `dir:`")
    folder, base = os.path.split(path)
    unfinished, replaced = os.path.join(folder, f"{UNFINISHED}{base}"), _replaced(path)
    with _made_anew(unfinished) as target:
        for member in members:
            with named(os.path.join(path, member.name)):
                _put(target, member, store)
        os.fsync(target)
        finished(os.fstat(target))
        remove_replaced(path)
        if occupied:
            os.rename(path, replaced)
        try:
            os.rename(unfinished, path)
        except OSError:
            if occupied:
                os.rename(replaced, path)
            raise
        remove_replaced(path)
        with _open_folder(folder) as descriptor:
            os.fsync(descriptor)


def _replaced(path: str) -> str:
    folder, base = os.path.split(path)
    return os.path.join(folder, f"{UNFINISHED}{base}.old")


def remove_replaced(path: str) -> None:
    """Remove the `dir:` that stood at an absolute path before; a run may have died doing it."""
    shutil.rmtree(_replaced(path), ignore_errors=True)


@contextlib.contextmanager
def _made_anew(path: str) -> Iterator[int]:
    """Give an empty folder that is ours alone; it is removed unless it was renamed."""
    descriptor = _lock_folder(path)
    try:
        for name in os.listdir(descriptor):  # of a run that was killed
            os.unlink(name, dir_fd=descriptor)
        yield descriptor
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def _lock_folder(path: str) -> int:
    """Make and lock a folder; whoever had the lock before may have renamed what it was of."""
    while True:
        os.makedirs(path, exist_ok=True)
        descriptor = os.open(path, FOLDER | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)


def _put(folder: int, member: StoreMember, store: Blobs) -> None:
    if member.digest is not None:
        with _blob(member, store) as (source, offset):
            whole = offset == 0 and os.fstat(source).st_size == member.size
            if whole and link_open_file(source, member.name, folder):
                return
            with PendingFile(folder, member.name) as pending:
                copy_window(source, pending.descriptor, offset, member.size)
                pending.link(member.name, folder)
        return
    with PendingFile(folder, member.name) as pending:
        write_all(pending.descriptor, member.content or b"")
        pending.link(member.name, folder)
