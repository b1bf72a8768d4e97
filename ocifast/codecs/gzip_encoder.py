"""gzip for writing: a member for each block of input, made by libdeflate.

Members are independent, so any number of threads gives the same bytes, and a reader may start at
any of them. Invariant: a member's header is what libdeflate writes: no name, no time, system
unknown; only its "extra flags" byte tells fast from thorough levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.codecs.base import import_backend
from ocifast.codecs.block_encoder import BlockEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["open_gzip_encoder"]


def open_gzip_encoder(
    level: int, block_size: int, threads: int, wake: Callable[[], object] | None
) -> BlockEncoder:
    """Make an encoder; `level` is libdeflate's, 1 to 12.

    Raises:
        KernelUnavailable: The package `deflate` is not installed.
    """
    compress = import_backend(("deflate",), None).gzip_compress

    def squeeze(block: memoryview, _is_last: bool) -> bytes:  # noqa: FBT001 - by position
        member: bytes = compress(block, level)
        return member

    return BlockEncoder(squeeze, block_size, threads, wake)
