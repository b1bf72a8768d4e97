from collections.abc import Callable
from typing import final

from _typeshed import ReadableBuffer

from ocifast._native.tar import HeapBytes

@final
class Walk: ...

def walk(
    root: int, keep: Callable[[bytes, bool], bool] | None = None, *, xattrs: bool = True
) -> tuple[HeapBytes, HeapBytes, list[bytes]]: ...
def add_xattrs(
    root: int, rows: ReadableBuffer, heap: ReadableBuffer, which: ReadableBuffer
) -> tuple[HeapBytes, HeapBytes]: ...
