"""Files in a tar archive, by a table of its members that somebody else has made.

It reads no tar: it is told names and places, and where needed the bytes of documents that were met
on the way through a stream. *Invariant:* a name is a key of the table and nothing else; a link
leads to a regular member in one step, or is refused (hardening D01, D02).
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ocifast.errors import StoreError
from ocifast.transports.base import Location
from ocifast.transports.file_name import clean_name, link_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ocifast.limits import Profile

__all__ = ["ArchiveFiles", "Member"]

DOCUMENTS: Final = ("oci-layout", "repositories", "json", "VERSION")
NOTHING: Final[Mapping[str, bytes]] = MappingProxyType({})


class Member(NamedTuple):
    """A member of an archive: its payload's place, or where it leads to when it is a link.

    `name` and `target` are as they stand in the archive; `kind` "other" is a device or a fifo. Of
    a file met in a stream, `head` holds the first bytes.
    """

    name: str
    kind: Literal["file", "folder", "symlink", "hardlink", "sparse", "other"]
    offset: int = 0
    size: int = 0
    target: str = ""
    head: bytes = b""


class ArchiveFiles:
    """The regular members of an archive.

    `open` gives a descriptor of the archive; without it the archive was a stream, and `captured`
    holds what was kept of it. A name that stands twice: documents are refused when they are asked
    for; of others the last one counts, as when it is extracted, or with `profile` strict they are
    refused as well (D03).
    """

    def __init__(
        self,
        path: str,
        members: Iterable[Member],
        *,
        open: Callable[[], int] | None,  # noqa: A002 - as in Location
        captured: Mapping[str, bytes] = NOTHING,
        profile: Profile = "compat",
    ) -> None:
        self.path = path
        self.findings: list[str] = []
        self._open = open
        self._strict = profile == "strict"
        self._captured = captured
        self._members: dict[str, Member] = {}
        self._twice: set[str] = set()
        for member in members:
            self._add(member)

    def _add(self, member: Member) -> None:
        try:
            name = clean_name(self.path, member.name)
        except StoreError:
            return  # nothing can ask for it
        if member.kind == "folder":
            return
        if name in self._members:
            self._twice.add(name)
        self._members[name] = member

    def names(self) -> Iterator[str]:
        """All names of files and links, in the order of the archive."""
        return iter(self._members)

    def find(self, name: str) -> Location | None:
        """Say where the bytes of a file are; None when there is none.

        Raises:
            StoreError: It is no regular file, stands twice, or its name is refused.
        """
        found = self._resolve(clean_name(self.path, name))
        if found is None:
            return None
        _, member = found
        return Location(self._open, member.offset, member.size, member.head)

    def locate(self, name: str) -> Location:
        """Say where the bytes of a file are; raises as `find`, and StoreError without one."""
        found = self.find(name)
        if found is None:
            raise StoreError(self.path, name, "there is no such file in it")
        return found

    def read(self, name: str, limit: int) -> bytes:
        """Read a small file whole; raises as `locate`, and StoreError beyond `limit` bytes.

        Raises:
            OSError: The archive cannot be read.
        """
        location = self.locate(name)
        if location.size > limit:
            reason = f"it has {location.size} bytes, at most {limit} are read"
            raise StoreError(self.path, name, reason)
        if location.open is None:
            return self._kept(name)
        descriptor = location.open()
        try:
            raw = _pread(descriptor, location.size, location.offset)
        finally:
            os.close(descriptor)
        if len(raw) < location.size:
            raise StoreError(self.path, name, "the archive ends within it")
        return raw

    def _resolve(self, name: str) -> tuple[str, Member] | None:
        """Look a name up, and follow one link."""
        member = self._look_up(name)
        if member is not None and member.kind in ("symlink", "hardlink"):
            if member.kind == "symlink":
                name = link_target(self.path, name, member.target)
            else:
                name = clean_name(self.path, member.target)
            member = self._look_up(name)
            if member is None:
                raise StoreError(self.path, name, "a link leads to it, and it is not there")
        if member is None:
            return None
        if member.kind == "sparse":
            raise StoreError(self.path, name, "it is a sparse member, which is refused")
        if member.kind != "file":
            raise StoreError(self.path, name, "it is no regular file")
        return name, member

    def _look_up(self, name: str) -> Member | None:
        if name in self._twice:
            base = name.rpartition("/")[2]
            if self._strict or base.endswith(".json") or base in DOCUMENTS:
                raise StoreError(self.path, name, "it is in the archive twice")
            finding = f"{name} is in the archive twice, the last one counts"
            if finding not in self.findings:
                self.findings.append(finding)
        return self._members.get(name)

    def _kept(self, name: str) -> bytes:
        found = self._resolve(clean_name(self.path, name))
        raw = None if found is None else self._captured.get(found[0])
        if raw is None:
            raise StoreError(
                self.path, name, "it was not kept on the way through the stream: use a plain file"
            )
        return raw


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    """Read so many bytes, or all there are."""
    pieces = []
    while size and (piece := os.pread(descriptor, size, offset)):
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return b"".join(pieces)
