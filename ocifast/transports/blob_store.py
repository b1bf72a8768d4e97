"""Blobs by digest in a folder, as an OCI layout keeps them: `blobs/sha256/<hex>`.

Who hands in bytes has hashed them; here they are only kept. Several processes may write to one
store. *Invariant:* a blob has its name only when all of it is on disk, and a name never changes its
bytes.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from typing import Literal, Self, TypeAlias

from ocifast.errors import SizeMismatch, StateError, StoreError
from ocifast.spec.digest import Digest
from ocifast.transports.base import Location
from ocifast.transports.copying import clone_file, copy_window, link_open_file
from ocifast.transports.folder import FILE, FOLDER
from ocifast.transports.pending_file import PendingFile, named, remove_left_over, write_all
from ocifast.transports.walk import blob_path

__all__ = ["BlobStore", "How", "PendingBlob"]

How: TypeAlias = Literal["present", "reflink", "hardlink", "copied"]
PendingBlob: TypeAlias = PendingFile


class BlobStore:
    """The blobs of one folder, which is made if need be; a context manager.

    Raises:
        OSError: It cannot be made, or is no folder.
        StoreError: Something else stands where it keeps its blobs.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, BlobStore(folder) as store:
        ...     digest = store.put(b"{}")
        ...     digest[:15], store.has(digest, 2)
        ('sha256:44136fa3', True)
    """

    def __init__(self, root: str) -> None:
        self.root = root
        os.makedirs(root, exist_ok=True)
        self._root = os.open(root, FOLDER)
        self._folders: dict[str, int] = {}
        try:
            self._folder("sha256")
            remove_left_over(self._root)
        except BaseException:
            self.close()
            raise

    def pending(self) -> PendingBlob:
        """Begin a blob: write to its `descriptor`, then `publish` it or `close` it."""
        return PendingFile(self._open_root(), os.path.join(self.root, "blobs"))

    def publish(self, pending: PendingBlob, digest: str, size: int) -> None:
        """Give a written blob its name; one that is there already is kept.

        Raises:
            SizeMismatch: It has another size than is said.
            StoreError: The store has something else by that name.
            OSError: It cannot be brought to disk.
        """
        digest = Digest.parse(digest)
        path = os.path.join(self.root, blob_path(digest))
        with named(path):
            written = os.fstat(pending.descriptor).st_size
            if written != size:
                raise SizeMismatch(size, written)
            try:
                pending.link(digest.encoded, self._folder(digest.algorithm))
            except FileExistsError:
                self._check_present(digest, size)
        pending.close()

    def put(self, raw: bytes) -> Digest:
        """Keep a document. Raises as `publish`."""
        digest = Digest.of_content(raw)
        if not self.has(digest, len(raw)):
            with self.pending() as pending:
                with named(os.path.join(self.root, blob_path(digest))):
                    write_all(pending.descriptor, raw)
                self.publish(pending, digest, len(raw))
        return digest

    def has(self, digest: str, size: int) -> bool:
        """Whether there is a regular file of that name and size; its bytes are not looked at."""
        digest = Digest.parse(digest)
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(
                digest.encoded, dir_fd=self._folder(digest.algorithm), follow_symlinks=False
            )
            return stat.S_ISREG(status.st_mode) and status.st_size == size
        return False

    def open(self, digest: str) -> int:
        """Open a blob for reading; the descriptor is the caller's.

        Raises:
            StoreError: It is no regular file.
            OSError: It is not there, or cannot be read.
        """
        digest = Digest.parse(digest)
        with named(os.path.join(self.root, blob_path(digest))):
            descriptor = os.open(digest.encoded, FILE, dir_fd=self._folder(digest.algorithm))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StoreError(self.root, blob_path(digest), "it is no regular file")
        return descriptor

    def locate(self, digest: str) -> Location:
        """Say where a blob is, as long as the store is open; raises as `open`."""
        descriptor = self.open(digest)
        try:
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        return Location(functools.partial(self.open, digest), 0, size)

    def link(self, location: Location, digest: str, size: int) -> How:
        """Take a blob over from where it lies, the cheapest way there is, and say which it was.

        A file of its own shares its bytes, or becomes the same file where the file system cannot
        share; a part of a file is copied, in the kernel where it can.

        Raises:
            SizeMismatch: There is less or more of it.
            StateError: It lies in a stream.
            StoreError, OSError: As `publish`.
        """
        if location.open is None:
            raise StateError("a blob in a stream cannot be linked: it is met once, on the way")
        if self.has(digest, size):
            return "present"
        if location.size != size:
            raise SizeMismatch(size, location.size)
        source = location.open()
        try:
            whole = location.offset == 0 and os.fstat(source).st_size == size
            return self._take_over(source, location.offset, Digest.parse(digest), size, whole=whole)
        finally:
            os.close(source)

    def _take_over(
        self, source: int, offset: int, digest: Digest, size: int, *, whole: bool
    ) -> How:
        how: How = "copied"
        path = os.path.join(self.root, blob_path(digest))
        with self.pending() as pending:
            with named(path):
                if whole and clone_file(source, pending.descriptor):
                    how = "reflink"
                elif whole and self._hard_link(source, digest, size):
                    return "hardlink"
                else:
                    copy_window(source, pending.descriptor, offset, size)
            self.publish(pending, digest, size)
        return how

    def _hard_link(self, source: int, digest: Digest, size: int) -> bool:
        folder = self._folder(digest.algorithm)
        os.fdatasync(source)
        try:
            if not link_open_file(source, digest.encoded, folder):
                return False
        except FileExistsError:
            self._check_present(digest, size)
        os.fsync(folder)
        return True

    def _check_present(self, digest: Digest, size: int) -> None:
        if not self.has(digest, size):
            reason = f"something else is there, not the blob of {size} bytes"
            raise StoreError(self.root, blob_path(digest), reason)

    def _open_root(self) -> int:
        if self._root < 0:
            raise StateError("the store is closed")
        return self._root

    def _folder(self, algorithm: str) -> int:
        """The descriptor of `blobs/<algorithm>`, which is made if need be."""
        found = self._folders.get(algorithm)
        if found is not None:
            return found
        blobs = self._enter(self._open_root(), "blobs", "blobs")
        try:
            self._folders[algorithm] = found = self._enter(blobs, algorithm, f"blobs/{algorithm}")
        finally:
            os.close(blobs)
        return found

    def _enter(self, parent: int, name: str, path: str) -> int:
        with named(os.path.join(self.root, path)):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
                os.fsync(parent)
            try:
                return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise StoreError(self.root, path, "it is a link, or no folder") from None
                raise

    def close(self) -> None:
        """Let go of the folder."""
        for descriptor in (*self._folders.values(), self._root):
            if descriptor >= 0:
                os.close(descriptor)
        self._folders.clear()
        self._root = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
