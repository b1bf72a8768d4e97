"""What a tree has under a name, opened as a process would that has the tree as its root.

Invariant: no name and no link of the tree leads out of it, and no device or pipe is ever opened.
"""

import os

from ocifast.errors import TreeError, UnsupportedError


def open_in_root(root: int, path: bytes, *, folder: bool = False) -> int:
    """Open a regular file to be read; with `folder`, a folder to look things up in (O_PATH).

    The descriptor is the caller's. Raises TreeError for what is no regular file, UnsupportedError
    where there is no openat2, OSError as open(2), named after the path.
    """
    if not path or b"\0" in path:
        raise ValueError(f"{path!r} is no path")
    cdef int status, descriptor = -1, base = root
    cdef int what = OCF_OPEN_FOLDER if folder else OCF_OPEN_FILE
    cdef const char *text = path
    with nogil:
        status = ocf_open_in_root(base, text, what, &descriptor)
    if status == 0:
        return descriptor
    if status == OCF_OPEN_KIND:
        raise TreeError(os.fsdecode(path), "it is no regular file")
    if status == OCF_OPEN_NONE:
        raise UnsupportedError("names in an image cannot be looked up: openat2(2) is not there, "
                               "which takes Linux 5.6 and leave of seccomp")
    raise OSError(status, os.strerror(status), os.fsdecode(path))
