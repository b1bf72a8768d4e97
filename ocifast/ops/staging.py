"""A private folder in which a tree is made before it is shown under its name.

It lies beside the destination, so that showing is one rename; what is killed leaves it behind, and
its name says what it is. Invariant: nothing is ever seen under the destination's name that is not
complete, unless the tree is made in place because that was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING, Final, Self

from ocifast._native.tree_place import exchange, remove_tree, sync_file_system

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FOLDER", "Staging", "named_as"]

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MARK: Final = ".ocifast-"
TREE: Final = "tree"
NAME_BYTES: Final = 230
"""Of the destination's name; with what is put behind it a name has at most 255."""


class Staging:
    """The folder beside `dest`, a context manager; what is in it at the end is removed.

    With `in_place` the tree is made in `dest` itself, and only the rest lies here. So it is, too,
    where something is mounted on `dest`, which no rename can replace.

    Raises:
        OSError: There is something at `dest` already, or nothing can be made beside it.
    """

    def __init__(self, dest: str, *, replace: bool = False, in_place: bool = False) -> None:
        self.path = dest
        self.left = ""
        """What is left of it at the end, and why."""
        self._replace = replace
        self._close = contextlib.ExitStack()
        parent, name = os.path.split(os.path.abspath(dest))
        self._name = name or "root"
        try:
            self._parent = self._open(parent)
            self._there = self._look(name)
            self.in_place = in_place or self._is_mounted
            if not in_place and (self._is_mounted or not replace):
                self._refuse_full()
            self._make()
        except BaseException:
            self._close.close()
            raise

    def _open(self, path: str, folder: int | None = None) -> int:
        descriptor = os.open(
            path, FOLDER & ~os.O_NOFOLLOW if folder is None else FOLDER, dir_fd=folder
        )
        self._close.callback(os.close, descriptor)
        return descriptor

    def _look(self, name: str) -> int | None:
        """Open what is at the destination; None when there is nothing."""
        with named_as(self.path):
            try:
                return self._open(name or ".", self._parent)
            except FileNotFoundError:
                return None

    @property
    def _is_mounted(self) -> bool:
        if self._there is None:
            return False
        here, above = os.fstat(self._there), os.fstat(self._parent)
        return here.st_dev != above.st_dev or os.path.samestat(here, above)

    def _refuse_full(self) -> None:
        if self._there is None:
            return
        with os.scandir(self._there) as names:
            if next(names, None) is not None:
                reason = "it is not empty: --force replaces it, --keep unpacks over what is there"
                if self._is_mounted:
                    reason = (
                        "it is not empty, and a mount cannot be replaced: --keep unpacks over it"
                    )
                raise OSError(errno.ENOTEMPTY, reason, self.path)

    def _make(self) -> None:
        """Make the folder; in place it lies where the tree's files can be moved from."""
        beside = self._parent
        if self.in_place and self._is_mounted:
            assert self._there is not None
            beside = self._there
        self._beside = beside
        self._own = os.fsencode(self._name)[:NAME_BYTES].decode("utf-8", "surrogateescape") + MARK
        self._own += secrets.token_hex(4)
        with named_as(self.path):
            os.mkdir(self._own, 0o700, dir_fd=beside)
        self._close.callback(self._discard)
        self.descriptor = self._open(self._own, beside)
        os.fchmod(self.descriptor, 0o700)  # set-gid bit and default ACL of the parent are not ours
        with contextlib.suppress(OSError):
            os.removexattr(self.descriptor, "system.posix_acl_default")
        if self.in_place:
            with named_as(self.path):
                if self._there is None:
                    os.mkdir(self._name, 0o755, dir_fd=self._parent)
                    self._there = self._open(self._name, self._parent)
                self.root = self._there
        else:
            self.root = self.folder(TREE)

    def _discard(self) -> None:
        try:
            remove_tree(self._beside, os.fsencode(self._own))
        except OSError as error:  # what was to be done is done, or has failed for its own reason
            self.left = f"{self._own}, beside the tree, could not be removed: {error.strerror}"

    def folder(self, name: str) -> int:
        """Make a folder in it; the descriptor is closed with it."""
        with named_as(self.path):
            os.mkdir(name, 0o700, dir_fd=self.descriptor)
            return self._open(name, self.descriptor)

    def show(self, *, sync: bool = False) -> None:
        """Give the tree its name; with `sync` it is on disk before.

        Raises:
            OSError: Something has come to be at the destination meanwhile.
        """
        if sync:
            sync_file_system(self.descriptor)
        if self.in_place:
            return
        with named_as(self.path):
            if self._replace and self._there is not None:
                exchange(self.descriptor, TREE.encode(), self._parent, os.fsencode(self._name))
            else:  # over nothing, or over an empty folder: a full one, or a file, is an error
                os.rename(TREE, self._name, src_dir_fd=self.descriptor, dst_dir_fd=self._parent)
        if sync:
            os.fsync(self._parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()


@contextlib.contextmanager
def named_as(path: str) -> Iterator[None]:
    """Let errors of the system name the destination, whatever it was they were about."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise
