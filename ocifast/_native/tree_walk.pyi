from collections.abc import Callable
from typing import final

from ocifast._native.tar import HeapBytes

@final
class Walk: ...

def walk(
    root: int, keep: Callable[[bytes, bool], bool] | None = None, *, xattrs: bool = True
) -> tuple[HeapBytes, HeapBytes, list[bytes]]: ...
