from typing import final

from _typeshed import ReadableBuffer

@final
class Content: ...

# `which` and `pairs` are u32 in native order, in any shape without gaps. Both functions let go of
# the GIL, and may run in several threads at once; only in the main one a signal interrupts them.
def digests(
    root: int, rows: ReadableBuffer, heap: ReadableBuffer, which: ReadableBuffer
) -> bytes: ...

# One byte a pair. An error about a file has a note: "in the first folder", "in the second folder".
def differing(
    root_a: int,
    rows_a: ReadableBuffer,
    heap_a: ReadableBuffer,
    root_b: int,
    rows_b: ReadableBuffer,
    heap_b: ReadableBuffer,
    pairs: ReadableBuffer,
    *,
    xattrs: bool = False,
) -> bytes: ...
