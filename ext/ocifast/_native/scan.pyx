"""One look at a buffer: tar headers parsed and two digests carried on, in a single nogil call.

It is the in-process tier: beside a busy Python thread every release of the GIL can cost 5 ms, so
everything one buffer needs happens between one release and one re-acquire, and small buffers keep
the GIL. Invariant: whoever calls keeps other threads away from the two digests; the parser, which
could be led out of its memory, keeps them away itself.
"""

from ocifast._native.sha256 cimport Sha256, ocf_sha256_lane, sha256_update_many
from ocifast._native.tar cimport TarParser, tar_feed

cdef enum:
    GIL_RELEASE_BYTES = 32768  # as for Sha256.update, where it was measured


def scan(
    TarParser tar not None,
    Sha256 diff not None,
    const unsigned char[::1] plain not None,
    Sha256 blob=None,
    const unsigned char[::1] stored=None,
) -> None:
    """Parse `plain` and hash it into `diff`; hash `stored` into `blob` beside it, interleaved.

    Raises what TarParser.feed raises, when the digests have taken the bytes; ValueError when the
    digests are one object.
    """
    cdef ocf_sha256_lane lanes[2]
    cdef size_t count = 0
    cdef int status = 0
    cdef const unsigned char *data = &plain[0] if plain.shape[0] else NULL
    cdef size_t size = <size_t>plain.shape[0]
    tar.ensure_open()
    if blob is diff:
        raise ValueError("the two digests must be two objects")
    lanes[0].ctx, lanes[0].data, lanes[0].size = &diff.ctx, data, size
    count = 1
    if blob is not None and stored is not None and stored.shape[0]:
        lanes[1].ctx, lanes[1].data, lanes[1].size = &blob.ctx, &stored[0], <size_t>stored.shape[0]
        count = 2
    tar.busy = True
    if lanes[0].size + (lanes[1].size if count == 2 else 0) < GIL_RELEASE_BYTES:
        sha256_update_many(lanes, count)
        if size:
            status = tar_feed(&tar.tar, data, size)
    else:
        with nogil:
            sha256_update_many(lanes, count)
            if size:
                status = tar_feed(&tar.tar, data, size)
    tar.busy = False
    tar.busy = False
    tar.check(status)
