"""`unpack`: layers become a tree on disk, after every one of them is proven.

Layers are read once, several at a time; contents of files go to a private folder on the way, and
what all tables come to decides where they belong. Invariant: no path of a layer reaches the file
system before all digests and diff_ids are right; what fails leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Final

from ocifast.engine import Engine
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.errors import StoreError, UnsupportedError
from ocifast.ops.diff_options import DiffOptions
from ocifast.ops.diff_side import SideLayer, open_side
from ocifast.ops.kept_tree import kept
from ocifast.ops.layer_index import read_layers
from ocifast.ops.overlay_tree import overlaid
from ocifast.ops.source import open_source
from ocifast.ops.staging import Staging
from ocifast.ops.tree_on_disk import (
    MadeTree,
    contents_of,
    finish_root,
    merged,
    named_loss,
    place,
)
from ocifast.ops.unpack_options import UnpackOptions
from ocifast.ops.unpack_pass import TREE
from ocifast.ops.unpacking import UnpackReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.layer import Finding, LayerReport
    from ocifast.ops.diff_side import Given
    from ocifast.ops.progress import Progress
    from ocifast.ops.source import Source

__all__ = ["unpack"]

TASK: Final = "ocifast.ops.unpack_pass:UnpackPass"
THREADED_BYTES: Final = 8 << 20
"""Less than this is written where it is read: a thread costs more than it gains."""


def unpack(
    source: Given | Sequence[Source],
    dest: str | os.PathLike[str],
    *,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> UnpackReport:
    """Unpack an image, or layers, into a folder that is complete when it is seen.

    Args:
        source: A reference, a layer, an `Image`, or layers from the base up.
        dest: The folder to make; it is not there yet, or empty.
        engine: Where to work; by default one is made for this call.
        workers: Worker processes of that engine; 0 works in this process.
        progress: Called with each `ocifast.ops.progress.Event`, in this thread.
        **options: The fields of `UnpackOptions`.

    Raises:
        DigestMismatch, DiffIdMismatch, SizeMismatch: A layer is not what was promised.
        TreeError: Something in it cannot be made here, or is refused.
        OcifastError: It is malformed, or something is over a limit.
        OSError: Something cannot be read or made; it is named.
        ValueError, TypeError: An option is not one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     unpack(bytes(1024), folder + "/tree", workers=0).entries
        0
    """
    for name in ("uid_map", "gid_map"):
        if name in options:
            options[name] = tuple(tuple(each) for each in options[name])
    chosen = UnpackOptions(**options)
    began = time.monotonic()
    path = os.fspath(dest)
    with contextlib.ExitStack() as stack:
        layers = layers_of(source, chosen, stack)
        if engine is None:
            engine = stack.enter_context(Engine(workers, slot_bytes=BLOCK_SLOT_BYTES))
        staging = stack.enter_context(Staging(path, replace=chosen.replace, in_place=chosen.keep))
        unpacking = Unpacking(chosen, staging, layers)
        reports = unpacking.read(engine, progress)
        made = unpacking.make(reports)
        staging.show(sync=chosen.sync)
    seconds = time.monotonic() - began
    left = (staging.left,) if staging.left else ()
    findings = (*made.findings, *_findings(reports), *left)
    return UnpackReport(path, tuple(reports), made.entries, made.size, findings, seconds)


def layers_of(
    source: Given | Sequence[Source], options: UnpackOptions, stack: contextlib.ExitStack
) -> list[SideLayer]:
    """Find out which layers are meant. Raises as `unpack`; what is opened is closed by `stack`."""
    if isinstance(source, (list, tuple)):
        return [SideLayer(_name(each, at), each) for at, each in enumerate(source)]
    sides = DiffOptions(profile=options.profile, limits=options.limits)
    side = open_side(source, options.platform, sides, stack)  # type: ignore[arg-type]
    if side.root is not None:
        raise StoreError(side.name, "", "it is a folder of files, and no image or layer")
    if any(layer.source is None for layer in side.layers):
        raise UnsupportedError(f"{side.name}: an index of a layer has none of its contents")
    return side.layers


def _name(source: Source, number: int) -> str:
    return os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else f"<layer {number}>"


class Unpacking:
    """Layers on their way into a staging folder; what `read_layers` does also (`Also`)."""

    task = TASK

    def __init__(self, options: UnpackOptions, staging: Staging, layers: list[SideLayer]) -> None:
        self._options = options
        self._staging = staging
        self._layers = layers
        self._contents = [staging.folder(f"layer-{number}") for number in range(len(layers))]
        self._threaded = sum(map(_stored_bytes, layers)) > THREADED_BYTES

    def spec(self, index: int) -> dict[str, Any]:  # noqa: ARG002 - the same for all
        """Give what the pass over a layer has to know."""
        return {
            "metadata": self._options.metadata,
            "threaded": self._threaded,
            "path": self._staging.path,
        }

    def open(self, index: int) -> int:
        """Give the folder for the contents of a layer's files."""
        return os.dup(self._contents[index])

    def read(self, engine: Engine, tell: Progress | None) -> list[LayerReport]:
        """Read, prove and write out all layers; raises the first failure."""
        return read_layers(
            [layer.source for layer in self._layers],  # type: ignore[misc]
            engine,
            profile=self._options.profile,
            limits=self._options.limits,
            expected=[layer.descriptor for layer in self._layers],
            diff_ids=[layer.diff_id for layer in self._layers],
            contents=False,
            tell=tell,
            also=self,
        )

    def make(self, reports: list[LayerReport]) -> MadeTree:
        """Make the tree of layers that are proven."""
        tables = [report.table for report in reports if report.table is not None]
        contents = list(map(contents_of, self._contents, tables))
        root, options, path = self._staging.root, self._options, self._staging.path
        if options.overlay:
            return overlaid(tables, contents, root, options, path)
        if options.keep:
            hold = self._staging.folder("kept")
            made = kept(tables, contents, hold, root, options, path)
        else:
            made = place(merged(tables, options), contents, root, options, path)
        finish_root(root, tables, options, is_new=not self._staging.in_place)
        return made


def _stored_bytes(layer: SideLayer) -> int:
    """How long a layer is, as far as that can be told; what cannot is taken to be long."""
    if layer.descriptor is not None and layer.descriptor.size is not None:
        return layer.descriptor.size
    opened = open_source(layer.source) if layer.source is not None else None
    return THREADED_BYTES + 1 if opened is None or opened.size is None else opened.size


def _findings(reports: Sequence[LayerReport]) -> list[str]:
    return [_sentence(report, finding) for report in reports for finding in report.findings]


def _sentence(report: LayerReport, finding: Finding) -> str:
    if finding.stream == TREE and report.table is not None:
        return f"{report.path}: {named_loss(finding.text, finding.offset, report.table)}"
    return f"{report.path}: {finding.text} ({finding.stream} byte {finding.offset})"
