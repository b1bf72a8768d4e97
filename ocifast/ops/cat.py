"""One file of a layer: through its TOC where it has one, else by way of its tar.

A seekable layer is read where the file lies. Any other is read twice: once whole, which verifies it
and finds the file, and once up to the end of the file. Invariant: nothing is given of a layer that
was not read to its end, and nothing of a chunk whose digest is wrong.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ocifast.errors import UnsupportedError
from ocifast.limits import DEFAULT_LIMITS, Limits
from ocifast.ops.hash import hash_layers
from ocifast.ops.seekable_layer import open_seekable
from ocifast.ops.tar_stream import pieces_of
from ocifast.tree.entry import Entry, EntryKind
from ocifast.tree.path import plain_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.engine import Engine
    from ocifast.formats.toc import TocEntry
    from ocifast.limits import Profile
    from ocifast.ops.seekable_layer import SeekableLayer

__all__ = ["read_file", "read_toc"]


def read_file(
    layer: str | os.PathLike[str],
    path: bytes,
    *,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
    engine: Engine | None = None,
) -> Iterator[bytes]:
    """Give the content of a file of a layer, piece by piece; of a hard link, that of its target.

    Raises:
        FileNotFoundError: No entry has that path.
        UnsupportedError: It is no regular file, or a sparse one.
        DigestMismatch: A chunk is not what the TOC says.
        OcifastError: The layer is malformed or refused.
        OSError: It cannot be read.
    """
    descriptor = os.open(layer, os.O_RDONLY | os.O_CLOEXEC)
    try:
        seekable = open_seekable(descriptor)
        if seekable is not None:
            yield from _by_toc(seekable, path)
        else:
            yield from _by_tar(descriptor, path, profile, limits, engine)
    finally:
        os.close(descriptor)


def read_toc(layer: str | os.PathLike[str]) -> tuple[TocEntry, ...]:
    """Give the entries of a layer as its table of contents has them; nothing else of it is read.

    Raises:
        UnsupportedError: It has no table of contents.
        OcifastError: That is malformed.
        OSError: It cannot be read.
    """
    descriptor = os.open(layer, os.O_RDONLY | os.O_CLOEXEC)
    try:
        seekable = open_seekable(descriptor)
    finally:
        os.close(descriptor)
    if seekable is None:
        raise UnsupportedError(f"{os.fspath(layer)} has no table of contents: list it without one")
    return seekable.entries


def _by_toc(seekable: SeekableLayer, path: bytes) -> Iterator[bytes]:
    entry = seekable.find(path)
    _check_kind(entry.kind, path)
    yield from seekable.read(entry)


def _by_tar(
    descriptor: int, path: bytes, profile: Profile, limits: Limits, engine: Engine | None
) -> Iterator[bytes]:
    (report,) = hash_layers([descriptor], profile=profile, limits=limits, engine=engine)
    # Of several entries of one path, which only compat reads, the last one counts.
    found = {plain_path(entry.path): entry for entry in report.table or ()}
    entry = found.get(plain_path(path))
    if entry is not None and entry.kind is EntryKind.HARDLINK:
        entry = found.get(plain_path(entry.link_target))
    if entry is None:
        raise FileNotFoundError(errno.ENOENT, "the layer holds no such path", os.fsdecode(path))
    _check_kind(entry.kind, path)
    if entry.is_sparse:
        raise UnsupportedError(f"{entry.name!r} is sparse: unpack the layer to read it")
    yield from _payload(descriptor, entry, limits, profile)


def _check_kind(kind: EntryKind, path: bytes) -> None:
    if kind is not EntryKind.FILE:
        raise UnsupportedError(f"{os.fsdecode(path)!r} is a {kind.value}, and has no content")


def _payload(descriptor: int, entry: Entry, limits: Limits, profile: Profile) -> Iterator[bytes]:
    at, start, end = 0, entry.payload_offset, entry.payload_offset + entry.size
    for piece in pieces_of(descriptor, limits, profile):
        wanted = piece[max(start - at, 0) : max(end - at, 0)]
        if wanted:
            yield bytes(wanted)
        at += len(piece)
        if at >= end:
            return
