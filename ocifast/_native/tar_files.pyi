from typing import final

from _typeshed import ReadableBuffer

from ocifast._native.tar import TarParser
from ocifast._native.tree_meta import Metadata

@final
class FileCutter:
    def __init__(self, parser: TarParser) -> None: ...
    def cut(self, size: int) -> bytes: ...

@final
class FileWriter:
    def __init__(self, folder: int, metadata: Metadata) -> None: ...
    @property
    def written(self) -> int: ...
    def write(self, parts: bytes, piece: ReadableBuffer) -> None: ...
