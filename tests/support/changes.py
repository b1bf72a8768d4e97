"""Small trees as values: drawn at random, written as tars or on disk, and layers applied to them.

The model of what a layer does (`applied`) is the image-spec's, in dicts and with the standard
library. Invariant: it shares no code with ocifast.
"""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
}
KINDS = {value: key for key, value in TYPES.items()}
XATTR = "SCHILY.xattr."
IS_ROOT = os.geteuid() == 0
"""Others can make no devices, and nothing that is not theirs: of neither is anything drawn."""


class Node(NamedTuple):
    """An inode: `data` is the content of a file, the target of a symlink."""

    kind: str = "file"
    data: bytes = b""
    mode: int = 0o644
    uid: int = os.geteuid()
    gid: int = os.getegid()
    mtime: int = 0
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()


Tree = dict[str, tuple[object, Node]]
"""By path: which inode, and what it is."""


def tree(**paths: Node | str) -> Tree:
    """A tree by paths with ``__`` for slashes; a str is a hard link to that path."""
    return tree_of({name.replace("__", "/"): node for name, node in paths.items()})


def tree_of(paths: dict[str, Node | str]) -> Tree:
    found: Tree = {}
    for path in sorted(paths, key=in_order):
        for parent in reversed(list(parents(path))):
            found.setdefault(parent, (object(), Node("dir", mode=0o755)))
        node = paths[path]
        if isinstance(node, Node):
            found[path] = (object(), node)
    for path, node in paths.items():
        if isinstance(node, str):
            found[path] = found[node]
    return {path: found[path] for path in sorted(found, key=in_order)}


def in_order(path: str) -> list[str]:
    """The order of a walk."""
    return path.split("/")


def parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def first_names(tree: Tree) -> dict[str, str]:
    """Of each path, the first name of its inode."""
    first: dict[object, str] = {}
    for path in sorted(tree, key=in_order):
        first.setdefault(tree[path][0], path)
    return {path: first[inode] for path, (inode, _) in tree.items()}


def shape(tree: Tree) -> dict[str, tuple[Node, str]]:
    """What two trees have to have in common to be the same."""
    first = first_names(tree)
    return {path: (plain(node), first[path]) for path, (_, node) in tree.items()}


def plain(node: Node) -> Node:
    """A symlink's mode means nothing."""
    return node._replace(mode=0o777) if node.kind == "symlink" else node


def tar_of(tree: Tree) -> bytes:
    out, first = io.BytesIO(), first_names(tree)
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(tree, key=in_order):
            node = tree[path][1]
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.mtime = TYPES[node.kind], node.mode, node.mtime
            info.uid, info.gid = node.uid, node.gid
            info.devmajor, info.devminor = node.device
            info.pax_headers = {
                XATTR + name: value.decode("utf-8", "surrogateescape")
                for name, value in node.xattrs
            }
            if first[path] != path:
                info.type, info.linkname = tarfile.LNKTYPE, first[path]
            elif node.kind == "symlink":
                info.linkname = node.data.decode()
            is_file = info.type == tarfile.REGTYPE
            info.size = len(node.data) if is_file else 0
            tar.addfile(info, io.BytesIO(node.data) if is_file else None)
    return out.getvalue()


def put_on_disk(tree: Tree, top: Path) -> Path:
    """Make the tree in a folder that is not there yet; devices and owners need root."""
    top.mkdir()
    first = first_names(tree)
    for path, (_, node) in tree.items():
        at = top / path
        if first[path] != path:
            os.link(top / first[path], at, follow_symlinks=False)
        elif node.kind == "dir":
            at.mkdir()
        elif node.kind == "symlink":
            at.symlink_to(node.data.decode())
        elif node.kind == "file":
            at.write_bytes(node.data)
        else:
            os.mknod(
                at,
                {"fifo": 0o010000, "char": 0o020000, "block": 0o060000}[node.kind],
                os.makedev(*node.device),
            )
    for path in sorted(tree, key=in_order, reverse=True):
        node, at = tree[path][1], top / path
        if (node.uid, node.gid) != (os.geteuid(), os.getegid()):
            os.lchown(at, node.uid, node.gid)
        for name, value in node.xattrs:
            os.setxattr(at, name, value, follow_symlinks=False)
        if node.kind != "symlink":
            at.chmod(node.mode)
        os.utime(at, (node.mtime, node.mtime), follow_symlinks=False)
    return top


def members(layer: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tar.getmembers()


def names(layer: bytes) -> list[str]:
    """What is in a layer, in its order; folders with a slash."""
    return [each.name + "/" * each.isdir() for each in members(layer)]


def applied(lower: Tree, layer: bytes) -> Tree:
    """What a layer makes of a tree: whiteouts first, whatever their place, then entries."""
    found = dict(lower)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for each in tar:
            folder, _, name = each.name.rpartition("/")
            if name == ".wh..wh..opq":
                _remove_below(found, folder)
            elif name.startswith(".wh."):
                _remove(found, f"{folder}/{name[4:]}".lstrip("/"))
        for each in tar:
            if each.name.rpartition("/")[2].startswith(".wh."):
                continue
            if not (each.isdir() and each.name in found and found[each.name][1].kind == "dir"):
                _remove(found, each.name)
            if each.islnk():
                found[each.name] = found[each.linkname]
            else:
                found[each.name] = (object(), _node(tar, each))
    return found


def _remove(tree: Tree, path: str) -> None:
    tree.pop(path, None)
    _remove_below(tree, path)


def _remove_below(tree: Tree, folder: str) -> None:
    for path in [path for path in tree if path.startswith(folder + "/")]:
        del tree[path]


def _node(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Node:
    kind, data = KINDS[info.type], info.linkname.encode()
    if kind == "file":
        file = tar.extractfile(info)
        assert file is not None
        data = file.read()
    xattrs = tuple(
        (key.removeprefix(XATTR), value.encode("utf-8", "surrogateescape"))
        for key, value in sorted(info.pax_headers.items())
        if key.startswith(XATTR)
    )
    device = (info.devmajor, info.devminor) if kind in ("char", "block") else (0, 0)
    return Node(kind, data, info.mode, info.uid, info.gid, int(info.mtime), device, xattrs)


# --- at random

_paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
_mode = st.sampled_from([0o644, 0o600, 0o4755])
_uid = st.sampled_from([os.geteuid(), 7] if IS_ROOT else [os.geteuid()])
_mtime = st.sampled_from([0, 0, 1_700_000_000])
_xattrs = st.sampled_from([(), (), (("user.a", b"v"),), (("user.a", b"\xff"), ("user.b", b""))])
_kind = st.one_of(
    st.sampled_from([b"", b"x", b"y", b"xx" * 400]).map(lambda data: ("file", data, (0, 0))),
    st.just(("dir", b"", (0, 0))),
    st.sampled_from([b"a", b"b/c"]).map(lambda data: ("symlink", data, (0, 0))),
    st.sampled_from(["fifo", "file"]).map(lambda kind: (kind, b"", (0, 0))),
    st.sampled_from(
        [("char", b"", (1, 3)), ("block", b"", (1, 3)), ("char", b"", (1, 5))]
        if IS_ROOT
        else [("fifo", b"", (0, 0))]
    ),
)


def _node_of(
    kind: tuple[str, bytes, tuple[int, int]],
    mode: int,
    uid: int,
    mtime: int,
    xattrs: tuple[tuple[str, bytes], ...],
) -> Node:
    name, data, device = kind
    on_disk = xattrs if name in ("file", "dir") else ()  # others have no user.* xattrs
    mode = {"dir": mode | 0o700, "symlink": 0o777}.get(name, mode)
    return Node(name, data, mode, uid, os.getegid(), mtime, device, on_disk)


nodes = st.builds(_node_of, _kind, _mode, _uid, _mtime, _xattrs)
_drawn = st.dictionaries(_paths, st.one_of(nodes, nodes, st.integers(0, 5)), max_size=9)


def settled(drawn: dict[str, Node | int]) -> Tree:
    """A tree of what was drawn: what is in no folder is left out, a number is a hard link."""
    found: Tree = {}
    for path in sorted(drawn, key=in_order):
        above = list(parents(path))
        if any(each in found and found[each][1].kind != "dir" for each in above):
            continue
        for parent in reversed(above):
            found.setdefault(parent, (object(), Node("dir", mode=0o755)))
        node = drawn[path]
        if isinstance(node, Node):
            found[path] = (object(), node)
        else:
            targets = [each for each, (_, is_) in found.items() if is_.kind != "dir"]
            found[path] = found[targets[node % len(targets)]] if targets else (object(), Node())
    return found


trees = _drawn.map(settled)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tree, Tree]:
    """Two trees, the second one the first with changes, or another one."""
    before = draw(_drawn)
    changes = draw(_drawn)
    if draw(st.booleans()):
        gone = draw(st.sets(st.sampled_from(sorted(before)))) if before else set()
        changes = {path: node for path, node in before.items() if path not in gone} | changes
    return settled(before), settled(changes)
