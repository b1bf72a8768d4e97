from typing import Final, Literal, final

from _typeshed import ReadableBuffer

from ocifast._native.tree_meta import Metadata

MARK_THERE: Final[int]
MARK_OPAQUE: Final[int]
MARK_HIDES: Final[int]
MARK_STAYS: Final[int]
MARK_HELD: Final[int]
MARK_NOT: Final[int]

@final
class Placement:
    def __init__(
        self,
        rows: ReadableBuffer,
        heap: ReadableBuffer,
        source: ReadableBuffer,
        contents: list[tuple[int, ReadableBuffer, ReadableBuffer, ReadableBuffer]],
        root: int,
        *,
        devices: Literal["create", "record", "deny"] = "create",
        marks: bytes = b"",
        opaque: bytes = b"",
    ) -> None: ...
    @property
    def recorded(self) -> int: ...
    def folders(self, metadata: Metadata) -> None: ...
    def rest(self, metadata: Metadata, first: int, last: int) -> None: ...
    def links(self, metadata: Metadata) -> None: ...
    def metadata(self, metadata: Metadata) -> None: ...
    def hold(self, metadata: Metadata, which: bytes, into: int) -> None: ...
    def remove(self, metadata: Metadata, which: bytes) -> None: ...

def set_metadata(
    descriptor: int, rows: ReadableBuffer, heap: ReadableBuffer, index: int, metadata: Metadata
) -> None: ...
def remove_tree(folder: int, name: bytes) -> None: ...
def exchange(folder: int, name: bytes, other: int, other_name: bytes) -> None: ...
def sync_file_system(descriptor: int) -> None: ...
