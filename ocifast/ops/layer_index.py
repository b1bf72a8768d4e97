"""A layer as a diff needs it: what it is, its table in the order of a tree, digests of contents.

It is what `ocifast index` saves, so that a layer need not be read again. Invariant: applied in the
layer's place it makes the same tree: whiteouts are in it, and so are links to layers below.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocifast.engine import Engine, default_engine
from ocifast.errors import DiffIdMismatch
from ocifast.formats.tar import FLAG_OPAQUE, FLAG_WHITEOUT
from ocifast.limits import DEFAULT_LIMITS, Limits
from ocifast.ops.effective_tree import TreeLayer, of_layers
from ocifast.ops.hash import iter_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer

    from ocifast.formats.tar import EntryTable
    from ocifast.layer import LayerReport
    from ocifast.limits import Profile
    from ocifast.ops.hash import Also
    from ocifast.ops.progress import Progress
    from ocifast.ops.source import Source
    from ocifast.spec.descriptor import Descriptor
    from ocifast.spec.digest import Digest

__all__ = ["LayerIndex", "index_layer", "read_layers"]


@dataclass(frozen=True, slots=True)
class LayerIndex:
    """A layer without its bytes; `contents` has 32 bytes a row, zeros for what is no file.

    `path` is what the layer was called when it was read; the other facts are those of
    `LayerReport`.
    """

    path: str
    media_type: str
    digest: Digest
    size: int
    diff_id: Digest
    uncompressed_size: int
    entries: int
    table: EntryTable
    contents: ReadableBuffer

    def as_layer(self) -> TreeLayer:
        """Give it as it is applied."""
        flags = self.table.array["flags"]
        is_flat = not (flags & (FLAG_WHITEOUT | FLAG_OPAQUE)).any()
        return TreeLayer(self.table, self.contents, is_flat=bool(is_flat))

    def to_dict(self) -> dict[str, object]:
        """Give the facts as they stand in JSON, with the keys every verb describes layers by."""
        return {
            "path": self.path,
            "media_type": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            "diff_id": str(self.diff_id),
            "uncompressed_size": self.uncompressed_size,
            "entries": self.entries,
        }


def index_layer(
    source: Source,
    *,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
    expected: Descriptor | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> LayerIndex:
    """Read a layer once, and give its index.

    Takes what `ocifast.hash_layer` takes, and raises the same; `progress` is called with each
    `ocifast.ops.progress.Event`.

    Example:
        >>> index_layer(bytes(1024)).entries
        0
    """
    (report,) = read_layers(
        [source],
        engine or default_engine(),
        profile=profile,
        limits=limits,
        expected=[expected],
        tell=progress,
    )
    assert report.table is not None
    tree = of_layers([TreeLayer(report.table, report.contents)], limits, as_entries=True)
    assert tree.contents is not None
    return LayerIndex(
        path=report.path,
        media_type=report.media_type,
        digest=report.digest,
        size=report.size,
        diff_id=report.diff_id,
        uncompressed_size=report.uncompressed_size,
        entries=report.entries,
        table=tree.table,
        contents=tree.contents,
    )


def read_layers(  # noqa: PLR0913 - all but two by keyword only
    sources: Sequence[Source],
    engine: Engine,
    *,
    profile: Profile,
    limits: Limits,
    expected: Sequence[Descriptor | None],
    diff_ids: Sequence[Digest | None] = (),
    contents: bool = True,
    tell: Progress | None = None,
    also: Also | None = None,
) -> list[LayerReport]:
    """Read layers, several at a time, each with its table; raises the first failure.

    `also` says what else is done in the pass over each.
    """
    found: dict[int, LayerReport] = {}
    results = iter_layers(
        sources,
        engine,
        profile=profile,
        limits=limits,
        expected=expected,
        table=True,
        contents=contents,
        tell=tell,
        also=also,
    )
    with contextlib.closing(results):
        for number, report in results:
            if isinstance(report, BaseException):
                raise report
            promised = diff_ids[number] if number < len(diff_ids) else None
            if promised is not None and promised != report.diff_id:
                error = DiffIdMismatch(promised, report.diff_id)
                error.add_note(f"while reading {report.path}")
                raise error
            found[number] = report
    return [found[number] for number in range(len(sources))]
