"""A file that is being written and has no name yet; it gets one when it is finished.

It has no name in any folder (O_TMPFILE) where the file system can do that; elsewhere it has a
hidden one. *Invariant:* what is not finished is gone when the process is, or is hidden and removed
by the next one that writes there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OUTPUT", "PendingFile", "named", "remove_left_over", "sync_folder", "write_all"]

PREFIX: Final = ".ocifast-tmp-"
"""Of hidden files; whatever else begins like this is removed when nobody holds its lock."""
OUTPUT: Final = "<output>"
"""The file name of errors in writing to a descriptor, for who was given no other."""
UNNAMED: Final = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
HIDDEN: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# What file systems and kernels say that have no O_TMPFILE.
NO_UNNAMED: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class PendingFile:
    """An empty file, in the file system of a folder; `path` is what it is called in errors.

    `descriptor` is open for reading and writing, and closed by `close`, which drops the file unless
    it has got a name.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, folder: int, path: str, *, unnamed: bool = True) -> None:
        self.path = path
        self.descriptor = -1
        self._folder = folder
        self._hidden = ""
        with named(path):
            if unnamed:
                self._open_unnamed()
            while self.descriptor < 0:
                self._open_hidden()

    def _open_unnamed(self) -> None:
        try:
            self.descriptor = os.open(".", UNNAMED, 0o644, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in NO_UNNAMED:
                raise
            return
        if not os.path.exists(self._source):  # without /proc it could never get a name
            os.close(self.descriptor)
            self.descriptor = -1

    def _open_hidden(self) -> None:
        self._hidden = PREFIX + secrets.token_hex(8)
        descriptor = os.open(self._hidden, HIDDEN, 0o644, dir_fd=self._folder)
        # The lock says that somebody is at it; whoever came before the lock has removed the file.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            self.descriptor = descriptor
        else:
            os.close(descriptor)

    @property
    def _source(self) -> str:
        return f"/proc/self/fd/{self.descriptor}"

    def link(self, name: str, folder: int) -> None:
        """Give it a name that is not taken yet, its bytes being on disk.

        Raises:
            FileExistsError: The name is taken.
            OSError: It cannot be done.
        """
        with named(self.path):
            os.fdatasync(self.descriptor)
            self._link(name, folder)
            os.fsync(folder)

    def replace(self, name: str, folder: int) -> None:
        """Give it a name in its folder, in place of whatever had it. Raises OSError."""
        with named(self.path):
            os.fdatasync(self.descriptor)
            if not self._hidden:
                hidden = PREFIX + secrets.token_hex(8)
                fcntl.flock(self.descriptor, fcntl.LOCK_EX)  # before anybody can see it
                self._link(hidden, folder)
                self._hidden, self._folder = hidden, folder
            os.rename(self._hidden, name, src_dir_fd=self._folder, dst_dir_fd=folder)
            self._hidden = ""
            os.fsync(folder)

    def _link(self, name: str, folder: int) -> None:
        if self._hidden:
            os.link(
                self._hidden,
                name,
                src_dir_fd=self._folder,
                dst_dir_fd=folder,
                follow_symlinks=False,
            )
        else:
            os.link(self._source, name, dst_dir_fd=folder, follow_symlinks=True)

    def close(self) -> None:
        """Let go of it; without a name it is gone."""
        if self.descriptor < 0:
            return
        if self._hidden:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._hidden, dir_fd=self._folder)
            self._hidden = ""
        os.close(self.descriptor)
        self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def remove_left_over(folder: int) -> None:
    """Remove the hidden files of processes that are no more."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
    for name in names:
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(path: str) -> None:
    """Let names that were given or taken in a folder survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
    """Let an OSError say which file it was, where the call knew only a descriptor."""
    try:
        yield
    except OSError as error:
        if not isinstance(error.filename, str) or error.filename.startswith((".", "/proc/self/")):
            error.filename, error.filename2 = path, None
        raise
