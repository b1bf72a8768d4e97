"""SHA-256 whose state can be taken out and put back, and many streams hashed at once on one core.

Not a table of hash algorithms: hashlib is. How it hashes is chosen in sha256_kernel; while a kernel
that was demanded there is unavailable, nothing here begins to hash. Invariant: digests and states
do not depend on the kernel, the lane width, or how the data was cut.
"""

from ocifast.errors import FormatError

cimport cython
from cpython.buffer cimport (
    PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.pythread cimport (
    NOWAIT_LOCK, WAIT_LOCK,
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
)

from ocifast._native.sha256_kernel cimport OCF_SHA256_MAX_LANES, kernel_in_use, require_kernel

cdef enum:
    # Smaller calls keep the GIL, for 18 us at most with SHA instructions. Zen 4, two idle CPUs,
    # MB/s at 16 KiB a call, GIL released and held: two threads together 3100 and 1690, but one
    # thread beside a busy Python thread 7 and 830 (a GIL given up comes back after 5 ms). So it is
    # given up only where holding it would be felt. It costs 54 ns when nobody wants it.
    GIL_RELEASE_BYTES = 32768
    BATCH = 64  # buffers hash_many holds at once
    BATCH_BYTES = 16777216  # of a generator, once every lane has one


cdef void sha256_update_many(const ocf_sha256_lane *lanes, size_t n) noexcept nogil:
    ocf_sha256_update_many(lanes, n)


# ---- one stream ----

cdef int borrow(object data, Py_buffer *view) except -1:
    """Export `data` as one run of bytes; the caller releases `view`."""
    PyObject_GetBuffer(data, view, PyBUF_STRIDES)
    if not PyBuffer_IsContiguous(view, b"C"):
        PyBuffer_Release(view)
        raise BufferError("buffer is not C-contiguous")
    return 0


@cython.final
cdef class Sha256:
    """A SHA-256 computation with hashlib's methods, `state()` and `from_state()`.

    Threads may share an object: calls are serialised, as in hashlib, in no defined order.

    Example:
        >>> half = Sha256(b"a").state()
        >>> h = Sha256.from_state(half)
        >>> h.update(b"bc")
        >>> h.hexdigest()[:8]
        'ba7816bf'
    """

    def __cinit__(self, *args, **kwargs):
        require_kernel()
        ocf_sha256_init(&self.ctx)
        self.lock = PyThread_allocate_lock()
        if self.lock is NULL:
            raise MemoryError

    def __init__(self, data=b""):
        """Begin a new computation with `data`."""
        cdef bint locked = self.enter(False)
        ocf_sha256_init(&self.ctx)
        self.leave(locked)
        self.update(data)

    def __dealloc__(self):
        if self.lock is not NULL:
            PyThread_free_lock(self.lock)

    cdef bint enter(self, bint releases_gil) noexcept:
        """Keep other threads away until `leave`; returns what `leave` wants to know."""
        if not (releases_gil or self.busy or NO_GIL):
            return False  # the GIL is lock enough: 61 ns an empty update, not 85
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:  # its holder needs the GIL to go on
                PyThread_acquire_lock(self.lock, WAIT_LOCK)
        self.busy = True
        return True

    cdef void leave(self, bint locked) noexcept:
        if locked:
            self.busy = False
            PyThread_release_lock(self.lock)

    @property
    def name(self):
        """Always "sha256"."""
        return "sha256"

    @property
    def digest_size(self):
        """Bytes of a digest."""
        return 32

    @property
    def block_size(self):
        """Bytes of a block."""
        return 64

    def update(self, data, /):
        """Append `data`, any C-contiguous buffer."""
        cdef Py_buffer view
        borrow(data, &view)
        cdef bint large = view.len >= GIL_RELEASE_BYTES
        cdef bint locked = self.enter(large)
        if large:
            with nogil:
                ocf_sha256_update(&self.ctx, <const uint8_t *>view.buf, <size_t>view.len)
        else:
            ocf_sha256_update(&self.ctx, <const uint8_t *>view.buf, <size_t>view.len)
        self.leave(locked)
        PyBuffer_Release(&view)

    def digest(self):
        """Digest of everything so far; more may follow."""
        cdef uint8_t out[32]
        cdef bint locked = self.enter(False)
        ocf_sha256_final(&self.ctx, out)
        self.leave(locked)
        return PyBytes_FromStringAndSize(<char *>out, 32)

    def hexdigest(self):
        """`digest()` as 64 lower-case hex characters."""
        return self.digest().hex()

    def copy(self):
        """An independent object with the same state."""
        cdef Sha256 other = Sha256.__new__(Sha256)
        cdef bint locked = self.enter(False)
        other.ctx = self.ctx
        self.leave(locked)
        return other

    def state(self):
        """The computation so far in the 108 bytes of Go's crypto/sha256, for `from_state`."""
        cdef uint8_t out[OCF_SHA256_STATE]
        cdef bint locked = self.enter(False)
        ocf_sha256_store_state(&self.ctx, out)
        self.leave(locked)
        return PyBytes_FromStringAndSize(<char *>out, OCF_SHA256_STATE)

    @staticmethod
    def from_state(state, /):
        """Continue from `state()`.

        A state is trusted for what it says: whoever may write it decides the digest.

        Raises:
            FormatError: it is not a state this function's counterpart can have written.
        """
        cdef Py_buffer view
        cdef Sha256 self = Sha256.__new__(Sha256)
        cdef const char *refusal = NULL
        borrow(state, &view)
        cdef Py_ssize_t size = view.len
        if size == OCF_SHA256_STATE:
            refusal = ocf_sha256_load_state(&self.ctx, <const uint8_t *>view.buf)
        PyBuffer_Release(&view)
        if size != OCF_SHA256_STATE:
            raise FormatError(f"SHA-256 state: it has {size} bytes, not {OCF_SHA256_STATE}")
        if refusal is not NULL:
            raise FormatError(f"SHA-256 state: {refusal.decode()}")
        return self

    def __reduce__(self):
        return Sha256.from_state, (self.state(),)

    def __repr__(self):
        return f"<ocifast Sha256 after {self.ctx.length} bytes>"


# ---- many streams ----

@cython.final
cdef class _Batch:
    """Up to BATCH borrowed buffers; whatever it still holds is released when it dies."""

    cdef Py_buffer views[BATCH]
    cdef ocf_sha256 ctxs[BATCH]
    cdef ocf_sha256_lane lanes[BATCH]
    cdef uint8_t digests[BATCH][32]
    cdef size_t held
    cdef size_t size

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        while self.held:
            self.held -= 1
            PyBuffer_Release(&self.views[self.held])
        self.size = 0

    cdef int add(self, object data) except -1:
        cdef Py_buffer *view = &self.views[self.held]
        borrow(data, view)
        ocf_sha256_init(&self.ctxs[self.held])
        self.lanes[self.held].ctx = &self.ctxs[self.held]
        self.lanes[self.held].data = <const uint8_t *>view.buf
        self.lanes[self.held].size = <size_t>view.len
        self.held += 1
        self.size += <size_t>view.len
        return 0

    cdef void hash(self) noexcept nogil:
        ocf_sha256_update_many(self.lanes, self.held)
        ocf_sha256_final_many(self.ctxs, self.digests, self.held)

    cdef int flush(self, list out) except -1:
        cdef size_t i
        if self.size >= GIL_RELEASE_BYTES:
            with nogil:
                self.hash()
        else:
            self.hash()
        for i in range(self.held):
            out.append(PyBytes_FromStringAndSize(<char *>self.digests[i], 32))
        self.release()
        return 0


def hash_many(buffers, /):
    """Digests of many buffers, in order, interleaved on the calling thread.

    At most 64 buffers are held at a time; of an iterator that is not a list or tuple no more than
    16 MiB, or four buffers if those are larger. What it yields must stay unchanged meanwhile.

    Example:
        >>> [d.hex()[:8] for d in hash_many([b"abc", b""])]
        ['ba7816bf', 'e3b0c442']
    """
    require_kernel()
    cdef _Batch batch = _Batch()
    cdef list out = []
    cdef bint kept_alive = isinstance(buffers, (list, tuple))
    for data in buffers:
        batch.add(data)
        if batch.held == BATCH or (
            not kept_alive and batch.held >= OCF_SHA256_MAX_LANES and batch.size >= BATCH_BYTES
        ):
            batch.flush(out)
    batch.flush(out)
    return out


ocf_sha256_follow(kernel_in_use())
