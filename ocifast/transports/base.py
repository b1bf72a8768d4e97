"""What a transport gives: images as values, and where their bytes lie.

Two questions are kept apart. *Files* says where named bytes are kept: in a folder, or in a tar
archive whose member table somebody else has made. A transport says what the names mean: an OCI
layout, the output of `docker save`, a skopeo `dir:`. Invariant: a name that comes out of a document
is only ever looked up among the files; it never becomes a path on disk (hardening D01).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocifast.spec.config import ImageConfig
    from ocifast.spec.descriptor import Descriptor
    from ocifast.spec.digest import Digest
    from ocifast.spec.index import Index
    from ocifast.spec.manifest import Manifest

__all__ = ["Files", "Image", "ImageIndex", "Location", "Opaque", "Stored", "StoredLayer"]


class Location(NamedTuple):
    """A window of bytes in something that can be opened.

    `open` gives a new descriptor, which belongs to the caller, for a regular file; the bytes are
    `size` bytes from `offset` on. It is None when the bytes can only be met on the way through a
    stream (a compressed archive, a pipe); `offset` then counts bytes of the uncompressed stream,
    and `head` holds the first of the bytes, if they were looked at.
    """

    open: Callable[[], int] | None
    offset: int
    size: int
    head: bytes = b""


class Files(Protocol):
    """Named bytes; names are relative, '/'-separated, without '.' and '..' components."""

    path: str
    """What a person calls it, for messages."""
    findings: list[str]
    """Sentences about oddities that were tolerated so far."""

    def names(self) -> Iterator[str]:
        """All names of regular files, in no promised order."""

    def find(self, name: str) -> Location | None:
        """Say where the bytes of a file are; None when there is none.

        Raises:
            StoreError: It is no regular file, or its name is refused.
        """

    def locate(self, name: str) -> Location:
        """Say where the bytes of a file are.

        Raises:
            StoreError: There is none, it is no regular file, or its name is refused.
        """

    def read(self, name: str, limit: int) -> bytes:
        """Read a small file whole.

        Raises:
            StoreError: As `locate`, or it holds more than `limit` bytes.
        """


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer where it lies.

    `descriptor` is what is promised of the bytes as stored; its digest is None where only reading
    will tell (the plain layers of a docker-archive: only their diff_id is promised, by the config).
    `location` is None when the store does not hold the blob. `name` is its name in the store.
    """

    name: str
    descriptor: Descriptor
    diff_id: Digest | None
    location: Location | None


@dataclass(frozen=True, slots=True)
class Image:
    """One manifest with its config, and its layers from the base up.

    `manifest` is None for `docker save` archives, which have none. `config` is None when the config
    is not one of a runnable image (an artifact, an attestation): its bytes are `config_raw` all the
    same, and its layers are blobs to copy, not tars. `names` are the names it has in its store.
    `descriptor` is the one in the index it was found in, with platform and annotations.
    """

    store: str
    names: tuple[str, ...]
    manifest: Manifest | None
    config_descriptor: Descriptor
    config_raw: bytes
    config: ImageConfig | None
    layers: tuple[StoredLayer, ...]
    descriptor: Descriptor | None = None
    findings: tuple[str, ...] = field(default=(), compare=False)
    """Sentences about oddities that were tolerated while it was looked up."""
    legacy: tuple[bytes, ...] = field(default=(), repr=False)
    """Of archives of Docker before 1.10: the JSON of each layer, from the base up. Such an image
    has no config; `config` is made of these without diff_ids, to be made anew once they are known.
    """


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """An index and what it names, in its order; `names` are the names it has in its store."""

    store: str
    names: tuple[str, ...]
    index: Index
    children: tuple[Stored, ...]
    descriptor: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something an index names that is copied, not understood, or is not there.

    `location` is None when the store does not hold it (an index may name platforms that were not
    saved with it).
    """

    store: str
    names: tuple[str, ...]
    descriptor: Descriptor
    location: Location | None


Stored: TypeAlias = Image | ImageIndex | Opaque
