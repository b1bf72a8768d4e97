"""Diff: what changed between any two trees, layers or images.

Layers of both sides go through one engine at once, each read a single time whatever side it is of,
while folders are listed beside it; then tables are joined, and of folders only those files are read
of which neither size nor digest has told. Invariant: what is compared was verified where something
was promised of it, and no tree is written anywhere.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ocifast.engine import Engine, default_engine
from ocifast.errors import PlatformMismatch, StoreError
from ocifast.ops.archive_sniff import is_archive_of_images
from ocifast.ops.diff_join import join_trees
from ocifast.ops.diff_options import DiffOptions
from ocifast.ops.diff_side import TreeSide, open_side
from ocifast.ops.difference import Diff, TreeDiff
from ocifast.ops.effective_tree import EffectiveTree, TreeLayer, of_folder, of_layers
from ocifast.ops.path_filter import PathFilter
from ocifast.ops.side_layers import tables_of

if TYPE_CHECKING:
    from ocifast.ops.diff_side import Given, SideLayer
    from ocifast.ops.document_diff import DocumentChange
    from ocifast.ops.progress import Progress

__all__ = ["diff"]


def diff(
    a: Given,
    b: Given,
    *,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Diff:
    """Compare two sides: what their layers come to, or folders, entry by entry and byte by byte.

    Args:
        a: A folder, a layer (any compression), an index that `ocifast index` has saved, or an image
            (``oci:``, ``oci-archive:``, ``docker-archive:``, ``dir:``, or an archive); ``-`` is a
            layer on standard input. Also an `Image`, a `LayerIndex`, or what `hash_layer` takes.
        b: The other one; additions are what only this one has.
        engine: Where to work; by default one shared engine with a worker a core.
        workers: Worker processes of an engine for this call; 0 works in this process.
        progress: Called with each `ocifast.ops.progress.Event` of the layers that are read.
        **options: The fields of `DiffOptions`.

    Raises:
        PlatformMismatch: The images are for different platforms.
        VerificationError: A layer is not what its image promises.
        OcifastError: Something is malformed, refused, or over a limit.
        OSError: Something is not there, or cannot be read; it is named.
        ValueError, TypeError: An option is not one.

    Example:
        >>> with diff(bytes(1024), bytes(1024)) as result:
        ...     result.totals.changes
        0
    """
    chosen = DiffOptions(**options)
    if a == "-" and b == "-":
        raise ValueError("both sides are standard input, which can be read only once")
    with contextlib.ExitStack() as stack:
        if workers is not None:
            if engine is not None:
                raise ValueError("give workers or an engine, not both")
            engine = stack.enter_context(Engine(workers))
        opened = stack.enter_context(contextlib.ExitStack())
        first, second = chosen.platforms
        sides = open_side(a, first, chosen, opened), open_side(b, second, chosen, opened)
        _check_platforms(*sides, chosen)
        reading = Reading(chosen, engine or default_engine(), progress)
        parts = reading.layer_by_layer(*sides) if chosen.layers else reading.whole(*sides)
        documents: tuple[DocumentChange, ...] = ()
        if sides[0].image is not None and sides[1].image is not None:
            from ocifast.ops.document_diff import compare_documents  # of images only

            documents = tuple(compare_documents(sides[0].image, sides[1].image, chosen))
        return Diff(
            sides,
            parts=parts,
            documents=documents,
            notes=tuple(reading.notes),
            options=chosen,
            resources=opened.pop_all(),
        )


def _check_platforms(a: TreeSide, b: TreeSide, options: DiffOptions) -> None:
    if a.image is None or b.image is None or options.platform is not None:
        return
    from ocifast.ops.image import platform_of

    left, right = platform_of(a.image), platform_of(b.image)
    if left.architecture and right.architecture and str(left) != str(right):
        raise PlatformMismatch(a.name, str(left), b.name, str(right))


class Reading:
    """Brings both sides into tables, and joins them; `notes` says what was skipped or tolerated."""

    def __init__(
        self, options: DiffOptions, engine: Engine, progress: Progress | None = None
    ) -> None:
        self._options = options
        self._tell = progress
        self._strict = options.profile == "strict"
        self._engine = engine
        self.notes: list[str] = []
        self._filter = PathFilter(options.patterns)
        if options.quick:
            self.notes.append("quick: content was not read; size and time stand for it")

    def whole(self, a: TreeSide, b: TreeSide) -> list[TreeDiff]:
        """Compare what the sides come to."""
        same = [self._is_same_at(a, b, number) for number in range(len(a.layers))]
        shared = [*same, False].index(False)
        if shared:
            self.notes.append(f"{_layers(shared)} the same on both sides, from the bottom")
        if shared and shared == len(a.layers) == len(b.layers):
            return []
        lazily = a.root is not None and b.root is not None and self._options.reads_content
        with ThreadPoolExecutor(2, "ocifast-walk") as pool:
            walks = {
                id(side): pool.submit(of_folder, side.root, side.name, xattrs=not lazily)
                for side in (a, b)
                if side.root is not None
            }
            import numpy as np  # noqa: F401 - 0.1 s, while folders are listed

            layers = iter(self._read([*a.layers, *b.layers]))
            trees = []
            for side in (a, b):
                if id(side) in walks:
                    trees.append(walks[id(side)].result())
                else:
                    trees.append(self._applied(side, [next(layers) for _ in side.layers]))
        for side, tree in zip((a, b), trees, strict=True):
            self.notes.extend(f"{side.name}: {finding}" for finding in tree.findings)
        return [join_trees(trees[0], trees[1], self._options, self._filter)]

    def layer_by_layer(self, a: TreeSide, b: TreeSide) -> list[TreeDiff]:
        """Compare layers that stand in the same place; those that are the same are not read.

        Raises:
            ValueError: A side is a folder.
        """
        for side in (a, b):
            if side.root is not None:
                msg = f"{side.name} is a folder, and has no layers to compare one by one"
                raise ValueError(msg)
        count = max(len(a.layers), len(b.layers))
        differ = [number for number in range(count) if not self._is_same_at(a, b, number)]
        if len(differ) < count:
            self.notes.append(f"{_layers(count - len(differ))} the same, of {count}, and not read")
        work = [layer for n in differ for side in (a, b) for layer in side.layers[n : n + 1]]
        found = iter(self._read(work))
        parts = []
        for number in differ:
            trees = [
                of_layers(
                    [next(found) for _ in side.layers[number : number + 1]],
                    self._options.limits,
                    as_entries=True,
                )
                for side in (a, b)
            ]
            part = join_trees(trees[0], trees[1], self._options, self._filter)
            part.layer = number
            parts.append(part)
        return parts

    def _is_same_at(self, a: TreeSide, b: TreeSide, number: int) -> bool:
        if number >= len(a.layers) or number >= len(b.layers):
            return False
        return a.layers[number].is_same(b.layers[number], strict=self._strict)

    def _read(self, layers: list[SideLayer]) -> list[TreeLayer]:
        options = self._options
        contents = options.reads_content or options.renames
        return tables_of(layers, self._engine, options, contents=contents, tell=self._tell)

    def _applied(self, side: TreeSide, layers: list[TreeLayer]) -> EffectiveTree:
        try:
            tree = of_layers(layers, self._options.limits)
        except Exception as error:
            error.add_note(f"while applying the layers of {side.name}")
            raise
        if side.kind == "layer" and is_archive_of_images(tree.table):
            reason = "an archive of images, compressed as a whole: decompress it first"
            raise StoreError(side.name, "", reason)
        # of a layer alone it says nothing: what it removes is in the layers below
        if tree.findings and side.image is not None and self._strict:
            raise StoreError(side.name, "", "; ".join(tree.findings))
        return tree


def _layers(count: int) -> str:
    return "1 layer is" if count == 1 else f"{count} layers are"
