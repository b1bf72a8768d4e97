"""Whether files have the same content, where no digest has told yet: those of folders are read.

Two folders are compared byte by byte, up to the first difference; a folder and a layer by digests,
of the files in question only. Invariant: a file is read at most once for a diff, and never one
whose size has told already.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._native import tree_content
from ocifast.engine.plan import available_workers
from ocifast.ops.columns import column
from ocifast.ops.effective_tree import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.ops.columns import Array
    from ocifast.ops.effective_tree import EffectiveTree

__all__ = ["ContentFlags", "compare_contents", "know_digests"]

FILE_COST: Final = 40 << 10
"""Opening and closing a file takes as long as reading so many bytes of it from the page cache."""
DIFFERS: Final = 1
HAS_XATTRS: Final = 2
LEAST: Final = 64
"""Fewer files than this are not worth a thread each."""


class ContentFlags(NamedTuple):
    """What was found of pairs of files: arrays of truth values."""

    differ: Array
    xattrs: Array
    """Where that was asked: whether one of them has any."""


def compare_contents(
    a: EffectiveTree, b: EffectiveTree, rows: Array, *, xattrs: bool = False
) -> ContentFlags:
    """Compare pairs of rows (u32, two columns) of files of one size; `xattrs` is of folders only.

    Raises:
        TreeError: A file changed since it was listed.
        OSError: One cannot be read.
    """
    import numpy as np

    if not len(rows):
        none = np.zeros(0, dtype=bool)
        return ContentFlags(none, none)
    if a.root is not None and b.root is not None:
        keys = rows[:, 0].astype(np.uint64) << np.uint64(32) | rows[:, 1].astype(np.uint64)
        _, first, of_each = np.unique(keys, return_index=True, return_inverse=True)
        rows = np.ascontiguousarray(rows[first], dtype=np.uint32)  # a file may have several names
        sizes = a.table.array["size"][rows[:, 0]]
        found = _in_threads(lambda part: _compare(a, b, rows[part], xattrs=xattrs), sizes)
        flags = column(b"".join(found), "u1")[of_each]
        return ContentFlags((flags & DIFFERS) != 0, (flags & HAS_XATTRS) != 0)
    for tree, side in ((a, 0), (b, 1)):
        know_digests(tree, np.unique(rows[:, side]))
    left, right = _digests(a)[rows[:, 0]], _digests(b)[rows[:, 1]]
    differ = np.asarray((left != right).any(axis=1))
    return ContentFlags(differ, np.zeros(len(rows), dtype=bool))


def know_digests(tree: EffectiveTree, rows: Array) -> None:
    """Find out the digests of files (rows, ascending) that are not known yet; only of a folder.

    Raises as `compare_contents`.
    """
    import numpy as np

    if tree.root is None or not len(rows):
        return
    if tree.contents is None:
        tree.contents = np.zeros(len(tree.table) * DIGEST_BYTES, dtype=np.uint8).data
    known = _digests(tree)
    missing = rows[~known[rows].any(axis=1)]
    which = np.ascontiguousarray(missing, dtype=np.uint32)
    sizes = tree.table.array["size"][which]
    found = b"".join(_in_threads(lambda part: _hash(tree, which[part]), sizes))
    known[which] = column(found, "u1", DIGEST_BYTES)


def _digests(tree: EffectiveTree) -> Array:
    assert tree.contents is not None
    return column(tree.contents, "u1", DIGEST_BYTES)


def _in_threads(work: Callable[[slice], bytes], sizes: Array) -> list[bytes]:
    """Do the work on stretches of about the same cost, each in a thread.

    Native code lets go of the interpreter for all of a stretch, so processes would save nothing.
    """
    import numpy as np

    count = min(available_workers(), max(1, len(sizes) // LEAST))
    cost = np.cumsum(sizes.astype(np.int64) + FILE_COST)
    total = int(cost[-1]) if len(cost) else 0
    marks = [total * number // count for number in range(1, count)]
    ends = [0, *np.searchsorted(cost, marks).tolist(), len(sizes)]
    parts = [slice(start, end) for start, end in pairwise(ends)]
    if count == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(count, "ocifast-content") as pool:
        return list(pool.map(work, parts))


def _hash(tree: EffectiveTree, which: Array) -> bytes:
    _, rows, heap = tree.table.to_buffers()
    assert tree.root is not None
    try:
        return tree_content.digests(tree.root, rows, heap, which.data)
    except OSError as error:
        tree.put_in_front(error)
        raise


def _compare(a: EffectiveTree, b: EffectiveTree, pairs: Array, *, xattrs: bool) -> bytes:
    _, rows_a, heap_a = a.table.to_buffers()
    _, rows_b, heap_b = b.table.to_buffers()
    roots = a.root, b.root
    assert roots[0] is not None
    assert roots[1] is not None
    try:
        return tree_content.differing(
            roots[0], rows_a, heap_a, roots[1], rows_b, heap_b, pairs.data, xattrs=xattrs
        )
    except OSError as error:
        is_second = any("second" in note for note in getattr(error, "__notes__", ()))
        (b if is_second else a).put_in_front(error)
        raise
