"""Buffers of native code as numpy columns, without a copy.

numpy is imported when the first column is made, not before. Invariant: a column borrows its buffer
and can be written to when that can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer

    Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

__all__ = ["column"]


def column(buffer: ReadableBuffer, dtype: str, width: int = 0) -> Array:
    """View a buffer as numbers of a type, `width` of them a row if it is given.

    Example:
        >>> column(bytes(8), "u2", 2).tolist()
        [[0, 0], [0, 0]]
    """
    import numpy as np

    found: Array = np.frombuffer(memoryview(buffer).cast("B"), dtype=np.dtype(dtype))
    return found.reshape(-1, width) if width else found
