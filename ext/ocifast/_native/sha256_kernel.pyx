"""Kernels of SHA-256: what there is, how fast it is on this machine, and which one is in use.

Not hashing: sha256 is. The choice is made once, when this module is imported, by measuring.
`OCIFAST_SHA256_KERNEL` (a name, or name:lanes) is a demand: while it cannot be met, whatever would
use a kernel raises KernelUnavailable. Invariant: one choice holds for the whole process.
"""

import os
from typing import NamedTuple

from ocifast.errors import KernelUnavailable


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
cdef tuple refusal = None  # what KernelUnavailable says of a demand that is not met


cdef const ocf_sha256_choice *kernel_in_use() noexcept nogil:
    return ocf_sha256_in_use()


cdef int require_kernel() except -1:
    if refusal is not None:
        raise KernelUnavailable(*refusal)
    return 0


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
    """The kernel in use, and the lane widths in use.

    Raises:
        KernelUnavailable: the environment demands one that cannot be used.
    """
    require_kernel()
    return describe(ocf_sha256_chosen(), ocf_sha256_chosen_widths())


def set_kernel(name=None, /, lanes=None):
    """Use kernel `name` from now on in the whole process, for tests and benches; None: the fastest.

    `lanes` asks for exactly that width (and 1, for what is left over) instead of the winning ones.
    A name lifts what the environment demands; None does not when the demand is unmet.

    Raises:
        KernelUnavailable: unknown, not built for this machine, this CPU lacks it, or no such width.
    """
    global refusal
    cdef int id
    if name is None:
        require_kernel()
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
    refusal = None
    return kernel()


cdef int calibrate() except -1:
    """Measure, then take what OCIFAST_SHA256_KERNEL demands, or else the fastest."""
    global fastest, refusal
    ocf_sha256_measure(measured)
    fastest = max(range(OCF_SHA256_KERNELS), key=lambda row: max(measured[row]))
    demand = os.environ.get("OCIFAST_SHA256_KERNEL")
    if demand is None:
        set_kernel()
        return 0
    name, colon, lanes = demand.partition(":")
    by_text = {str(w): w for w in range(1, OCF_SHA256_MAX_LANES + 1)}
    try:
        set_kernel(name, by_text.get(lanes, lanes) if colon else None)
    except KernelUnavailable as error:  # not now: an import that fails leaves nobody to report it
        refusal = error.args
    return 0


calibrate()
