"""The pass over a blob that is no layer: its digest, and a copy where one is wanted.

A task of the engine, for what artifacts carry. Invariant: nothing of the blob is interpreted.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ocifast.errors import TarError
from ocifast.ops.convert_pass import ConvertPass

__all__ = ["BlobPass"]

OCTETS = "application/octet-stream"


class BlobPass(ConvertPass):
    """Hash one blob; the report is that of `ConvertPass`, with the digest for a diff_id."""

    def _begin(self, head: memoryview) -> None:
        """Whatever it is, it is not looked into."""

    def _take_tar(self, slot: int, tar: memoryview) -> None:
        """There is no tar in it."""

    def _check_size(self, size: int, *, final: bool) -> None:
        with contextlib.suppress(TarError):  # an empty blob is one, an empty layer is not
            super()._check_size(size, final=final)

    def _end(self) -> None:
        self._done = True
        self._check_size(self._size, final=True)
        self._reader.close()

    def result(self) -> tuple[dict[str, Any], list[int]]:
        """Give the report."""
        try:
            digest = self._close_lanes()[self._blob_lane]
            self._expectation.check_digest(digest)
            read = {
                "digest": digest,
                "diff_id": digest,
                "size": self._size,
                "uncompressed_size": self._size,
                "media_type": OCTETS,
                "entries": 0,
                "finding_count": 0,
                "findings": [],
            }
            return {"read": read, "written": self._report(read)}, []
        finally:
            self._close()
