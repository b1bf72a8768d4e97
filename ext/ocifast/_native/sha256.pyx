"""SHA-256 whose state can be taken out and put back, and many streams hashed at once on one core.

Not a table of hash algorithms: hashlib is. The kernel is chosen once, when this module is imported,
by measuring; `OCIFAST_SHA256_KERNEL` (a name, or name:lanes) is a demand and fails the import when
it cannot be met. Invariant: digests and states do not depend on the kernel or the lane width.
"""

import os
from typing import NamedTuple

from ocifast.errors import FormatError, KernelUnavailable

cimport cython
from cpython.buffer cimport (
    PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.pythread cimport (
    NOWAIT_LOCK, WAIT_LOCK,
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
)

# Functions are declared here and not in the .pxd, so that nobody links the kernels a second time.
cdef extern from "sha256.h" nogil:
    enum:
        OCF_SHA256_KERNELS, OCF_SHA256_MAX_LANES
        OCF_SHA256_USABLE, OCF_SHA256_NOT_BUILT

    ctypedef struct ocf_sha256_kernel:
        const char *name
        const char *needs
        void *compress[5]

    ctypedef double ocf_sha256_speeds[3][5]

    void ocf_sha256_init(ocf_sha256 *ctx)
    void ocf_sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size)
    void ocf_sha256_final(const ocf_sha256 *ctx, uint8_t *out)
    void ocf_sha256_update_many(const ocf_sha256_lane *lanes, size_t n)
    void ocf_sha256_store_state(const ocf_sha256 *ctx, uint8_t *out)
    const char *ocf_sha256_load_state(ocf_sha256 *ctx, const uint8_t *state)
    void ocf_sha256_final_many(const ocf_sha256 *ctxs, uint8_t (*out)[32], size_t n)
    const ocf_sha256_kernel *ocf_sha256_kernel_at(int id)
    int ocf_sha256_kernel_status(int id)
    void ocf_sha256_measure(ocf_sha256_speeds speeds)
    unsigned ocf_sha256_winning_widths(const double *speeds)
    int ocf_sha256_choose(int id, unsigned widths)
    int ocf_sha256_chosen()
    unsigned ocf_sha256_chosen_widths()

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define OCF_NO_GIL 1
    #else
    #define OCF_NO_GIL 0
    #endif
    """
    enum:
        NO_GIL "OCF_NO_GIL"

cdef enum:
    # Smaller calls keep the GIL, for 18 us at most with SHA instructions. Zen 4, two idle CPUs,
    # MB/s at 16 KiB a call, GIL released and held: two threads together 3100 and 1690, but one
    # thread beside a busy Python thread 7 and 830 (a GIL given up comes back after 5 ms). So it is
    # given up only where holding it would be felt. It costs 54 ns when nobody wants it.
    GIL_RELEASE_BYTES = 32768
    BATCH = 64  # buffers hash_many holds at once
    BATCH_BYTES = 16777216  # of a generator, once every lane has one


cdef void sha256_init(ocf_sha256 *ctx) noexcept nogil:
    ocf_sha256_init(ctx)


cdef void sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size) noexcept nogil:
    ocf_sha256_update(ctx, data, size)


cdef void sha256_final(const ocf_sha256 *ctx, uint8_t *out) noexcept nogil:
    ocf_sha256_final(ctx, out)


cdef void sha256_update_many(const ocf_sha256_lane *lanes, size_t n) noexcept nogil:
    ocf_sha256_update_many(lanes, n)


cdef void sha256_store_state(const ocf_sha256 *ctx, uint8_t *out) noexcept nogil:
    ocf_sha256_store_state(ctx, out)


cdef const char *sha256_load_state(ocf_sha256 *ctx, const uint8_t *state) noexcept nogil:
    return ocf_sha256_load_state(ctx, state)


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
        sha256_store_state(&self.ctx, out)
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
            refusal = sha256_load_state(&self.ctx, <const uint8_t *>view.buf)
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


# ---- kernels ----

class Kernel(NamedTuple):
    """One implementation, and how it does on this machine.

    `reason` says why it is not available. `lanes` are the lane widths in use, or worth using: each
    is faster than all narrower ones. `mb_per_s` is the measured speed by width, over all lanes.
    """

    name: str
    available: bool
    reason: str
    lanes: tuple[int, ...]
    mb_per_s: dict[int, float]


cdef ocf_sha256_speeds measured
cdef int fastest = 0


cdef tuple widths_of(unsigned bits):
    return tuple([w for w in range(1, OCF_SHA256_MAX_LANES + 1) if bits >> w & 1])


cdef object describe(int id, unsigned widths):
    cdef const ocf_sha256_kernel *it = ocf_sha256_kernel_at(id)
    cdef int status = ocf_sha256_kernel_status(id)
    if status == OCF_SHA256_USABLE:
        speeds = {w: measured[id][w] for w in range(1, OCF_SHA256_MAX_LANES + 1)
                  if it.compress[w] is not NULL}
        return Kernel(it.name.decode(), True, "", widths_of(widths), speeds)
    needs = it.needs.decode()
    reason = f"not built here: it is for {needs}" if status == OCF_SHA256_NOT_BUILT else (
        f"this CPU cannot run it: it needs {needs}")
    return Kernel(it.name.decode(), False, reason, (), {})


def kernels():
    """All kernels of ocifast in order of id, the portable reference first."""
    return tuple([describe(id, ocf_sha256_winning_widths(measured[id]))
                  for id in range(OCF_SHA256_KERNELS)])


def kernel():
    """The kernel in use, and the lane widths in use."""
    return describe(ocf_sha256_chosen(), ocf_sha256_chosen_widths())


def set_kernel(name=None, /, lanes=None):
    """Use kernel `name` from now on in the whole process, for tests and benches; None: the fastest.

    `lanes` asks for exactly that width (and 1, for what is left over) instead of the winning ones.

    Raises:
        KernelUnavailable: unknown, not built for this machine, this CPU lacks it, or no such width.
    """
    cdef int id
    table = kernels()
    names = [it.name for it in table]
    valid = ", ".join([it.name for it in table if it.available])
    if name is not None and name not in names:
        raise KernelUnavailable(name, "there is no kernel of that name", valid)
    id = fastest if name is None else names.index(name)
    if not table[id].available:
        raise KernelUnavailable(name, table[id].reason, valid)
    if lanes is not None and lanes not in table[id].mb_per_s:
        widths = ", ".join([f"{names[id]}:{w}" for w in table[id].mb_per_s])
        raise KernelUnavailable(f"{names[id]}:{lanes}", "it has no such lane width", widths)
    ocf_sha256_choose(
        id, ocf_sha256_winning_widths(measured[id]) if lanes is None else <unsigned>(1 << lanes))
    return kernel()


cdef int calibrate() except -1:
    """Measure, then take what OCIFAST_SHA256_KERNEL demands, or else the fastest."""
    global fastest
    ocf_sha256_measure(measured)
    fastest = max(range(OCF_SHA256_KERNELS), key=lambda row: max(measured[row]))
    demand = os.environ.get("OCIFAST_SHA256_KERNEL")
    if demand is None:
        set_kernel()
        return 0
    name, _, lanes = demand.partition(":")
    set_kernel(name, int(lanes) if lanes.isdigit() else lanes or None)
    return 0


calibrate()
