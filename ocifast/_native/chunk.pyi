from typing import Final, final

from _typeshed import ReadableBuffer

CHUNK_MAX_BYTES: Final[int]

@final
class Chunker:
    def begin(self) -> None: ...
    def borders(self, data: ReadableBuffer) -> list[int]: ...

def crc64(data: ReadableBuffer, value: int = 0) -> int: ...
