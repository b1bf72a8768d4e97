"""Two tables of trees side by side: what is in one only, and which fields of the others differ.

It reads no file. Invariant: every row of both tables is in exactly one pair.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memset

from ocifast._native.tar cimport OCF_NO_MEMORY, OCF_OK, HeapBytes, ocf_tar_row, take_over

from ocifast._native.tar import check_table
from ocifast.errors import FormatError

TYPE = OCF_DIFF_TYPE
MODE = OCF_DIFF_MODE
OWNER = OCF_DIFF_OWNER
SIZE = OCF_DIFF_SIZE
MTIME = OCF_DIFF_MTIME
LINK = OCF_DIFF_LINK
DEVICE = OCF_DIFF_DEVICE
XATTRS = OCF_DIFF_XATTRS
LINKS = OCF_DIFF_LINKS
CONTENT = OCF_DIFF_CONTENT
UNREAD = OCF_DIFF_UNREAD


cdef int fill(
    ocf_join_side *side, const unsigned char[::1] rows, const unsigned char[::1] heap,
    const unsigned char[::1] digests, bint has_digests,
) except -1:
    side.count = <size_t>rows.shape[0] // sizeof(ocf_tar_row)
    side.rows = &rows[0] if rows.shape[0] else NULL
    side.heap = &heap[0] if heap.shape[0] else NULL
    side.digests = NULL
    if has_digests and digests.shape[0] != <Py_ssize_t>side.count * OCF_JOIN_DIGEST:
        raise FormatError(f"{digests.shape[0]} bytes are no digests of {side.count} rows")
    if has_digests and side.count:
        side.digests = &digests[0]
    return 0


def join(
    rows_a: object, heap_a: object, digests_a: object,
    rows_b: object, heap_b: object, digests_b: object,
) -> tuple[HeapBytes, HeapBytes, HeapBytes]:
    """Pairs of rows in the order of a tree, what differs of each, and what has to be read.

    Tables are in the order of `tree_walk`; digests are 32 bytes a row, zeros where there is none,
    or None. Pairs are of i32, -1 where a side has no such path; what differs is u16, a sum of the
    constants of this module. The last has three u32 for each pair with UNREAD: its number, and the
    rows of the two files of one size of which not both have a digest.

    Raises:
        FormatError: A table is not sound, or not in order.
    """
    check_table(rows_a, heap_a)
    check_table(rows_b, heap_b)
    cdef ocf_join state
    cdef int status
    cdef const unsigned char[::1] ra = rows_a, ha = heap_a, rb = rows_b, hb = heap_b
    cdef const unsigned char[::1] da = b"" if digests_a is None else digests_a
    cdef const unsigned char[::1] db = b"" if digests_b is None else digests_b
    memset(&state, 0, sizeof(state))
    fill(&state.a, ra, ha, da, digests_a is not None)
    fill(&state.b, rb, hb, db, digests_b is not None)
    with nogil:
        status = ocf_join_run(&state)
    pairs = take_over(&state.pairs)
    masks = take_over(&state.masks)
    unread = take_over(&state.unread)
    if status == OCF_NO_MEMORY:
        raise MemoryError
    if status != OCF_OK:
        which = ("first", "second")[state.side]
        raise FormatError(f"row {state.index} of the {which} table is not in the order of a tree")
    return pairs, masks, unread


def kinship(rows: object, heap: object) -> tuple[bytes, bytes]:
    """Of each row, the row of the folder it is in (i32, -1 at the top) and of its inode (u32).

    Raises:
        FormatError: The table is not sound, or not in order.
    """
    check_table(rows, heap)
    cdef ocf_join_side side
    cdef size_t bad = 0
    cdef int is_sound
    cdef const unsigned char[::1] row_view = rows, heap_view = heap, none = b""
    fill(&side, row_view, heap_view, none, False)
    with nogil:
        is_sound = side.count < 0x7fffffff and ocf_join_in_order(&side, &bad)
    if not is_sound:
        raise FormatError(f"row {bad} of the table is not in the order of a tree")
    cdef bytes parents = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>side.count * 4)
    cdef bytes inodes = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>side.count * 4)
    cdef int32_t *parent_out = <int32_t *>PyBytes_AS_STRING(parents)
    cdef uint32_t *inode_out = <uint32_t *>PyBytes_AS_STRING(inodes)
    with nogil:
        ocf_join_parents(&side, parent_out)
        ocf_join_inodes(&side, inode_out)
    return parents, inodes


def sum_up(const int32_t[::1] parents not None, int64_t[::1] values not None) -> None:
    """Add to each folder's value those of all that is in it, at any depth, in place.

    `parents` is what kinship() gives. Raises ValueError unless a folder stands before its content.
    """
    cdef Py_ssize_t row, count = parents.shape[0]
    cdef bint is_sound = values.shape[0] == count
    with nogil:
        row = count - 1 if is_sound else -1
        while row >= 0 and is_sound:
            if parents[row] >= 0:
                is_sound = parents[row] < row
                if is_sound:
                    values[parents[row]] += values[row]
            row -= 1
    if not is_sound:
        raise ValueError("these are no values of rows with these parents")


def spread_down(const int32_t[::1] parents not None, uint8_t[::1] flags not None) -> None:
    """Give each row the flags of all folders it is in, besides its own, in place; as sum_up()."""
    cdef Py_ssize_t row, count = parents.shape[0]
    cdef bint is_sound = flags.shape[0] == count
    with nogil:
        row = 0 if is_sound else count
        while row < count and is_sound:
            if parents[row] >= 0:
                is_sound = parents[row] < row
                if is_sound:
                    flags[row] |= flags[parents[row]]
            row += 1
    if not is_sound:
        raise ValueError("these are no flags of rows with these parents")
