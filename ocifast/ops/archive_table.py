"""The table of an archive's members: by its headers alone, or on one way through a stream.

A plain file that can be read at random is looked at header by header, so its size does not matter.
A compressed one, or a pipe, is read to its end, and the documents met there are kept. *Invariant:*
nothing of an archive is ever written to disk, and what is kept of it is bounded.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocifast._native.tar import TarParser
from ocifast.codecs import SNIFF_BYTES, sniff
from ocifast.errors import StoreError
from ocifast.formats.tar import EntryTable
from ocifast.limits import DEFAULT_LIMITS
from ocifast.ops.archive_stream import ARCHIVE_BYTES, ArchiveStream, has_end
from ocifast.ops.source import DescriptorReader
from ocifast.transports.archive import ArchiveFiles, Member
from ocifast.tree.entry import EntryKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.limits import Limits, Profile
    from ocifast.ops.archive_stream import MemberReader
    from ocifast.tree.entry import Entry

    Meet = Callable[[Member, MemberReader], object]

__all__ = ["CUT_SHORT", "open_archive"]

CUT_SHORT: Final = "the archive has no end, as if it had been cut short"
"""The finding about one that ends behind a whole member; inside of one is an error."""

MEMBERS: Final = 200_000
"""Of one archive; an image of a thousand layers has some three thousand."""
DOCUMENT_BYTES: Final = 8 << 20
KEPT_BYTES: Final = 64 << 20
"""Documents of a stream, together."""
BLOCK_BYTES: Final = 512
HEADER_BYTES: Final = 4096
"""Read at once: headers come in groups, a folder or an extension before a file."""
TEXTS: Final = ("VERSION", "oci-layout", "repositories", "json")
OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC

_KINDS: Final = {
    EntryKind.FILE: "file",
    EntryKind.DIRECTORY: "folder",
    EntryKind.SYMLINK: "symlink",
    EntryKind.HARDLINK: "hardlink",
}


def open_archive(
    path: str,
    *,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
    meet: Meet | None = None,
    once: bool = False,
) -> ArchiveFiles:
    """Look at an archive; `-` is standard input.

    `meet` is shown the files of one that can be read only once, as they come by; with `once`, also
    those of one that is compressed, which would have to be decompressed again.

    Raises:
        OSError: It cannot be read.
        TarError, CompressedDataError: It is malformed, or refused by the profile.
        LimitExceeded: It has more members than are read, or a cap of `limits` was reached.
        UnknownCodec: It is compressed with something that is not read here.
    """
    limits = replace(limits, entries=min(limits.entries, MEMBERS), output_bytes=ARCHIVE_BYTES)
    descriptor = os.dup(0) if path == "-" else os.open(path, OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _stream(path, descriptor, profile, limits, meet)
        head = os.pread(descriptor, SNIFF_BYTES, 0)
        if sniff(head) != "identity":
            return _stream(path, descriptor, profile, limits, meet if once else None)
        name = "/proc/self/fd/0" if path == "-" else os.path.abspath(path)
        reopen = functools.partial(_reopen, name, path, _identity(status))
        members, ended = _scan(descriptor, status.st_size, profile, limits)
        return _ended(ArchiveFiles(path, members, open=reopen, profile=profile), ended=ended)
    finally:
        os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _reopen(absolute: str, path: str, identity: tuple[int, ...]) -> int:
    """Open the archive again, if it is still the one whose table was made."""
    descriptor = os.open(absolute, OPEN_FLAGS | os.O_NONBLOCK)
    if _identity(os.fstat(descriptor)) == identity:
        return descriptor
    os.close(descriptor)
    raise StoreError(path, "", "the archive changed while it was in use")


def _ended(files: ArchiveFiles, *, ended: bool) -> ArchiveFiles:
    if not ended:
        files.findings.append(CUT_SHORT)
    return files


def _scan(
    descriptor: int, size: int, profile: Profile, limits: Limits
) -> tuple[list[Member], bool]:
    """Read the headers, pass over what is between them, and say whether there is an end."""
    parser = TarParser(limits, strict=profile == "strict")
    at = 0
    window = memoryview(b"")
    start = 0
    while at < size:
        if not start <= at < start + len(window):
            window, start = memoryview(os.pread(descriptor, HEADER_BYTES, at)), at
            if not window:
                break  # cut shorter just now
        block = window[at - start : at - start + BLOCK_BYTES]
        if len(block) < BLOCK_BYTES and at + len(block) < size:
            window = memoryview(b"")
            continue
        parser.feed(block)
        at += len(block)
        left = parser.payload_left
        if left:
            passed = min(left, size - at)
            parser.skip(passed)
            at += passed
    parser.finish()
    members = [member_of(entry) for entry in EntryTable(*parser.take_table())]
    return members, has_end(parser)


def member_of(entry: Entry) -> Member:
    """Say of an entry what the transports need to know."""
    kind = "sparse" if entry.regions is not None else _KINDS.get(entry.kind, "other")
    return Member(
        os.fsdecode(entry.path),
        kind,  # type: ignore[arg-type]
        entry.payload_offset,
        entry.size,
        os.fsdecode(entry.link_target),
    )


def _stream(
    path: str, descriptor: int, profile: Profile, limits: Limits, meet: Meet | None
) -> ArchiveFiles:
    """Read an archive to its end, and keep the documents."""
    reader = DescriptorReader(os.dup(descriptor))
    with contextlib.closing(ArchiveStream(reader, limits, profile)) as stream:
        return read_stream(path, stream, profile, meet or (lambda *_: None))


def read_stream(
    path: str,
    stream: ArchiveStream,
    profile: Profile,
    meet: Meet,
) -> ArchiveFiles:
    """Read an archive to its end, keep the documents, and show the other files to `meet`."""
    members: list[Member] = []
    kept: dict[str, bytes] = {}
    for entry, reader in stream:
        member = member_of(entry)
        if member.kind == "file":
            member = member._replace(head=reader.peek(SNIFF_BYTES))
        members.append(member)
        if member.kind != "file":
            continue
        if is_document(member, reader) and sum(map(len, kept.values())) < KEPT_BYTES:
            raw = memoryview(bytearray(member.size))
            reader.readinto(raw)
            kept[member.name.removeprefix("./").lstrip("/")] = bytes(raw)
        else:
            meet(member, reader)
    files = ArchiveFiles(path, members, open=None, captured=kept, profile=profile)
    return _ended(files, ended=stream.ended)


def is_document(member: Member, reader: MemberReader) -> bool:
    """Whether a member may be a document, by its name or its first byte.

    Layers are tars, which begin with neither bracket.
    """
    if not 0 < member.size <= DOCUMENT_BYTES:
        return False
    base = member.name.rpartition("/")[2]
    return reader.peek(1) in (b"{", b"[") or base in TEXTS or base.endswith(".json")
