"""Files that went and files that came with the same content: renames, as far as content can tell.

Empty files are nobody's rename. Invariant: a file is at one end of one rename at most.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from ocifast.formats.tar import FILE
from ocifast.ops.diff_content import know_digests
from ocifast.ops.diff_options import MASKS
from ocifast.ops.effective_tree import EffectiveTree

if TYPE_CHECKING:
    from ocifast.ops.columns import Array
    from ocifast.ops.difference import TreeDiff
    from ocifast.tree.entry import Entry

__all__ = ["find_renames"]


def find_renames(diff: TreeDiff, counted: int) -> None:
    """Turn added and deleted files of the same content into renames; `counted` masks fields.

    Of several with one content, those of the same name belong together, else those that come first.

    Raises:
        TreeError, OSError: A file of a folder cannot be read.
    """
    import numpy as np

    pairs = diff.pairs[diff.changed]
    gone = _files(diff.a, diff.changed[pairs[:, 1] < 0], diff.pairs, 0)
    came = _files(diff.b, diff.changed[pairs[:, 0] < 0], diff.pairs, 1)
    sizes_gone = diff.a.table.array["size"][diff.pairs[gone, 0]]
    sizes_came = diff.b.table.array["size"][diff.pairs[came, 1]]
    gone = gone[np.isin(sizes_gone, sizes_came)]
    came = came[np.isin(sizes_came, sizes_gone)]
    know_digests(diff.a, np.sort(diff.pairs[gone, 0]))
    know_digests(diff.b, np.sort(diff.pairs[came, 1]))
    if diff.a.contents is None or diff.b.contents is None:
        return
    taken = _match(diff, gone.tolist(), came.tolist())
    for number, old in taken.items():
        diff.renames[number] = int(diff.pairs[old, 0])
        diff.masks[number] = counted & _mask(diff, number)
    diff.changed = diff.changed[~np.isin(diff.changed, list(taken.values()))]


def _files(tree: EffectiveTree, numbers: Array, pairs: Array, column: int) -> Array:
    """Of numbers of pairs, those whose row is a file that is not empty."""
    rows = tree.table.array[pairs[numbers, column]]
    found: Array = numbers[(rows["type"] == FILE) & (rows["size"] > 0)]
    return found


def _match(diff: TreeDiff, gone: list[int], came: list[int]) -> dict[int, int]:
    """Numbers of added pairs, and of the deleted pair each was."""
    found: dict[int, int] = {}
    for key in (_content_and_name, EffectiveTree.raw_digest):
        taken = set(found.values())
        waiting: defaultdict[object, deque[int]] = defaultdict(deque)
        for number in gone:
            if number not in taken:
                waiting[key(diff.a, int(diff.pairs[number, 0]))].append(number)
        for number in came:
            candidates = waiting.get(key(diff.b, int(diff.pairs[number, 1])))
            if number not in found and candidates:
                found[number] = candidates.popleft()
    return found


def _content_and_name(tree: EffectiveTree, row: int) -> tuple[bytes, bytes]:
    return tree.raw_digest(row), tree.table[row].path.rpartition(b"/")[2]


def _mask(diff: TreeDiff, number: int) -> int:
    """What else of a renamed file differs."""
    old: Entry = diff.a.table[int(diff.renames[number])]
    new: Entry = diff.b.table[int(diff.pairs[number, 1])]
    differs = {
        "mode": old.mode != new.mode,
        "owner": (old.uid, old.gid) != (new.uid, new.gid),
        "mtime": old.mtime_ns // 10**9 != new.mtime_ns // 10**9,
        "xattrs": dict(old.xattrs) != dict(new.xattrs),
    }
    return sum(MASKS[name] for name, is_so in differs.items() if is_so)
