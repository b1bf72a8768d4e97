from typing import final

from _typeshed import ReadableBuffer

from ocifast._native.tar import HeapBytes
from ocifast.limits import Limits

@final
class TreeMerge:
    def __init__(self, limits: Limits) -> None: ...
    def apply(
        self, rows: ReadableBuffer, heap: ReadableBuffer, *, as_entries: bool = False
    ) -> None: ...
    @property
    def unmatched(self) -> int: ...
    @property
    def dangling(self) -> int: ...
    def take(self) -> tuple[HeapBytes, HeapBytes, HeapBytes]: ...
