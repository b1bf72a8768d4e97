"""Hostile layers, and the ground they are unpacked on: a destination with a canary all around it.

Invariant: whatever comes of an unpacking, the canary has been looked at behind it.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from ocifast import unpack
from ocifast.tree.entry import Entry, EntryKind
from support import tar_build
from support.canary import IS_ROOT, Canary, make_victim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ocifast.ops.unpack import UnpackReport

PROFILES = ("strict", "compat")
FLAGS = {
    EntryKind.FILE: b"0",
    EntryKind.HARDLINK: b"1",
    EntryKind.SYMLINK: b"2",
    EntryKind.CHAR_DEVICE: b"3",
    EntryKind.BLOCK_DEVICE: b"4",
    EntryKind.DIRECTORY: b"5",
    EntryKind.FIFO: b"6",
}
SECOND = 10**9
Part = Entry | bytes


def content_of(entry: Entry) -> bytes:
    """What the file of an entry holds: something that no other file does."""
    line = b"%s of %d\n" % (entry.path, entry.size)
    return (line * (entry.size // len(line) + 1))[: entry.size]


def raw(entry: Entry) -> bytes:
    """An entry as bytes of a tar, extension header included."""
    records = [(b"SCHILY.xattr." + name, value) for name, value in entry.xattrs]
    if len(entry.path) > 100:
        records.append((b"path", entry.path))
    if len(entry.link_target) > 100:
        records.append((b"linkpath", entry.link_target))
    if entry.mtime_ns % SECOND or entry.mtime_ns < 0:
        sign, value = "-" * (entry.mtime_ns < 0), abs(entry.mtime_ns)
        records.append((b"mtime", f"{sign}{value // SECOND}.{value % SECOND:09}".encode()))
    fields: dict[str, int | bytes] = {
        name: value if value < 8**7 else tar_build.base256(value, 8)
        for name, value in (("uid", entry.uid), ("gid", entry.gid))
    }
    if entry.link_target:
        fields["link"] = entry.link_target[:100]
    if entry.kind in {EntryKind.CHAR_DEVICE, EntryKind.BLOCK_DEVICE}:
        fields |= {"major": entry.dev_major, "minor": entry.dev_minor}
    made = tar_build.entry(
        entry.path[:100],
        content_of(entry),
        FLAGS[entry.kind],
        mode=entry.mode,
        mtime=max(entry.mtime_ns, 0) // SECOND,
        **fields,
    )
    return (tar_build.pax(*records) if records else b"") + made


def layer(*parts: Part) -> bytes:
    """The tar of entries, and of bytes as they are."""
    return tar_build.archive(*(raw(each) if isinstance(each, Entry) else each for each in parts))


class Ground:
    """`work/root` is the destination; around it `victim`, `work/victim` and `work/root-evil`.

    In `aside` a test puts what it needs else.
    """

    def __init__(self, folder: Path) -> None:
        base, self.aside = folder / "ground", folder / "aside"
        self.work, self.victim, self.dest = base / "work", base / "victim", base / "work/root"
        self.aside.mkdir()
        for top in (self.victim, self.work / "victim", self.work / "root-evil"):
            make_victim(top)
        self.canary = Canary(base, self.dest)
        self.findings: tuple[str, ...] = ()

    def unpack(self, *layers: Sequence[Part], **options: Any) -> list[str]:
        """Unpack, and tell what is there then."""
        self.report(*layers, **options)
        assert self.inodes().isdisjoint(self.canary.inodes)
        return self.tree()

    def report(self, *layers: Sequence[Part], **options: Any) -> UnpackReport:
        """Unpack, each layer from its parts; what is around has to be as it was."""
        options.setdefault("rootless", not IS_ROOT)
        sources = [layer(*parts) for parts in layers]
        try:
            found = unpack(sources, self.dest, workers=0, **options)
        finally:
            self.canary.check()
        self.findings = found.findings
        return found

    def refuses(
        self,
        error: type[Exception],
        *layers: Sequence[Part],
        match: str | None = None,
        **options: Any,
    ) -> Exception:
        """Unpack, which has to fail and to leave nothing."""
        with pytest.raises(error, match=match) as caught:
            self.report(*layers, **options)
        assert not os.path.lexists(self.dest)
        return caught.value

    # ---- what came of it ----

    def paths(self) -> list[str]:
        """All below the destination, by itself, in the order of bytes."""
        found = []
        for at, folders, files in os.walk(self.dest):
            found += [os.path.join(at, name) for name in folders + files]
        return sorted(found, key=os.fsencode)

    def inodes(self) -> set[tuple[int, int]]:
        """Of all that is in the destination, and of itself."""
        found = [os.lstat(path) for path in [str(self.dest), *self.paths()]]
        return {(status.st_dev, status.st_ino) for status in found}

    def tree(self) -> list[str]:
        """Names: of folders with a slash, of links with what they say, or with the first name."""
        found, first = [], {}
        for path in self.paths():
            status, name = os.lstat(path), os.path.relpath(path, self.dest)
            if stat.S_ISDIR(status.st_mode):
                found.append(name + "/")
            elif (known := first.setdefault(status.st_ino, name)) != name:
                found.append(f"{name} = {known}")
            elif stat.S_ISLNK(status.st_mode):
                found.append(f"{name} -> {os.readlink(path)}")
            else:
                found.append(name)
        return sorted(found)

    def read(self, name: str) -> bytes:
        """The bytes of a file, which no link may lead to."""
        assert self.stat(name).st_mode & stat.S_IFREG
        return (self.dest / name).read_bytes()

    def stat(self, name: str) -> os.stat_result:
        return os.lstat(self.dest / name)

    def mode(self, name: str) -> int:
        return stat.S_IMODE(self.stat(name).st_mode)

    def holds(self, entry: Entry, name: str | None = None) -> bool:
        """Whether a file there is the one of this entry."""
        return self.read(name or entry.name.strip("/")) == content_of(entry)

    @property
    def inside(self) -> str:
        """Where in the destination the absolute path of the victim leads."""
        return str(self.victim).lstrip("/")


def parents(name: str) -> list[str]:
    """The folders above a name, as `Ground.tree` tells them: `a/`, `a/b/` of `a/b/c`."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: end + 1]) + "/" for end in range(len(parts))]
