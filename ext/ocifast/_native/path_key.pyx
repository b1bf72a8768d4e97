"""Keys of paths, by which what is in a tree is sorted into groups that stay what they are.

Invariant: the same path has the same key on every machine and in every version.
"""

from libc.stdint cimport uint8_t, uint64_t

from ocifast._native.tar cimport ocf_tar_row

from ocifast._native.tar import check_table


def path_keys(rows: object, heap: object, depth: int) -> bytearray:
    """Give the key of each row (u64): its folder's, cut to `depth` components, then its own.

    Raises FormatError for a table that is not sound.
    """
    check_table(rows, heap)
    cdef const unsigned char[::1] row_view = memoryview(rows).cast("B")
    cdef const unsigned char[::1] heap_view = memoryview(heap).cast("B")
    cdef size_t count = <size_t>row_view.shape[0] // sizeof(ocf_tar_row)
    found = bytearray(count * sizeof(uint64_t))
    if count == 0:
        return found
    cdef unsigned char[::1] keys = found
    cdef const uint8_t *heap_data = &heap_view[0] if heap_view.shape[0] else NULL
    cdef unsigned levels = depth
    with nogil:
        ocf_path_keys(&row_view[0], count, heap_data, levels, <uint64_t *>&keys[0])
    return found
