"""Where the blobs of a run are: made ones in a store, kept ones perhaps still in their source.

It decides nothing of images. Invariant: nothing of the input is copied to be read again; a blob
that is kept for an archive is copied once, from where it lies.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ocifast.transports.base import Location
    from ocifast.transports.blob_store import BlobStore, PendingBlob

__all__ = ["BlobPlaces", "digest_at"]

WAYS: Final = {
    "present": "present",
    "reflink": "reflinked",
    "hardlink": "hardlinked",
    "copied": "copied",
}


class BlobPlaces:
    """The blobs of a run: those made by it lie in a store, those kept may lie in their source.

    With `linking`, kept blobs are taken over into the store.
    """

    def __init__(self, store: BlobStore, *, linking: bool) -> None:
        self.store = store
        self.root = store.root
        self._linking = linking
        self._kept: dict[str, Location] = {}

    def pending(self) -> PendingBlob:
        """Begin a blob."""
        return self.store.pending()

    def publish(self, pending: PendingBlob, digest: str, size: int) -> None:
        """Give a written blob its name."""
        self.store.publish(pending, digest, size)

    def has(self, digest: str, size: int) -> bool:
        """Whether the store has a blob."""
        return self.store.has(digest, size)

    def keep(self, location: Location, digest: str, size: int) -> str:
        """Take a verified blob as it is, and say how."""
        if self._linking:
            return WAYS[self.store.link(location, digest, size)]
        self._kept[digest] = location
        return "copied"

    def locate(self, digest: str) -> Location:
        """Say where a blob of the run is. Raises OSError when there is none."""
        return self._kept.get(digest) or self.store.locate(digest)


def digest_at(location: Location, algorithm: str) -> str:
    """The digest of what lies somewhere. Raises OSError."""
    assert location.open is not None
    hasher = hashlib.new(algorithm)
    descriptor = location.open()
    try:
        at, end = location.offset, location.offset + location.size
        while at < end:
            piece = os.pread(descriptor, min(end - at, 1 << 20), at)
            if not piece:
                break
            hasher.update(piece)
            at += len(piece)
    finally:
        os.close(descriptor)
    return f"{algorithm}:{hasher.hexdigest()}"
