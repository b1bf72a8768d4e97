"""Where the chunks of a file end, and the checksum tar-split has of it.

It sees bytes only, no tar. Invariant: borders depend on the bytes of the file, not on how they were
cut into pieces.
"""

cimport cython
from libc.stdint cimport uint64_t

CHUNK_MAX_BYTES = OCF_CHUNK_MAX


@cython.final
cdef class Chunker:
    """Cuts one file after the other; `begin` before each, then pieces of it in order."""

    cdef ocf_chunker chunker

    def __cinit__(self):
        ocf_chunker_begin(&self.chunker)

    def begin(self) -> None:
        """Begin another file."""
        ocf_chunker_begin(&self.chunker)

    def borders(self, const unsigned char[::1] data not None) -> list[int]:
        """Offsets in this piece behind which a chunk ends."""
        cdef size_t at = 0, size = <size_t>data.shape[0], step
        found = []
        while at < size:
            with nogil:
                step = ocf_chunker_next(&self.chunker, &data[0] + at, size - at)
            if step == 0:
                break
            at += step
            found.append(at)
        return found


def crc64(const unsigned char[::1] data not None, value: int = 0) -> int:
    """CRC-64/ISO of the bytes, going on from `value`."""
    cdef uint64_t crc = value
    cdef size_t size = <size_t>data.shape[0]
    if size == 0:
        return crc
    with nogil:
        crc = ocf_crc64(crc, &data[0], size)
    return crc
