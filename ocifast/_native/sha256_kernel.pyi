# Kernels of SHA-256: what there is, how fast it is on this machine, and which one is in use.
#
# Chosen once, when this module is imported, by measuring. OCIFAST_SHA256_KERNEL (a name, or
# name:lanes) is a demand. When it cannot be met the import still succeeds, so that somebody can
# report it, and then kernel(), set_kernel() and all hashing in ocifast._native.sha256 raise
# KernelUnavailable every time; only set_kernel with a name lifts it. kernels() always answers.

from typing import NamedTuple

__pyx_capi__: dict[str, object]  # what sha256_kernel.pxd offers to compiled modules

# `reason` says why it is not available. `lanes` are the widths in use, or worth using: each is
# faster than all narrower ones. `mb_per_s` is the measured speed by width, over all lanes.
class Kernel(NamedTuple):
    name: str
    available: bool
    reason: str
    lanes: tuple[int, ...]
    mb_per_s: dict[int, float]

# All kernels in order of id, the portable reference first; then the one in use.
def kernels() -> tuple[Kernel, ...]: ...
def kernel() -> Kernel: ...

# For tests and benches: the whole process uses `name` from now on; None: the fastest. `lanes` asks
# for exactly that width (and 1, for what is left over) instead of the winning ones.
def set_kernel(name: str | None = None, /, lanes: int | None = None) -> Kernel: ...
