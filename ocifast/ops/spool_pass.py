"""The one pass over a layer that will be read again: `HashPass`, and the tar goes to a file.

A task of the engine. Writing a tar to a file that is never synced costs a fourth of inflating it
once more. Invariant: it only writes to the descriptor it was given, and a layer that is not
compressed is not written at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ocifast.ops.hash_pass import HashPass
from ocifast.transports.pending_file import OUTPUT, named, write_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast._native.arena import Arena
    from ocifast.ops.source import Reader

__all__ = ["SpoolPass"]


class SpoolPass(HashPass):
    """Verify one layer; `source` is (what to read, descriptor to write), both closed here.

    Besides what `HashPass` takes, the spec has ``spool``: whether it is written at all.
    """

    def __init__(
        self, spec: Mapping[str, Any], source: tuple[int | Reader, int], arena: Arena
    ) -> None:
        reader, self._out = source
        self._spool: bool = spec["spool"]
        try:
            super().__init__(spec, reader, arena)
        except BaseException:
            self._close()
            raise

    def _take_tar(self, slot: int, tar: memoryview) -> None:
        super()._take_tar(slot, tar)
        if self._spool and self._decoder is not None:
            with named(OUTPUT):
                write_all(self._out, tar)

    def result(self) -> tuple[dict[str, Any], list[int]]:
        """Give the report; what was written is whole then."""
        self._close()
        return super().result()

    def abandon(self) -> bool:
        """Give everything back; False while a lane is still being hashed by another worker."""
        self._close()
        return super().abandon()

    def _close(self) -> None:
        if self._out >= 0:
            out, self._out = self._out, -1
            os.close(out)
