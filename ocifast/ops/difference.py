"""What a diff has found: columns of what differs, and changes made of them when they are asked for.

Nothing is read here. Invariant: a result is the same however often it is iterated, and iterating
makes one `Change` at a time.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ocifast.formats.tar import FILE
from ocifast.ops.diff_options import MASKS, fields_of
from ocifast.tree.change import Change, ChangeKind

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator

    from ocifast.ops.columns import Array
    from ocifast.ops.diff_growth import FolderGrowth
    from ocifast.ops.diff_options import DiffOptions
    from ocifast.ops.diff_side import TreeSide
    from ocifast.ops.document_diff import DocumentChange
    from ocifast.ops.effective_tree import EffectiveTree
    from ocifast.ops.packing import PackedLayer

__all__ = ["Diff", "Totals", "TreeDiff"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of paths by what became of them, and bytes of content that came and went."""

    added: int = 0
    modified: int = 0
    deleted: int = 0
    renamed: int = 0
    same: int = 0
    bytes_grown: int = 0
    """Of files added, and of those that became longer, by how much."""
    bytes_shrunk: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, k) + getattr(other, k) for k in self.__slots__))

    @property
    def changes(self) -> int:
        """Paths that differ."""
        return self.added + self.modified + self.deleted + self.renamed

    def to_dict(self) -> dict[str, int]:
        """Give them as they stand in JSON."""
        return {key: getattr(self, key) for key in self.__slots__} | {"changes": self.changes}


@dataclass(slots=True)
class TreeDiff:
    """Two trees and how their rows belong together.

    `pairs` are rows of both (i32, -1 for none) in the order of a tree, `masks` what differs of each
    pair that counts, and `changed` the numbers of pairs that are changes. `renames` says of an
    added pair which row of `a` it was; pairs of such rows are not among the changed.
    """

    a: EffectiveTree
    b: EffectiveTree
    pairs: Array
    masks: Array
    changed: Array
    renames: dict[int, int] = field(default_factory=dict)
    layer: int | None = None

    def __iter__(self) -> Iterator[Change]:
        for start in range(0, len(self.changed), 4096):
            for number in self.changed[start : start + 4096].tolist():
                yield self._change(number)

    def _change(self, number: int) -> Change:
        row_a, row_b = self.pairs[number].tolist()
        mask = int(self.masks[number])
        moved = self.renames.get(number)
        if moved is not None:
            row_a = moved
        old = self.a.table[row_a] if row_a >= 0 else None
        new = self.b.table[row_b] if row_b >= 0 else None
        shown = new or old
        assert shown is not None
        return Change(
            kind=_kind(row_a, row_b, renamed=moved is not None),
            path=shown.path,
            old=old,
            new=new,
            fields=fields_of(mask) if old is not None and new is not None else (),
            old_path=old.path if moved is not None and old is not None else b"",
            old_digest=None if row_a < 0 else self.a.digest(row_a),
            new_digest=None if row_b < 0 else self.b.digest(row_b),
            layer=self.layer,
        )

    def changed_paths(self) -> Array:
        """Numbers of pairs that differ, path by path: a rename is what went and what came."""
        import numpy as np

        gone = np.isin(self.pairs[:, 0], list(self.renames.values())) & (self.pairs[:, 1] < 0)
        return np.union1d(self.changed, np.flatnonzero(gone))

    def files_of_other_content(self) -> list[tuple[int, int]]:
        """Give the rows of files that are on both sides with another content."""
        import numpy as np

        pairs = self.pairs[self.changed]
        both = (pairs >= 0).all(axis=1) & ((self.masks[self.changed] & MASKS["content"]) != 0)
        pairs = pairs[both]
        if not len(pairs):
            return []
        types = [
            tree.table.array["type"][pairs[:, side]] == FILE
            for side, tree in ((0, self.a), (1, self.b))
        ]
        return [tuple(pair) for pair in pairs[np.logical_and(*types)].tolist()]

    def growth(self) -> Array:
        """Bytes of content that came with each change, in their order, minus those that went."""
        import numpy as np

        pairs = self.pairs[self.changed]
        rows_a = pairs[:, 0].copy()
        if self.renames:
            numbers = self.changed.tolist()
            moved = [(at, self.renames[n]) for at, n in enumerate(numbers) if n in self.renames]
            places, rows = np.array(moved, dtype=np.int64).T
            rows_a[places] = rows
        return _sizes(self.b, pairs[:, 1]) - _sizes(self.a, rows_a)

    def totals(self) -> Totals:
        """Count, without making changes."""
        import numpy as np

        pairs, growth = self.pairs[self.changed], self.growth()
        added = int((pairs[:, 0] < 0).sum()) - len(self.renames)
        deleted = int((pairs[:, 1] < 0).sum())
        both = int(((self.pairs >= 0).all(axis=1)).sum())
        modified = len(pairs) - added - deleted - len(self.renames)
        return Totals(
            added=added,
            modified=modified,
            deleted=deleted,
            renamed=len(self.renames),
            same=both - modified,
            bytes_grown=int(np.maximum(growth, 0).sum()),
            bytes_shrunk=int(np.maximum(-growth, 0).sum()),
        )


def _kind(row_a: int, row_b: int, *, renamed: bool) -> ChangeKind:
    if renamed:
        return ChangeKind.RENAMED
    if row_a < 0:
        return ChangeKind.ADDED
    return ChangeKind.DELETED if row_b < 0 else ChangeKind.MODIFIED


def _sizes(tree: EffectiveTree, rows: Array) -> Array:
    """Bytes of content of rows, 0 for -1 and for what is no file."""
    import numpy as np

    table = tree.table.array
    if not len(table):
        return np.zeros(len(rows), dtype=np.int64)
    places = np.maximum(rows, 0)  # column by column: a row is 120 bytes
    is_file = (rows >= 0) & (table["type"][places] == FILE)
    return np.where(is_file, table["size"][places], 0).astype(np.int64)


class Diff:
    """The difference of two sides; true when there is one, iterable for its changes.

    `parts` has one comparison, or one for each layer when layers were compared. Folders stay open
    until it is closed or gone, so that contents can be read for `write_layer`.

    Example:
        >>> import ocifast
        >>> result = ocifast.diff(bytes(1024), bytes(1024))
        >>> bool(result), len(result), list(result)
        (False, 0, [])
    """

    def __init__(
        self,
        sides: tuple[TreeSide, TreeSide],
        *,
        parts: list[TreeDiff],
        documents: tuple[DocumentChange, ...],
        notes: tuple[str, ...],
        options: DiffOptions,
        resources: contextlib.ExitStack,
    ) -> None:
        self.a, self.b = sides
        self.options = options
        self.parts = parts
        self.documents = documents
        """What differs of config and manifest."""
        self.notes = notes
        """Sentences about what was tolerated, trusted or skipped."""
        self._finalizer = weakref.finalize(self, resources.close)
        totals = Totals()
        for part in parts:
            totals += part.totals()
        self.totals = totals

    def __len__(self) -> int:
        return self.totals.changes

    def __bool__(self) -> bool:
        return bool(self.totals.changes or self.documents)

    def __iter__(self) -> Iterator[Change]:
        for part in self.parts:
            yield from part

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        t = self.totals
        counts = f"{t.added} added, {t.modified} modified, {t.deleted} deleted"
        return f"<Diff of {self.a.name} and {self.b.name}: {counts}, {t.renamed} renamed>"

    def _repr_html_(self) -> str:
        from ocifast.ops.diff_html import as_html  # for notebooks only

        return as_html(self)

    def close(self) -> None:
        """Close folders; changes can still be iterated."""
        self._finalizer()

    def to_dict(self) -> dict[str, Any]:
        """Give totals and what was compared, as in JSON; changes are lines of their own."""
        return {
            "schema": "ocifast.diff/1",
            "a": self.a.name,
            "b": self.b.name,
            "differs": bool(self),
            **self.totals.to_dict(),
            "documents": len(self.documents),
            "growth": [
                {"path": os.fsdecode(each.path), "grown": each.grown, "shrunk": each.shrunk}
                for each in self.growth()
            ],
            "notes": list(self.notes),
        }

    def growth(self, most: int = 10) -> list[FolderGrowth]:
        """Give the folders in which most bytes came and went, the largest first."""
        from ocifast.ops.diff_growth import folder_growth

        return folder_growth(self.parts, most)

    def write_layer(self, dest: str | os.PathLike[str] | int, **options: Any) -> PackedLayer:
        """Write what turns the first side into the second as a layer, whiteouts included.

        Takes `dest` and options of `ocifast.pack_layer`, and raises the same.

        Raises:
            ValueError: Layers were compared one by one.
            StateError: The second side can be read only once.
            UnsupportedError: Of the second side only an index was given, and files have changed.
        """
        from ocifast.ops.changeset import write_changeset  # packs: when it is used

        return write_changeset(self, dest, **options)
