from typing import Final

from _typeshed import ReadableBuffer, WriteableBuffer

from ocifast._native.tar import HeapBytes

TYPE: Final[int]
MODE: Final[int]
OWNER: Final[int]
SIZE: Final[int]
MTIME: Final[int]
LINK: Final[int]
DEVICE: Final[int]
XATTRS: Final[int]
LINKS: Final[int]
CONTENT: Final[int]
UNREAD: Final[int]

def join(
    rows_a: ReadableBuffer,
    heap_a: ReadableBuffer,
    digests_a: ReadableBuffer | None,
    rows_b: ReadableBuffer,
    heap_b: ReadableBuffer,
    digests_b: ReadableBuffer | None,
) -> tuple[HeapBytes, HeapBytes, HeapBytes]: ...
def kinship(rows: ReadableBuffer, heap: ReadableBuffer) -> tuple[bytes, bytes]: ...
def sum_up(parents: ReadableBuffer, values: WriteableBuffer) -> None: ...
def spread_down(parents: ReadableBuffer, flags: WriteableBuffer) -> None: ...
