"""Where zstd frames end, known from their headers: the gate in front of libzstd.

`FrameWalker` is not a decoder. libzstd's streaming calls neither say that input was truncated nor
refuse oddities such as legacy formats; this walks the few header bytes beside it. Invariant: what
`walk` lets through is well-formed up to block contents, and within the limits given.

The GIL is kept: a real 128 KiB piece holds a handful of headers (0.3 us), and the most hostile one
(3-byte blocks) costs 0.6 ms. Giving the GIL up would cost more in a busy process.
"""

cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from ocifast.errors import CompressedDataError, LimitExceeded


# in the order of enum ocf_zstd_part
cdef tuple PARTS = (None, "frame header", "block header", "block", "checksum", "skippable frame")


cdef object error_of(const ocf_zstd_walk *w, int status):
    """Turn a status into the exception to raise."""
    if status == OCF_ZSTD_E_WINDOW:
        return LimitExceeded("zstd_window_bytes", w.window_limit, w.detail)
    if status == OCF_ZSTD_E_SKIPPABLE:
        return LimitExceeded("skippable_bytes", w.skippable_limit, w.detail)
    if status == OCF_ZSTD_E_FRAMES:
        return LimitExceeded("members", w.frames_limit, w.detail)
    if status == OCF_ZSTD_E_MAGIC and w.frames:
        reason = "bytes after the last frame do not begin another"
    elif status == OCF_ZSTD_E_MAGIC:
        reason = "not a zstd frame"
    elif status == OCF_ZSTD_E_LEGACY:
        reason = f"legacy format v0.{w.detail} is not supported"
    elif status == OCF_ZSTD_E_RESERVED:
        reason = f"reserved bit set in frame header descriptor {w.detail:#04x}"
    elif status == OCF_ZSTD_E_DICTIONARY:
        reason = f"frame needs dictionary {w.detail}, layers have none"
    elif status == OCF_ZSTD_E_BLOCK_TYPE:
        reason = "reserved block type 3"
    else:
        reason = f"block of {w.detail} bytes, at most {w.block_max} fit this frame"
    return CompressedDataError("zstd", w.error_offset, reason)


@cython.final
cdef class FrameWalker:
    """Follows a blob of zstd frames piece by piece; `walk` stops behind each frame."""

    cdef ocf_zstd_walk state

    def __init__(self, uint64_t window_bytes, uint64_t skippable_bytes, uint64_t frames):
        ocf_zstd_init(&self.state, window_bytes, skippable_bytes, frames)

    def walk(self, const unsigned char[::1] data not None, Py_ssize_t start=0):
        """Take bytes from `data[start:]` up to the next end of a frame; return how many.

        Raises:
            CompressedDataError: The headers are not those of zstd frames a layer may have.
            LimitExceeded: A window, the skippable frames or the number of frames is over its cap.
        """
        cdef size_t used = 0
        cdef int status
        if not 0 <= start <= data.shape[0]:
            raise IndexError("start is outside of data")
        if start == data.shape[0]:
            return 0
        status = walk_frames(&self.state, &data[start], <size_t>(data.shape[0] - start), &used)
        if status < 0:
            raise error_of(&self.state, status)
        return used

    @property
    def inside(self):
        """What the walk stopped in the middle of; None at a border, where a blob may end."""
        return PARTS[self.state.part]

    @property
    def frames(self):
        """Finished frames, skippable ones included."""
        return self.state.frames

    @property
    def data_frames(self):
        """Finished frames that are not skippable."""
        return self.state.data_frames

    @property
    def skippable_bytes(self):
        """Sizes of the skippable frames begun so far, their headers included."""
        return self.state.skippable_bytes

    @property
    def content_size(self):
        """Bytes the current (at a border: the last) frame declares, None when it does not."""
        return self.state.content_size if self.state.has_content_size else None

    @property
    def window(self):
        """Window of the current (at a border: the last) frame in bytes."""
        return self.state.window

    @property
    def has_checksum(self):
        """Whether the current (at a border: the last) frame ends in a checksum."""
        return self.state.has_checksum != 0
