"""Trees to pack, and what is looked at afterwards."""

from __future__ import annotations

import os
import random
import stat
from typing import TYPE_CHECKING, Any

from ocifast.codecs import open_decoder
from ocifast.ops.pack import pack_layer

if TYPE_CHECKING:
    from pathlib import Path

    from ocifast.ops.packing import PackedLayer

WHEN = 1_700_000_000


def make_tree(top: Path, *, files: int = 12, size: int = 3000) -> Path:
    """A tree with a bit of everything a user may make, of fixed times."""
    rng = random.Random(7)
    for folder in ("etc", "usr/lib/deep/er", "empty", "var"):
        (top / folder).mkdir(parents=True)
    for number in range(files):
        path = top / ("etc", "usr/lib", "usr/lib/deep/er")[number % 3] / f"file{number}.txt"
        path.write_bytes(rng.randbytes(size // 3) * 3)
        path.chmod(0o600 + number % 8)
    (top / "etc/empty").touch()
    (top / "etc/link").symlink_to("file0.txt")
    (top / "var/dangling").symlink_to("/no/where")
    os.link(top / "etc/file0.txt", top / "var/twin")
    os.mkfifo(top / "var/fifo", 0o640)
    (top / ("n" * 255)).write_text("long")
    (top / "ünïcode").write_text("name")
    (top / os.fsdecode(b"\xff\xfe")).write_text("no utf-8")
    with (top / "var/sparse").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(700_000)
        file.write(b"data")
    (top / "usr").chmod(0o711)
    age(top)
    return top


def age(top: Path) -> None:
    """Give everything in a tree the same time, links included."""
    for at, folders, files in os.walk(top, topdown=False):
        for name in files + folders:
            os.utime(os.path.join(at, name), (WHEN, WHEN), follow_symlinks=False)
    os.utime(top, (WHEN, WHEN))


def pack(tree: Any, dest: Any, **options: Any) -> PackedLayer:
    """Pack in this process unless told otherwise."""
    return pack_layer(tree, dest, **({"workers": 0} | options))


def plain(path: Path, codec: str) -> bytes:
    """The tar in a layer."""
    if codec == "none":
        return path.read_bytes()
    decoder, out, found = open_decoder(codec), memoryview(bytearray(1 << 20)), bytearray()
    decoder.feed(path.read_bytes())
    while not decoder.needs_input:
        found += out[: decoder.readinto(out)]
    decoder.finish()
    return bytes(found)


def mtree(top: Path) -> dict[str, tuple[object, ...]]:
    """Type, mode, owner, time, size, content, link, names of the inode, xattrs: by path."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[tuple[int, int], str] = {}
    for at, folders, files in os.walk(top):
        for name in sorted(folders + files):
            path = os.path.join(at, name)
            status, shown = os.lstat(path), os.path.relpath(path, top)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    content: object = file.read()
            else:
                content = os.readlink(path) if kind == stat.S_IFLNK else None
            device = status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
            xattrs = {
                n: os.getxattr(path, n, follow_symlinks=False)
                for n in os.listxattr(path, follow_symlinks=False)
                if not n.startswith("security.selinux")
            }
            twin = shown
            if kind != stat.S_IFDIR and status.st_nlink > 1:
                twin = first.setdefault((status.st_dev, status.st_ino), shown)
            found[shown] = (
                *(kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid),
                *(int(status.st_mtime), content, device, sorted(xattrs.items()), twin),
            )
    return found
