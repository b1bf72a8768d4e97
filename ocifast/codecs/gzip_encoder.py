"""gzip for writing: a member for each block of input, made by libdeflate.

Members are independent, so any number of threads gives the same bytes, and a reader may start at
any of them. Invariant: a member's header is what libdeflate writes: no name, no time, system
unknown; only its "extra flags" byte tells fast from thorough levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.codecs.base import import_backend
from ocifast.codecs.block_encoder import BlockEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["open_gzip_encoder"]

IN_TURN: Final[dict[int, tuple[int, ...]]] = {2: (3, 1, 3, 1, 3)}
"""Levels that are made of others of libdeflate's, block after block. Its own level 2 saves 7 % of
level 3's time and makes 1.3 % more of it; taking level 1 for two blocks of five saves 15 % for 2.0
%. To choose the blocks by how a sample of each does with both levels costs the time it wins.
"""


def open_gzip_encoder(
    level: int, block_size: int, threads: int, wake: Callable[[], object] | None
) -> BlockEncoder:
    """Make an encoder; `level` is libdeflate's, 1 to 12, but for those `IN_TURN`.

    Raises:
        KernelUnavailable: The package `deflate` is not installed.
    """
    compress = import_backend(("deflate",), None).gzip_compress
    levels = IN_TURN.get(level, (level,))

    def squeeze(block: memoryview, number: int, _is_last: bool) -> bytes:  # noqa: FBT001
        member: bytes = compress(block, levels[number % len(levels)])
        return member

    return BlockEncoder(squeeze, block_size, threads, wake)
