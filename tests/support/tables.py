"""Entry tables from entries: what a tree or a layer would give, without either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast._native.tar import TarParser
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits
from ocifast.ops.virtual_tree import VirtualTree
from ocifast.tree.entry import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE, DIRECTORY = EntryKind.FILE, EntryKind.DIRECTORY
SYMLINK, HARDLINK = EntryKind.SYMLINK, EntryKind.HARDLINK


def entry(path: str | bytes, kind: EntryKind | None = None, **fields: object) -> Entry:
    """An entry by its path: a folder when that ends with a slash."""
    raw = path.encode() if isinstance(path, str) else path
    kind = kind or (DIRECTORY if raw.endswith(b"/") else FILE)
    mode = {DIRECTORY: 0o755, SYMLINK: 0o777}.get(kind, 0o644)
    return Entry(raw, kind, **({"mode": mode} | fields))  # type: ignore[arg-type]


def tar_of(entries: Iterable[Entry]) -> bytes:
    """The tar of entries whose files hold zeros."""
    tree = VirtualTree([(each, bytes(each.size)) for each in entries])
    out, piece = bytearray(), memoryview(bytearray(1 << 16))
    while count := tree.readinto(piece):
        out += piece[:count]
    return bytes(out)


def table_of(entries: Iterable[Entry]) -> EntryTable:
    """The table of a layer that holds these."""
    parser = TarParser(Limits())
    parser.feed(tar_of(entries))
    parser.finish()
    return EntryTable(*parser.take_table())
