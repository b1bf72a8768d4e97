"""The contents of a few small files of a tree, wherever it lies: to be shown, not to be kept.

Of a folder they are opened, of layers they are met in one more pass over those that have them.
Invariant: what is held is bounded, whatever is asked for.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from ocifast.formats.tar import FLAG_SPARSE
from ocifast.ops.layer_contents import met_in_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocifast.ops.diff_options import DiffOptions
    from ocifast.ops.diff_side import SideLayer
    from ocifast.ops.effective_tree import EffectiveTree

__all__ = ["MOST_BYTES", "read_small"]

MOST_BYTES: Final = 256 << 10
"""Of one file; longer ones are nothing to look at."""
MOST_TOGETHER: Final = 64 << 20
FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def read_small(
    tree: EffectiveTree, rows: Sequence[int], layers: Sequence[SideLayer], options: DiffOptions
) -> dict[int, bytes]:
    """Give the contents of files by their rows; of those that are too long, or too many, none.

    Raises:
        StateError: A layer can be read only once.
        OSError: Something cannot be read.
    """
    sizes = tree.table.array["size"]
    wanted, total = [], 0
    for row in rows:
        size = int(sizes[row])
        if size <= MOST_BYTES and total + size <= MOST_TOGETHER:
            wanted.append(row)
            total += size
    if tree.root is not None:
        return dict(_from_folder(tree, wanted))
    return dict(_from_layers(tree, wanted, layers, options))


def _from_folder(tree: EffectiveTree, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    for row in rows:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            descriptor = os.open(tree.table[row].path, FLAGS, dir_fd=tree.root)
            with open(descriptor, "rb") as file:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    yield row, file.read(MOST_BYTES)


def _from_layers(
    tree: EffectiveTree, rows: Sequence[int], layers: Sequence[SideLayer], options: DiffOptions
) -> Iterator[tuple[int, bytes]]:
    import numpy as np

    table = tree.table.array[rows]
    plain = np.array(rows, dtype=np.int64)[(table["flags"] & FLAG_SPARSE) == 0]
    for row, entry, stream in met_in_layers(tree, plain, layers, options):
        yield row, stream.read_all(entry.size)
