from typing import final

from _typeshed import ReadableBuffer

from ocifast._native.tar import HeapBytes, TarParser

@final
class ContentDigests:
    def __init__(self, parser: TarParser) -> None: ...
    def feed(self, piece: ReadableBuffer) -> None: ...
    def take(self) -> HeapBytes: ...
