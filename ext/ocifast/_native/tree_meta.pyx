"""How owners, xattrs, modes and times are set on what is made, and what of them was lost.

Each thread that makes something has one of its own. Invariant: no link is ever followed.
"""

cimport cython
from libc.stdint cimport uint32_t
from libc.string cimport memset

import os
import struct

from ocifast.errors import TreeError


@cython.final
cdef class Metadata:
    """What is done with metadata; `uids` and `gids` are (container, host, size) ranges.

    `rootless` records owners in the xattr that umoci and PRoot read; `overlay` escapes xattrs that
    mean something to overlayfs. `umask` is that of the process. Raises ValueError for a range that
    is none.
    """

    def __cinit__(self):
        memset(&self.meta, 0, sizeof(self.meta))

    def __init__(
        self, uids: object = (), gids: object = (), *, rootless: bool = False,
        overlay: bool = False, umask: int = 0o777,
    ) -> None:
        if self.uids is not None:
            raise ValueError("the metadata is already initialised")
        self.uids, self.gids = packed(uids), packed(gids)
        self.meta.uids = <const ocf_id_range *><const char *>self.uids
        self.meta.gids = <const ocf_id_range *><const char *>self.gids
        self.meta.uid_count = <size_t>len(self.uids) // sizeof(ocf_id_range)
        self.meta.gid_count = <size_t>len(self.gids) // sizeof(ocf_id_range)
        self.meta.flags = (OCF_META_ROOTLESS if rootless else 0) | (
            OCF_META_OVERLAY if overlay else 0
        )
        self.meta.umask = <uint32_t>umask & 0o777
        self.meta.own_uid, self.meta.own_gid = os.geteuid(), os.getegid()

    @property
    def lost(self) -> list[tuple[int, int]]:
        """How many of each kind could not be kept, and the row of the first."""
        return [(self.meta.lost[i], self.meta.first[i]) for i in range(OCF_LOST_KINDS)]

    cdef object fail(self, int error, str name):
        """The error of a thing that is called `name`."""
        if error == OCF_META_UNMAPPED:
            return TreeError(name, f"id {self.meta.actual} is in none of the ranges of ids")
        return OSError(error, os.strerror(error), name)


cdef bytes packed(object ranges):
    """Ranges as C has them."""
    parts = []
    for container, host, size in ranges:
        if size < 1 or max(container, host) + size > 1 << 32:
            raise ValueError(f"{container}:{host}:{size} is no range of ids")
        parts.append(struct.pack("=III", container, host, size))
    return b"".join(parts)
