"""A tree that has to stay as it is while something hostile happens beside it.

All that can be seen of it is noted: names, inodes, types, modes, owners, link counts, times of
content and of change, devices, xattrs, bytes. Invariant: looking at it changes none of these.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IS_ROOT = os.geteuid() == 0
WHEN = 1_600_000_000_123_456_789
SECRET = b"nobody may touch this\n"
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""cap_net_bind_service+ep: any change of owner or content takes it off a file."""
FILES = {"secret": 0o600, "sub/name": 0o644, "sub/deep/name": 0o400, "tool": 0o4755, "name": 0o640}


class Seen(NamedTuple):
    """What lstat(2) says but for the time of access, and what is inside."""

    inode: tuple[int, int]
    mode: int
    owner: tuple[int, int]
    links: int
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    xattrs: tuple[tuple[str, bytes], ...]
    content: str


def xattrs_of(path: str) -> tuple[tuple[str, bytes], ...]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


def look(path: str) -> Seen:
    """Note a file as it is; neither links nor pipes are gone into."""
    status, content = os.lstat(path), ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    return Seen(
        (status.st_dev, status.st_ino),
        status.st_mode,
        (status.st_uid, status.st_gid),
        status.st_nlink,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_rdev,
        xattrs_of(path),
        content,
    )


def make_victim(top: Path) -> None:
    """What an attack would like to reach: something of every kind."""
    (top / "sub/deep").mkdir(parents=True)
    for name, mode in FILES.items():
        (top / name).write_bytes(SECRET)
        (top / name).chmod(mode)
    os.link(top / "secret", top / "sub/twin")
    (top / "link").symlink_to("secret")
    (top / "folder-link").symlink_to("sub")
    (top / "dangling").symlink_to("no/where")
    os.mkfifo(top / "fifo", 0o600)
    (top / "empty").mkdir(0o700)
    with contextlib.suppress(OSError):  # where the file system has none of these
        for name in ("secret", "sub"):
            os.setxattr(top / name, "user.canary", b"alive")
    if IS_ROOT:
        os.chown(top / "name", 1234, 4321)
        os.chown(top / "link", 1234, 4321, follow_symlinks=False)
        with contextlib.suppress(OSError):
            os.setxattr(top / "tool", "security.capability", CAPABILITY)
    for path in sorted(map(str, top.rglob("*")), reverse=True):
        os.utime(path, ns=(WHEN, WHEN), follow_symlinks=False)
    os.utime(top, ns=(WHEN, WHEN))


class Canary:
    """Everything below `base`, but for `apart` and what is in it.

    Of the folder that `apart` is in, times and link count are left out: they change with it.
    """

    def __init__(self, base: Path, apart: Path | None = None) -> None:
        self._base, self._apart = str(base), str(apart or "")
        self._before = self.look()
        self.inodes = {seen.inode for seen in self._before.values()}
        assert len(self._before) > 1, "there is nothing that could be changed"

    def look(self) -> dict[str, Seen]:
        """What there is now, by path."""
        found = {path: look(path) for path in self._paths()}
        if above := os.path.dirname(self._apart):
            found[above] = found[above]._replace(links=0, size=0, mtime_ns=0, ctime_ns=0)
        return found

    def _paths(self) -> Iterator[str]:
        yield self._base
        for at, folders, files in os.walk(self._base):
            yield from (path for name in files if (path := os.path.join(at, name)) != self._apart)
            folders[:] = [name for name in folders if os.path.join(at, name) != self._apart]
            yield from (os.path.join(at, name) for name in folders)

    def check(self) -> None:
        """Fail with what is not as it was."""
        found = list(self._differences(self.look()))
        assert not found, "\n".join(found)

    def _differences(self, now: dict[str, Seen]) -> Iterator[str]:
        for path in sorted(now.keys() | self._before.keys()):
            old, new = self._before.get(path), now.get(path)
            if old is None or new is None:
                yield f"{path} {'came out of nowhere' if new else 'is gone'}"
            elif old != new:
                pairs = zip(Seen._fields, old, new, strict=True)
                yield f"{path}: {[each for each in pairs if each[1] != each[2]]}"
