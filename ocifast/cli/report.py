"""``--report FILE``: what a conversion did, as JSON, or as a page when FILE ends in .html.

Invariant: the file is there as a whole or not at all; an older one stays until then.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ocifast.ops.conversion import ConvertReport

__all__ = ["check_report_path", "write_report"]

PAGE_SUFFIXES: Final = (".html", ".htm")


def check_report_path(path: str) -> None:
    """Find out before an hour of work that its report cannot be written.

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


def write_report(report: ConvertReport, path: str) -> None:
    """Write the report to a file, replacing an older one.

    Raises:
        OSError: It cannot be written; `filename` is the path.
    """
    if path.lower().endswith(PAGE_SUFFIXES):
        from ocifast.cli.report_page import report_page

        text = report_page(report)
    else:
        text = json.dumps(report.to_dict(), indent=2) + "\n"
    try:
        _write(text.encode(), path)
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _write(data: bytes, path: str) -> None:
    if _is_special(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    final = os.path.realpath(path)  # a link stays a link
    folder, name = os.path.split(final)
    temporary = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
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
