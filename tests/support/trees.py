"""What is in a file system, as plain values: from a folder, or from a tar of a whole root.

For comparing what two engines made of one image. Invariant: names are relative, without `./`, and
hard links are known by the first of their names.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Node(NamedTuple):
    """A file: its kind, mode, time in seconds (not of folders), content or target, first name."""

    kind: str
    mode: int
    mtime: int
    content: bytes
    same_as: str


Tree = dict[str, Node]


def tree_of_folder(top: Path) -> Tree:
    found: Tree = {}
    first: dict[int, str] = {}
    paths = sorted(os.path.join(at, n) for at, ds, fs in os.walk(top) for n in ds + fs)
    for path in paths:
        status, name = os.lstat(path), os.path.relpath(path, top)
        mode, mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        if stat.S_ISDIR(status.st_mode):
            found[name] = Node("folder", mode, 0, b"", name)
        elif stat.S_ISLNK(status.st_mode):
            found[name] = Node("link", 0o777, mtime, os.fsencode(os.readlink(path)), name)
        else:
            with open(path, "rb") as file:
                same = first.setdefault(status.st_ino, name)
                found[name] = Node("file", mode, mtime, file.read(), same)
    return found


def tree_of_tar(data: bytes) -> Tree:
    found: Tree = {}
    linked: dict[str, list[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name, mode = os.path.normpath(member.name), stat.S_IMODE(member.mode)
            if member.isdir():
                found[name] = Node("folder", mode, 0, b"", name)
            elif member.issym():
                target = os.fsencode(member.linkname)
                found[name] = Node("link", 0o777, int(member.mtime), target, name)
            elif member.islnk():
                linked.setdefault(os.path.normpath(member.linkname), []).append(name)
            elif file := tar.extractfile(member):
                found[name] = Node("file", mode, int(member.mtime), file.read(), name)
    for target, names in linked.items():
        node = found[target]._replace(same_as=min(target, *names))
        found |= dict.fromkeys([target, *names], node)
    found.pop(".", None)
    return found
