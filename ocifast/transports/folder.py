"""Files in a folder on disk: an OCI layout, a `dir:`, an unpacked archive.

The folder may be named through links; nothing below it is (hardening P20): every component is
opened without following, and what is found must be a regular file. *Invariant:* no descriptor is
kept, so thousands of folders can be open at once; one that is opened later is the same folder, or
refused.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from typing import TYPE_CHECKING, Final

from ocifast.errors import StoreError
from ocifast.transports.base import Location
from ocifast.transports.file_name import clean_name, link_target

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FolderFiles"]

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without waiting: opening a fifo would hang until somebody writes to it.
FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DEPTH: Final = 32
"""Folders within each other; layouts have two."""


class FolderFiles:
    """The regular files below a folder; with `links`, one symbolic link may stand for a file in it.

    Links are for archives of `docker save` that somebody unpacked; layouts have none.

    Raises:
        OSError: It cannot be opened, or is no folder.
    """

    def __init__(self, path: str, *, links: bool = False) -> None:
        self.path = path
        self.findings: list[str] = []
        self._absolute = os.path.abspath(path)
        self._links = links
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "is no folder", path)
        self._identity = (status.st_dev, status.st_ino)

    def names(self) -> Iterator[str]:
        """All names of regular files, and of links where they count, in no promised order.

        Raises:
            StoreError: Folders lie too deep within each other.
        """
        left = [""]
        while left:
            folder = left.pop()
            if folder.count("/") >= DEPTH:
                raise StoreError(self.path, folder, f"folders are nested deeper than {DEPTH}")
            with self._folder(folder) as descriptor, os.scandir(descriptor) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        left.append(name)
                    elif entry.is_file(follow_symlinks=False) or (
                        self._links and entry.is_symlink()
                    ):
                        yield name

    def find(self, name: str) -> Location | None:
        """Say where the bytes of a file are; None when there is none.

        Raises:
            StoreError: It is no regular file, or its name is refused.
            OSError: It cannot be looked at.
        """
        name = clean_name(self.path, name)
        try:
            descriptor = self._open(name)
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        return Location(functools.partial(self._open, name), 0, size)

    def locate(self, name: str) -> Location:
        """Say where the bytes of a file are; raises as `find`, and StoreError without one."""
        found = self.find(name)
        if found is None:
            raise StoreError(self.path, name, "there is no such file")
        return found

    def read(self, name: str, limit: int) -> bytes:
        """Read a small file whole; raises as `locate`, and StoreError beyond `limit` bytes."""
        location = self.locate(name)
        if location.size > limit:
            reason = f"it has {location.size} bytes, at most {limit} are read"
            raise StoreError(self.path, name, reason)
        with open(self._open(clean_name(self.path, name)), "rb") as file:
            return file.read(limit)

    @contextlib.contextmanager
    def _folder(self, name: str) -> Iterator[int]:
        """Open a folder below the root, component by component, as long as it is needed."""
        descriptor = os.open(self._absolute, FOLDER)
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != self._identity:
                raise StoreError(self.path, "", "the folder was replaced while it was in use")
            for part in filter(None, name.split("/")):
                below = os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, name: str, *, hops: int = 1) -> int:
        """Open a regular file.

        Raises:
            StoreError: It is something else.
            OSError: It cannot be opened.
        """
        folder, _, base = name.rpartition("/")
        try:
            with self._folder(folder) as parent:
                try:
                    descriptor = os.open(base or ".", FILE, dir_fd=parent)
                except OSError as error:
                    if error.errno != errno.ELOOP or not (self._links and hops):
                        raise
                    target = os.readlink(base, dir_fd=parent)
                    return self._open(link_target(self.path, name, target), hops=hops - 1)
        except OSError as error:
            raise self._refusal(name, error) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StoreError(self.path, name, "it is no regular file")
        return descriptor

    def _refusal(self, name: str, error: OSError) -> Exception:
        """Say of what is no regular file that it is none, and of other errors the whole path."""
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return StoreError(self.path, name, "it is a link, or in a folder that is none")
        if error.errno == errno.ENXIO:
            return StoreError(self.path, name, "it is no regular file")
        error.filename = f"{self.path}/{name}"
        return error
