"""Whether files have the same content, where no digest has told yet: those of folders are read.

Two folders are compared byte by byte, up to the first difference; a folder and a layer by digests,
of the files in question only. Invariant: a file is read at most once for a diff, and never one
whose size has told already.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from ocifast._native import tree_content
from ocifast.engine.plan import available_workers
from ocifast.ops.effective_tree import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from ocifast.ops.effective_tree import EffectiveTree

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["differing_content", "know_digests"]

FILE_COST: Final = 40 << 10
"""Opening and closing a file takes as long as reading so many bytes of it from the page cache."""
LEAST: Final = 64
"""Fewer files than this are not worth a thread each."""


def differing_content(a: EffectiveTree, b: EffectiveTree, rows: Array) -> Array:
    """Say of each pair of rows (u32, two columns) of files of one size whether contents differ.

    Raises:
        TreeError: A file changed since it was listed.
        OSError: One cannot be read.
    """
    import numpy as np

    if a.root is not None and b.root is not None:
        rows = np.ascontiguousarray(rows, dtype=np.uint32)
        sizes = a.table.array["size"][rows[:, 0]]
        flags = _in_threads(lambda part: _compare(a, b, rows[part]), sizes)
        return np.frombuffer(b"".join(flags), dtype=np.uint8).astype(bool)
    for tree, column in ((a, 0), (b, 1)):
        know_digests(tree, np.unique(rows[:, column]))
    left, right = _digests(a)[rows[:, 0]], _digests(b)[rows[:, 1]]
    return np.asarray((left != right).any(axis=1))


def know_digests(tree: EffectiveTree, rows: Array) -> None:
    """Find out the digests of files (rows, ascending) that are not known yet; only of a folder.

    Raises as `differing_content`.
    """
    import numpy as np

    if tree.root is None or not len(rows):
        return
    if tree.contents is None:
        tree.contents = np.zeros(len(tree.table) * DIGEST_BYTES, dtype=np.uint8)
    known = _digests(tree)
    missing = rows[~known[rows].any(axis=1)]
    which = np.ascontiguousarray(missing, dtype=np.uint32)
    sizes = tree.table.array["size"][which]
    found = b"".join(_in_threads(lambda part: _hash(tree, which[part]), sizes))
    known[which] = np.frombuffer(found, dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def _digests(tree: EffectiveTree) -> Array:
    import numpy as np

    assert tree.contents is not None
    return np.frombuffer(tree.contents, dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def _in_threads(work: Callable[[slice], bytes], sizes: Array) -> list[bytes]:
    """Do the work on stretches of about the same cost, each in a thread; native code lets go of
    the interpreter for all of a stretch, so threads cost nothing that processes would save."""
    import numpy as np

    count = min(available_workers(), max(1, len(sizes) // LEAST))
    cost = np.cumsum(sizes.astype(np.int64) + FILE_COST)
    total = int(cost[-1]) if len(cost) else 0
    marks = [total * number // count for number in range(1, count)]
    ends = [0, *np.searchsorted(cost, marks).tolist(), len(sizes)]
    parts = [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]
    if count == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(count, "ocifast-content") as pool:
        return list(pool.map(work, parts))


def _hash(tree: EffectiveTree, which: Array) -> bytes:
    _, rows, heap = tree.table.to_buffers()
    assert tree.root is not None
    with _Named(tree):
        return tree_content.digests(tree.root, rows, heap, which)


def _compare(a: EffectiveTree, b: EffectiveTree, pairs: Array) -> bytes:
    _, rows_a, heap_a = a.table.to_buffers()
    _, rows_b, heap_b = b.table.to_buffers()
    assert a.root is not None and b.root is not None
    with _Named(a, b):
        return tree_content.differing(a.root, rows_a, heap_a, b.root, rows_b, heap_b, pairs)


class _Named:
    """Puts the folder in front of the name of a file that cannot be read."""

    def __init__(self, first: EffectiveTree, second: EffectiveTree | None = None) -> None:
        self._trees = first, second or first

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError) and isinstance(error.filename, str):
            notes = "".join(getattr(error, "__notes__", ()))
            tree = self._trees["second" in notes]
            error.filename = os.path.join(tree.path, error.filename)


