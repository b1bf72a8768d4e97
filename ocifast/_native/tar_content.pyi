from typing import final

from _typeshed import ReadableBuffer

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import HeapBytes, TarParser

@final
class ContentDigests:
    def __init__(self, parser: TarParser, everything: Sha256 | None = None) -> None: ...
    def feed(self, piece: ReadableBuffer) -> None: ...
    def take(self) -> HeapBytes: ...
