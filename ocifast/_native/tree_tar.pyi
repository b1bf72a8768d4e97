from typing import final

from _typeshed import ReadableBuffer, WriteableBuffer

__pyx_capi__: dict[str, object]  # what tree_tar.pxd offers to compiled modules

@final
class TreeTar:
    def __init__(
        self, rows: ReadableBuffer, heap: ReadableBuffer, root: int, *, prefix: bytes = b""
    ) -> None: ...
    @property
    def size(self) -> int: ...
    def readinto(self, out: WriteableBuffer) -> int: ...
    def close(self) -> None: ...

def entry_headers(rows: ReadableBuffer, heap: ReadableBuffer, index: int) -> bytes: ...
