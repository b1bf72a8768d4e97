"""A file a verb writes for a person: there as a whole or not at all, an older one until then."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_path", "write_whole"]


def check_path(path: str) -> None:
    """Find out before an hour of work that the file cannot be written.

    Raises:
        OSError: The folder is missing or not writable, or the path is a folder.
    """
    folder = os.path.dirname(os.path.realpath(path))
    for number, wrong in (
        (errno.EISDIR, os.path.isdir(path)),
        (errno.ENOENT, not os.path.exists(folder)),
        (errno.ENOTDIR, not os.path.isdir(folder)),
        (errno.EACCES, not os.access(folder, os.W_OK | os.X_OK) and not _is_special(path)),
    ):
        if wrong:
            raise OSError(number, os.strerror(number), path)


def write_whole(path: str, pieces: Iterable[bytes]) -> None:
    """Write a file, replacing an older one when all of it is on disk.

    Raises:
        OSError: It cannot be written; `filename` is the path.
    """
    try:
        _write(path, pieces)
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _write(path: str, pieces: Iterable[bytes]) -> None:
    if _is_special(path):
        with open(path, "wb") as file:
            file.writelines(pieces)
        return
    final = os.path.realpath(path)  # a link stays a link
    folder, name = os.path.split(final)
    temporary = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _is_special(path: str) -> bool:
    """Whether it is a pipe or a device: there is nothing to replace."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
