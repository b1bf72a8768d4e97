# SHA-256 whose state can be taken out and put back, and many streams hashed at once on one core.
#
# Every argument that is data may be any C-contiguous buffer (else BufferError); it is borrowed for
# the call, never kept. Calls on 32 KiB and more release the GIL; all else holds it. The environment
# variable OCIFAST_SHA256_KERNEL (a name, or name:lanes) is read once, at import, and is a demand:
# KernelUnavailable when it cannot be met. Digests and states do not depend on kernel or lane width.

from collections.abc import Callable, Iterable
from typing import NamedTuple, final

from typing_extensions import Buffer

__pyx_capi__: dict[str, object]  # what sha256.pxd offers to compiled modules

# hashlib's shape. Threads may share an object: calls are serialised, in no defined order.
@final
class Sha256:
    def __init__(self, data: Buffer = b"") -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def digest_size(self) -> int: ...
    @property
    def block_size(self) -> int: ...
    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Sha256: ...
    # The 108 bytes of Go's crypto/sha256: "sha\x03", 8 x u32 BE, 64 bytes of tail then zeros, the
    # length as u64 BE. from_state raises FormatError for whatever state() cannot have written.
    def state(self) -> bytes: ...
    @staticmethod
    def from_state(state: Buffer, /) -> Sha256: ...
    def __reduce__(self) -> tuple[Callable[[Buffer], Sha256], tuple[bytes]]: ...

# Digests in order, interleaved on the calling thread. Holds at most 64 buffers at a time; of an
# iterator that is no list or tuple 16 MiB, or four buffers if those are larger. What it yields must
# stay unchanged until the next batch begins.
def hash_many(buffers: Iterable[Buffer], /) -> list[bytes]: ...

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
