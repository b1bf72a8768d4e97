"""What a stack of layers comes to, in plain Python: dictionaries, a few rules, and no cleverness.

It is written from the rules of image-spec's layer.md and shares no code with the kernel that it is
held against. Invariant: a layer's whiteouts act on what is below the layer, and on nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ocifast.formats.tar import ROW, EntryTable
from ocifast.tree import EntryKind, whiteout
from ocifast.tree.entry import Entry
from ocifast.tree.path import components

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HOPS = 40
NOWHERE = (2**32 - 1, 2**32 - 1)
TYPES = dict(
    zip(
        (
            EntryKind.FILE,
            EntryKind.HARDLINK,
            EntryKind.SYMLINK,
            EntryKind.CHAR_DEVICE,
            EntryKind.BLOCK_DEVICE,
            EntryKind.DIRECTORY,
            EntryKind.FIFO,
        ),
        b"0123456",
        strict=True,
    )
)
WHITEOUT, OPAQUE, SPARSE, AUFS = 1, 2, 4, 8


class Refused(Exception):
    """The path of an entry leads nowhere, or to what cannot be there."""


class Flat(NamedTuple):
    """A row of the result; `source` is layer and row, or NOWHERE."""

    path: bytes
    kind: EntryKind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    link: bytes
    device: tuple[int, int]
    xattrs: tuple[tuple[bytes, bytes], ...]
    source: tuple[int, int]


def flat(entry: Entry, source: tuple[int, int]) -> Flat:
    return Flat(
        entry.path,
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        entry.size,
        entry.link_target,
        (entry.dev_major, entry.dev_minor),
        entry.xattrs,
        source,
    )


def plain_flags(path: bytes) -> int:
    """The flags a parser gives an entry of this path."""
    if whiteout.is_aufs_path(path):
        return AUFS
    if whiteout.is_opaque_path(path):
        return WHITEOUT | OPAQUE
    return WHITEOUT if whiteout.is_whiteout_path(path) else 0


def raw_table(entries: Iterable[Entry], flags: int | None = None) -> tuple[bytes, bytes]:
    """Rows and heap as a parser would make them, of entries that no parser would let through."""
    rows, heap = bytearray(), bytearray(b"the heap")
    for each in entries:
        xattrs = b"".join(
            len(name).to_bytes(4, "little") + len(value).to_bytes(4, "little") + name + value
            for name, value in each.xattrs
        )
        regions = b"".join(
            at.to_bytes(8, "little") + size.to_bytes(8, "little") for at, size in each.regions or ()
        )
        offsets = []
        for part in (each.path, each.link_target, xattrs, regions):
            offsets.append(len(heap))
            heap += part
        rows += ROW.pack(
            each.start_offset,
            each.header_offset,
            each.payload_offset,
            each.size,
            each.stored_size,
            each.mtime_ns,
            *offsets,
            len(each.path),
            len(each.link_target),
            len(xattrs),
            len(each.regions or ()),
            each.mode,
            each.uid,
            each.gid,
            each.dev_major,
            each.dev_minor,
            TYPES[each.kind],
            (plain_flags(each.path) if flags is None else flags) | SPARSE * each.is_sparse,
            0,
        )
    return bytes(rows), bytes(heap)


def taken(rows: object, heap: object, source: object) -> list[Flat]:
    """What TreeMerge.take() gave, as the model says it."""
    numbers = memoryview(source).cast("B").cast("I").tolist()  # type: ignore[arg-type]
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return list(map(flat, EntryTable(rows, heap), pairs))  # type: ignore[arg-type]


@dataclass(eq=False)
class Inode:
    """What several names may have in common."""

    entry: Entry
    source: tuple[int, int]


@dataclass(eq=False)
class Folder:
    parent: Folder | None
    entry: Entry
    source: tuple[int, int] = NOWHERE
    names: dict[bytes, Inode | Folder] = field(default_factory=dict)


def implied(parent: Folder | None) -> Folder:
    return Folder(parent, Entry(b"", EntryKind.DIRECTORY, mode=0o755))


def split(path: bytes) -> tuple[list[bytes], bytes]:
    *parents, name = components(path) or [b""]
    return parents, name


def kind_of(node: Inode | Folder | None) -> EntryKind | None:
    return node.entry.kind if node else None


class Model:
    """Layers from the base up; flattened() gives the rows."""

    def __init__(self) -> None:
        self.root = implied(None)
        self.layers = 0
        self.dropped: dict[tuple[Folder, bytes], Inode] = {}
        self.unmatched = self.dangling = 0

    def apply(self, entries: Sequence[Entry]) -> None:
        rows = [
            (number, each)
            for number, each in enumerate(entries)
            if not whiteout.is_aufs_path(each.path)
        ]
        added = [(n, each) for n, each in rows if not each.is_whiteout]
        if self.layers:
            self.drop_links([each for _, each in added if each.kind is EntryKind.DIRECTORY])
        self.hide([each for _, each in rows if each.is_whiteout])
        for number, each in added:
            self.add(each, (self.layers, number))
        for (folder, name), link in self.dropped.items():
            folder.names.setdefault(name, link)  # the folder came out somewhere else
        self.dropped.clear()
        self.layers += 1

    # ---- the three steps ----

    def drop_links(self, folders: list[Entry]) -> None:
        """A link below that becomes a folder is gone before anything looks through it.

        Until the folder is there, a hard link may still name it.
        """

        def link(each: Entry) -> tuple[Folder, bytes] | None:
            parents, name = split(each.path)
            try:
                folder = self.resolve(parents, each)
            except Refused:
                return None
            found = folder and folder.names.get(name)
            return (folder, name) if folder and kind_of(found) is EntryKind.SYMLINK else None

        for each in sorted(filter(link, folders), key=depth):
            if place := link(each):
                folder, name = place
                found = folder.names.pop(name)
                assert isinstance(found, Inode)
                self.dropped[place] = found

    def hide(self, rows: list[Entry]) -> None:
        names: list[tuple[Folder, bytes]] = []
        folders: list[Folder] = []
        for each in rows:
            parents, name = split(each.path)
            folder = self.resolve(parents, each)
            if folder is None:
                self.unmatched += 1
            elif each.is_opaque:
                folders.append(folder)
            elif len(name) <= len(whiteout.WHITEOUT_PREFIX):
                raise Refused(each.path)
            else:
                hidden = name.removeprefix(whiteout.WHITEOUT_PREFIX)
                names.append((folder, hidden))
                self.unmatched += not (hidden in folder.names or (folder, hidden) in self.dropped)
        for folder, hidden in names:
            folder.names.pop(hidden, None)
            self.dropped.pop((folder, hidden), None)
        for folder in folders:
            folder.names.clear()
            self.dropped = {place: n for place, n in self.dropped.items() if place[0] != folder}

    def add(self, entry: Entry, source: tuple[int, int]) -> None:
        parents, name = split(entry.path)
        if not name:
            if entry.kind is not EntryKind.DIRECTORY:
                raise Refused(entry.path)
            return
        if name == b"..":
            raise Refused(entry.path)
        new: Inode | Folder | None = None
        if entry.kind is EntryKind.HARDLINK:
            new = self.target(entry)
            self.dangling += new is None
        folder = self.resolve(parents, entry, make=True)
        assert folder
        old = folder.names.get(name)
        if entry.kind is EntryKind.DIRECTORY:
            if not isinstance(old, Folder):
                old = folder.names[name] = implied(folder)
            old.entry, old.source = entry, source
        else:
            folder.names[name] = new or Inode(entry, source)

    def target(self, entry: Entry) -> Inode | None:
        """The inode of a hard link: the last component is never followed."""
        parents, name = split(entry.link_target)
        folder = self.resolve(parents, entry)
        found = folder and (folder.names.get(name) or self.dropped.get((folder, name)))
        return found if isinstance(found, Inode) and found.entry.kind in TARGETS else None

    # ---- along a path ----

    def resolve(self, parents: list[bytes], entry: Entry, *, make: bool = False) -> Folder | None:
        left, at, hops = deque(parents), self.root, 0
        while left:
            name = left.popleft()
            if name == b"..":
                at = at.parent or at
                continue
            found = at.names.get(name)
            if isinstance(found, Inode) and found.entry.kind is EntryKind.SYMLINK:
                hops += 1
                if hops > HOPS:
                    raise Refused(entry.path)
                text = found.entry.link_target
                left.extendleft(reversed(components(text)))
                at = self.root if text.startswith(b"/") else at
                continue
            if not isinstance(found, Folder):
                if not make:
                    return None
                found = at.names[name] = implied(at)
            at = found
        return at

    # ---- the result ----

    def flattened(self) -> list[Flat]:
        first: dict[Inode, bytes] = {}
        return list(self.below(self.root, b"", first))

    def below(self, folder: Folder, prefix: bytes, first: dict[Inode, bytes]) -> Iterator[Flat]:
        for name, node in sorted(folder.names.items()):
            path = prefix + name + (b"/" if isinstance(node, Folder) else b"")
            xattrs = tuple(sorted(dict(node.entry.xattrs).items()))
            row = flat(node.entry, node.source)._replace(path=path, xattrs=xattrs)
            if isinstance(node, Folder):
                yield row
                yield from self.below(node, path, first)
            elif node in first:
                yield row._replace(kind=EntryKind.HARDLINK, link=first[node], size=0)
            else:
                first[node] = path
                yield row


TARGETS = set(EntryKind) - {EntryKind.HARDLINK, EntryKind.DIRECTORY}


def depth(entry: Entry) -> int:
    """How many folders are above an entry."""
    found = 0
    for part in split(entry.path)[0]:
        found = max(found - 1, 0) if part == b".." else found + 1
    return found


def merged(layers: Iterable[Sequence[Entry]]) -> list[Flat]:
    """The flattened tree; raises Refused with the path of the entry."""
    model = Model()
    for each in layers:
        model.apply(each)
    return model.flattened()
