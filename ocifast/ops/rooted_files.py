"""Small files and folders of a tree that came out of an image, by the names that are used in it.

Links are followed as a process would that has the tree as its root. Invariant: whatever the tree
holds, what is read is a regular file of it, and short (P19); what is made is in it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ocifast._native.tree_open import open_in_root
from ocifast.errors import TreeError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FILE_BYTES", "LINE_BYTES", "is_below", "make_folders", "read_rooted"]

FILE_BYTES: Final = 1 << 20
LINE_BYTES: Final = 64 << 10
FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_rooted(root: int, path: str) -> bytes:
    """Read a file of lines, such as `etc/passwd`; one that is not there is empty.

    Raises:
        TreeError: It is no regular file, or has too many bytes, or in one line.
        UnsupportedError: This kernel cannot look it up safely.
        OSError: It cannot be read.
    """
    try:
        descriptor = open_in_root(root, os.fsencode(path))
    except (FileNotFoundError, NotADirectoryError):
        return b""
    with open(descriptor, "rb") as file:
        # never more than that is asked for, whatever size the file claims to have
        content = file.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise TreeError(path, f"it has more than {FILE_BYTES} bytes")
    if max(map(len, content.split(b"\n"))) > LINE_BYTES:
        raise TreeError(path, f"it has a line of more than {LINE_BYTES} bytes")
    return content


def make_folders(root: int, path: str, made: Callable[[int], object]) -> int:
    """Open a folder as `path` is understood in the tree, and make those that are not there.

    `path` is absolute and clean; `made` is called with the descriptor of each new one. The
    descriptor that is given (O_PATH) is the caller's.

    Raises:
        TreeError: There is something else on the way, or a link that leads nowhere.
        OSError: One cannot be made.
    """
    here, there = os.dup(root), ""
    try:
        for name in path.strip("/").split("/") if path.strip("/") else ():
            there = f"{there}/{name}"
            below = _step(root, here, there, made)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here


def _step(root: int, above: int, path: str, made: Callable[[int], object]) -> int:
    """Open one folder by its whole path, as links above it have to be followed again."""
    raw = os.fsencode(path)
    try:
        return open_in_root(root, raw, folder=True)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        raise TreeError(path, "it is no folder") from None
    name = os.path.basename(raw)
    try:
        os.mkdir(name, 0o755, dir_fd=above)
    except FileExistsError:
        raise TreeError(path, "it is a link that leads nowhere") from None
    descriptor = os.open(name, FOLDER & ~os.O_PATH, dir_fd=above)
    try:
        made(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_below(root: int, folder: int, path: str) -> bool:
    """Whether an open folder is, or lies in, the one that the tree has at `path`."""
    try:
        above = open_in_root(root, os.fsencode(path), folder=True)
    except (FileNotFoundError, NotADirectoryError):
        return False
    top, wanted = os.fstat(root), os.fstat(above)
    os.close(above)
    here = os.dup(folder)
    try:
        while not os.path.samestat(status := os.fstat(here), wanted):
            if os.path.samestat(status, top):
                return False
            parent = os.open("..", FOLDER, dir_fd=here)
            os.close(here)
            here = parent
        return True
    finally:
        os.close(here)
