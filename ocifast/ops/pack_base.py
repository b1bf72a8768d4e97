"""What of a tree differs from the layers below it: the rows to pack, whiteouts among them.

It compares what a table says (type, mode, owner, size, time, link, device, xattrs), as Docker does,
and reads no content: a change that keeps size and time is not seen. Invariant: applied on top of
the base, what is given makes the tree, in which a directory's own time does not count as a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.formats.tar import ROW, EntryTable
from ocifast.tree import OPAQUE_NAME, WHITEOUT_PREFIX, hidden_path
from ocifast.tree.entry import Entry, EntryKind
from ocifast.tree.path import plain_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Lower", "changed", "effective"]

Lower = dict[bytes, Entry]
"""What a stack of layers comes to: entries by path, without slashes at either end."""

SECOND_NS: Final = 10**9
DIRECTORY: Final = EntryKind.DIRECTORY


def effective(layers: Iterable[Iterable[Entry]]) -> Lower:
    """Apply layers from the base up; a whiteout hides what is below its layer, not in it.

    Example:
        >>> old = [Entry(b"a/", DIRECTORY), Entry(b"a/b", EntryKind.FILE)]
        >>> sorted(effective([old, [Entry(b"./a/.wh.b", EntryKind.FILE)]]))
        [b'a']
    """
    lower: Lower = {}
    for layer in layers:
        added: Lower = {}
        hidden, emptied = set(), set()
        for entry in layer:
            path = plain_path(entry.path)
            if not entry.is_whiteout:
                added[path] = entry
            elif path.rpartition(b"/")[2] == OPAQUE_NAME:
                emptied.add(path.rpartition(b"/")[0])
            else:
                hidden.add(hidden_path(path))
        emptied |= {path for path, entry in added.items() if entry.kind is not DIRECTORY}
        lower = {
            path: entry
            for path, entry in lower.items()
            if path not in hidden
            and hidden.isdisjoint(parents := set(_parents(path)))
            and emptied.isdisjoint(parents)
        }
        lower |= added
    for path in list(lower):
        for parent in _parents(path):
            lower.setdefault(parent, Entry(parent, DIRECTORY, mode=0o755))
    lower.pop(b"", None)  # the root itself is not compared
    return lower


def changed(table: EntryTable, lower: Lower, prefix: bytes = b"") -> EntryTable:
    """Give the rows that turn `lower` into the tree, in the order of the tree.

    Parents of what has changed are in it too, with their metadata; so are all names of an inode of
    which one has changed. Below a prefix only that folder of `lower` is compared.
    """
    below = prefix + b"/" if prefix else b""
    known = {path[len(below) :]: entry for path, entry in lower.items() if path.startswith(below)}
    entries = {plain_path(entry.path): entry for entry in table}
    taken = {path for path, entry in entries.items() if _differs(entry, known.get(path), below)}
    _take_groups(taken, entries)
    gone = set(_topmost(known, entries))
    for path in list(taken | gone):
        taken |= {parent for parent in _parents(path) if parent in entries}
    return _table(table, entries, taken, gone)


def _differs(entry: Entry, old: Entry | None, below: bytes) -> bool:
    if old is None or (entry.kind, entry.mode) != (old.kind, old.mode):
        return True
    if (entry.uid, entry.gid, entry.xattrs) != (old.uid, old.gid, old.xattrs):
        return True
    if entry.kind is EntryKind.HARDLINK:
        return below + plain_path(entry.link_target) != plain_path(old.link_target)
    if entry.kind is DIRECTORY:
        return False
    if entry.mtime_ns // SECOND_NS != old.mtime_ns // SECOND_NS:
        return True
    device = (entry.dev_major, entry.dev_minor) != (old.dev_major, old.dev_minor)
    return device or (entry.size, entry.link_target) != (old.size, old.link_target)


def _take_groups(taken: set[bytes], entries: dict[bytes, Entry]) -> None:
    """Take all names of an inode when one is taken: a link must find its target in the layer."""
    groups: dict[bytes, list[bytes]] = {}
    for path, entry in entries.items():
        if entry.kind is EntryKind.HARDLINK:
            groups.setdefault(plain_path(entry.link_target), []).append(path)
    for target, links in groups.items():
        if target in taken or not taken.isdisjoint(links):
            taken.add(target)
            taken.update(links)


def _topmost(known: Lower, entries: dict[bytes, Entry]) -> Iterator[bytes]:
    """What is gone, and whose parent is still there as a directory."""
    for path in known:
        parent = path.rpartition(b"/")[0]
        stays = not parent or (parent in entries and entries[parent].kind is DIRECTORY)
        if stays and path not in entries:
            yield path


def _parents(path: bytes) -> Iterator[bytes]:
    """The folders a path is in, the root (b"") last."""
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def _table(
    table: EntryTable, entries: dict[bytes, Entry], taken: set[bytes], gone: set[bytes]
) -> EntryTable:
    heap, rows = bytearray(table.heap), []
    size = ROW.size
    raw = table.to_buffers()[1]
    for index, path in enumerate(entries):
        if path in taken:
            rows.append((path.split(b"/"), bytes(raw[index * size : (index + 1) * size])))
    for path in gone:
        folder, slash, name = path.rpartition(b"/")
        whiteout = folder + slash + WHITEOUT_PREFIX + name
        blank = [0] * 22
        blank[6], blank[10], blank[19] = len(heap), len(whiteout), ord("0")
        rows.append((whiteout.split(b"/"), ROW.pack(*blank)))
        heap += whiteout
    rows.sort()
    return EntryTable(b"".join(row for _, row in rows), bytes(heap))
