"""Pack a tree into a layer: tar, both hashes and compression in one pass, over the engine.

The tree is listed first, as a table; what options change is changed in the table, and a worker
turns it into the layer. Invariant: the same tree and options give the same diff_id, whatever the
machine, the file system and the number of workers; and the same digest with the same recipe.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ocifast._native.tree_tar import TreeTar
from ocifast._native.tree_walk import walk
from ocifast.engine import Engine
from ocifast.engine.plan import BLOCK_SLOT_BYTES, CAPACITY, Job
from ocifast.formats.tar import EntryTable
from ocifast.ops.effective_tree import put_in_front
from ocifast.ops.pack_base import changed, lower_of
from ocifast.ops.pack_options import PackOptions, clean_prefix, recipe_of
from ocifast.ops.pack_pass import table_file
from ocifast.ops.pack_target import check_outside, open_target
from ocifast.ops.packing import PackedLayer
from ocifast.ops.progress import LayerAdvanced, LayerFinished, LayerStarted, Planned
from ocifast.ops.seekable import STORED_AS
from ocifast.ops.tree_rows import by_extension, clamped, mapped, owned
from ocifast.ops.tree_selection import check_listed, selection
from ocifast.ops.virtual_tree import VirtualTree
from ocifast.spec.digest import Digest
from ocifast.transports.pending_file import OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.engine.pipeline import Outcome
    from ocifast.ops.pack_target import Target
    from ocifast.ops.progress import Progress
    from ocifast.ops.virtual_tree import Items

__all__ = ["ListedFolder", "pack_layer"]

TASK: Final = "ocifast.ops.pack_pass:PackPass"
KEY: Final = "layer"
ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
UNKNOWN_BYTES: Final = 1 << 30
"""Of a tree from Python, whose size shows at its end."""


def pack_layer(
    tree: str | os.PathLike[str] | Items | ListedFolder,
    dest: str | os.PathLike[str] | int,
    *,
    append: bool = False,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> PackedLayer:
    """Pack a tree into a layer, and say all there is to know of it.

    Args:
        tree: A folder, or ``(Entry, content)`` pairs; a content is a buffer, a file or None.
        dest: A path, ``-`` for stdout, a descriptor, or ``oci:FOLDER:NAME`` for an image.
        append: Put the layer on top of the image `dest` names, rather than into one of its own.
        engine: Where to work; by default one is made for this call.
        workers: Worker processes of that engine; 0 works in this process.
        progress: Called with each `ocifast.ops.progress.Event`, in this thread.
        **options: The fields of `PackOptions`.

    Raises:
        TreeError: A name cannot be in a layer, or a file changed while it was read.
        OcifastError: The base or the image is malformed, or something is over a limit.
        OSError: Something cannot be read or written; it is named.
        ValueError, TypeError: An option is not one.
    """
    chosen = PackOptions(**options)
    began = time.monotonic()
    tell = progress or (lambda _: None)
    with contextlib.ExitStack() as stack:
        if engine is None:
            engine = stack.enter_context(Engine(workers, slot_bytes=BLOCK_SLOT_BYTES))
        packing = Packing(chosen, engine, tell)
        source: ListedFolder | None = None
        if isinstance(tree, ListedFolder):
            source = tree
        elif isinstance(tree, (str, os.PathLike)):
            source = stack.enter_context(contextlib.closing(TreeSource(os.fspath(tree), chosen)))
        if source is not None:
            check_outside(dest, source.root, source.path, append=append)
        target = stack.enter_context(open_target(dest, chosen, append=append))
        packing.check_target(target)
        if source is None:
            prefix = os.fsencode(clean_prefix(chosen.prefix))
            reader = VirtualTree(tree, prefix)  # type: ignore[arg-type]
            layer = packing.run(reader, UNKNOWN_BYTES, target, began, local=True)
            return target.finish(layer)
        if isinstance(source, TreeSource):
            source.list()
        layer = packing.run(source, source.size, target, began, local=False)
        return target.finish(layer)


class ListedFolder:
    """An open folder and the table of what is packed of it; `path` is what it is called."""

    def __init__(self, path: str, root: int, prefix: bytes = b"") -> None:
        self.path = path
        self.root = root
        self.prefix = prefix
        self.findings: tuple[str, ...] = ()
        self.size = 0
        self._table: EntryTable | None = None

    def take(self, table: EntryTable) -> None:
        """Let this be what is packed. Raises TreeError for what a tar cannot hold."""
        self._table = table
        _, rows, heap = table.to_buffers()
        with contextlib.closing(TreeTar(rows, heap, self.root, prefix=self.prefix)) as writer:
            self.size = writer.size

    def open(self) -> tuple[int, int]:
        """Give descriptors of the root and of the table, for a worker."""
        assert self._table is not None
        root = os.dup(self.root)
        try:
            table = table_file(self._table)
        except BaseException:
            os.close(root)
            raise
        self._table = None  # the worker maps it: no need to hold it twice
        return root, table

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self.root)


class TreeSource(ListedFolder):
    """A folder that is listed, and changed as options say."""

    def __init__(self, path: str, options: PackOptions) -> None:
        prefix = os.fsencode(clean_prefix(options.prefix))
        self._keep = selection(options.exclude, options.files_from)
        self._options = options
        super().__init__(path, os.open(path, ROOT), prefix)

    def list(self) -> None:
        """Make the table. Raises as `pack_layer`."""
        options = self._options
        try:
            rows, heap, left_out = walk(self.root, self._keep)
        except OSError as error:
            put_in_front(self.path, error)
            raise
        self.findings = tuple(f"socket: {os.fsdecode(name)}" for name in left_out)
        table = EntryTable(rows, heap)
        if options.files_from is not None:
            check_listed(options.files_from, {entry.path.rstrip(b"/") for entry in table})
        self.take(self._changed(table))

    def _changed(self, table: EntryTable) -> EntryTable:
        options = self._options
        if options.owner is not None:
            table = owned(table, *options.owner)
        if options.map_owner:
            table = mapped(table, options.map_owner)
        if options.source_date_epoch is not None:
            table = clamped(table, options.source_date_epoch)
        if options.base is not None:
            table = changed(table, lower_of(options.base, options.limits), self.prefix)
        if options.sort == "extension":
            table = by_extension(table)
        return table


class Packing:
    """One layer through the engine."""

    def __init__(self, options: PackOptions, engine: Engine, tell: Callable[[Any], object]) -> None:
        self._options = options
        self._engine = engine
        self._tell = tell
        self._recipe = recipe_of(options)

    def check_target(self, target: Target) -> None:
        """Refuse what cannot be read back, where that has to be done.

        Raises:
            ValueError: It is a pipe.
        """
        seekable = self._recipe is not None and self._recipe.codec in STORED_AS
        if seekable and not stat.S_ISREG(os.fstat(target.descriptor).st_mode):
            msg = "a seekable layer is read back and proven: write it to a file, not to a pipe"
            raise ValueError(msg)

    def run(
        self,
        source: ListedFolder | VirtualTree,
        size: int,
        target: Target,
        began: float,
        *,
        local: bool,
    ) -> PackedLayer:
        """Write the layer to a target, and give what it is."""

        def open_all() -> tuple[object, ...]:
            first = (source,) if isinstance(source, VirtualTree) else source.open()
            return (*first, os.dup(target.descriptor))

        prefix = "" if isinstance(source, VirtualTree) else os.fsdecode(source.prefix)
        job = Job(0, TASK, self._spec(prefix, size), open_all, size, CAPACITY, local=local)
        self._tell(Planned(1, 1, 0 if local else size, 0, 0, 0))
        self._tell(LayerStarted(KEY, target.name, 0 if local else size))
        with contextlib.closing(self._engine.run([job], self._advance)) as outcomes:
            (outcome,) = outcomes
        layer = self._layer(outcome, source, target, time.monotonic() - began)
        self._tell(LayerFinished(KEY, layer.uncompressed_size, layer.size, layer.seconds, None))
        return layer

    def _advance(self, _index: int, done: int, written: int) -> None:
        self._tell(LayerAdvanced(KEY, done, written))

    def _spec(self, prefix: str, size: int) -> dict[str, Any]:
        blocks = -(-size // BLOCK_SLOT_BYTES)
        return {
            "limits": asdict(self._options.limits),
            "profile": "strict",
            "table": False,
            "expected": {"media_type": None, "digest": None, "size": None},
            "diff_id": None,
            "window": None,
            "recipe": None if self._recipe is None else self._recipe.to_dict(),
            "threads": min(self._engine.workers, blocks),
            "prefix": prefix,
        }

    def _layer(
        self, outcome: Outcome, source: ListedFolder | VirtualTree, target: Target, seconds: float
    ) -> PackedLayer:
        if outcome.error is not None:
            raise _named(outcome.error, source, target)
        written = outcome.payload["written"]
        read = outcome.payload["read"] | written.get("tar", {})
        return PackedLayer(
            path=target.name,
            media_type=written["media_type"],
            digest=Digest(written["digest"]),
            size=written["size"],
            diff_id=Digest(read["diff_id"]),
            uncompressed_size=read["uncompressed_size"],
            entries=read["entries"],
            recipe=written["recipe"],
            seconds=seconds,
            findings=() if isinstance(source, VirtualTree) else source.findings,
            annotations=written.get("annotations") or {},
        )


def _named(
    error: BaseException, source: ListedFolder | VirtualTree, target: Target
) -> BaseException:
    """Say which file it was, where a worker knew less."""
    if isinstance(error, OSError) and isinstance(error.filename, str):
        if error.filename == OUTPUT:
            error.filename = target.name
        elif isinstance(source, ListedFolder):
            put_in_front(source.path, error)
    return error
