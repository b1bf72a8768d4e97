"""Bytes from one file to another without passing through this process, where the system can.

*Invariant:* so many bytes are copied as were asked for, or it is an error.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Final

from ocifast.errors import SizeMismatch
from ocifast.transports.pending_file import write_all

__all__ = ["clone_file", "copy_window", "link_open_file"]

FICLONE: Final = 0x40049409
COPY_BYTES: Final = 64 << 20
BUFFER_BYTES: Final = 1 << 20
# What is said where two files cannot share bytes, or this one must not be linked.
NO_CLONE: Final = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS)
NO_COPY: Final = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
NO_LINK: Final = (
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOENT,
)


def clone_file(source: int, target: int) -> bool:
    """Let an empty file share the bytes of another; False where the file system cannot.

    Raises:
        OSError: It can, and failed.
    """
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in NO_CLONE:
            return False
        raise
    return True


def link_open_file(source: int, name: str, folder: int) -> bool:
    """Give an open file one more name; False where that cannot be.

    Raises:
        FileExistsError: The name is taken.
        OSError: It can be done, and failed.
    """
    try:
        os.link(f"/proc/self/fd/{source}", name, dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        if error.errno in NO_LINK:
            return False
        raise
    return True


def copy_window(source: int, target: int, offset: int, size: int) -> None:
    """Append a window of one file to another.

    Raises:
        SizeMismatch: The source ends within it.
        OSError: It cannot be read or written.
    """
    left = size
    while left:
        try:
            count = os.copy_file_range(source, target, min(left, COPY_BYTES), offset)
        except OSError as error:
            if error.errno not in NO_COPY:
                raise
            count = _copy_piece(source, target, offset, left)
        if not count:
            raise SizeMismatch(size, size - left)
        left -= count
        offset += count


def _copy_piece(source: int, target: int, offset: int, left: int) -> int:
    piece = os.pread(source, min(left, BUFFER_BYTES), offset)
    write_all(target, piece)
    return len(piece)
