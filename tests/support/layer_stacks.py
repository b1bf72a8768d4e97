"""Stacks of layers drawn at random, as entries; each of them in a place of its own in its layer.

Invariant: names are few, so that layers meet: they hide, replace and link what is below them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ocifast.formats.tar import EntryTable
from ocifast.tree.entry import Entry, EntryKind
from support.merge_model import Flat, flat, raw_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.ops.effective_tree import EffectiveTree

FILE, DIRECTORY, SYMLINK = EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK
HARDLINK, FIFO, CHAR = EntryKind.HARDLINK, EntryKind.FIFO, EntryKind.CHAR_DEVICE
BLOCK_BYTES = 512
OPAQUE = b".wh..wh..opq"
NAMES = st.sampled_from([b"a", b"b", b"c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
KINDS = st.sampled_from(
    [FILE] * 4 + [DIRECTORY] * 4 + [HARDLINK] * 4 + [SYMLINK] * 3 + [FIFO, CHAR]
)
TARGETS = st.one_of(PATHS, st.sampled_from([b"..", b"../b", b"/a", b"/b/c", b".", b"no"]))


@st.composite
def entries(draw: st.DrawFn, known: list[bytes]) -> Entry:
    """One that is added, or a whiteout now and then."""
    path = draw(st.one_of(PATHS, st.sampled_from(known))) if known else draw(PATHS)
    if known and draw(st.integers(0, 3)) == 0:
        folder, slash, name = path.rpartition(b"/")
        opaque = draw(st.integers(0, 2)) == 0
        hidden = draw(st.sampled_from([path + b"/", folder + slash])) + OPAQUE
        return Entry(hidden if opaque else folder + slash + b".wh." + name, FILE)
    kind = draw(KINDS)
    fields: dict[str, object] = {"mode": draw(st.sampled_from([0o644, 0o4755]))}
    fields["mtime_ns"] = draw(st.sampled_from([0, 1, -1, 1_700_000_000_123_000_000]))
    if kind is FILE:
        fields["size"] = fields["stored_size"] = draw(st.integers(0, 3))
    if kind is CHAR:
        fields |= {"dev_major": 1, "dev_minor": draw(st.integers(1, 3))}
    if kind is SYMLINK:
        fields["link_target"] = draw(TARGETS)
    if kind is HARDLINK:
        fields["link_target"] = draw(st.sampled_from(known) if known else PATHS)
    if kind in (FILE, DIRECTORY) and draw(st.integers(0, 5)) == 0:
        fields["xattrs"] = ((b"user.a", draw(st.binary(max_size=2))),)
    return Entry(path, kind, **fields)  # type: ignore[arg-type]


@st.composite
def stacks(draw: st.DrawFn) -> list[list[Entry]]:
    """Layers from the base up; links and whiteouts mostly name what has been met."""
    layers, known = [], list[bytes]()
    for _ in range(draw(st.integers(1, 5))):
        layer = []
        for _ in range(draw(st.integers(1, 7))):
            layer.append(draw(entries(known)))
            if not layer[-1].is_whiteout:
                known.append(layer[-1].path)
        layers.append(layer)
    return layers


STACKS = stacks()


def placed(layer: Sequence[Entry]) -> EntryTable:
    """The table of a layer as a parser would give it, where every entry has a place."""
    at, found = 0, []
    for each in layer:
        payload = at + BLOCK_BYTES
        found.append(each._replace(start_offset=at, header_offset=at, payload_offset=payload))
        at = payload + -(-each.stored_size // BLOCK_BYTES) * BLOCK_BYTES
    return EntryTable(*raw_table(found))


def rows_of(tree: EffectiveTree) -> list[Flat]:
    """What a tree has in common with another one that is the same."""
    assert tree.origin is not None
    return [flat(each, (0, 0)) for each in tree.table]
