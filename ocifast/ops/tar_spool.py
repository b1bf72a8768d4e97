"""Where tars of compressed layers wait to be read a second time: files that have no name.

Whether there are any is decided before anything is read, by the room there is. Invariant: what is
in one was verified when the pass that wrote it ended well, and all are gone when the run is.
"""

from __future__ import annotations

import functools
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

from ocifast.ops.source import Window
from ocifast.ops.splice_run import Stream

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Collection

    from ocifast.layer import LayerReport

__all__ = ["TarSpool", "has_room", "nearest_folder"]

TASK: Final = "ocifast.ops.spool_pass:SpoolPass"
ROOM: Final = 10
"""Free bytes a stored byte asks for: tars are three times as long, and the result is to fit too."""


def has_room(folder: str, stored: int) -> bool:
    """Whether there is room for the tars of layers of so many stored bytes."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM * stored


def nearest_folder(path: str) -> str:
    """The folder of a path that is to be made, or the nearest one above it that is there."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


class TarSpool:
    """A file for each layer of `wanted`, by number; what `iter_layers` does also (`Also`)."""

    task = TASK

    def __init__(self, folder: str, wanted: Collection[int], stack: contextlib.ExitStack) -> None:
        self._files = {number: tempfile.TemporaryFile(dir=folder) for number in wanted}  # noqa: SIM115
        for file in self._files.values():
            stack.enter_context(file)
        self._nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        stack.callback(os.close, self._nothing)

    def spec(self, index: int) -> dict[str, Any]:
        """Give what the pass over a layer has to know."""
        return {"spool": index in self._files}

    def open(self, index: int) -> int:
        """Give the file of a layer."""
        file = self._files.get(index)
        return os.dup(self._nothing if file is None else file.fileno())

    def stream(self, index: int, report: LayerReport, window: Window) -> Stream:
        """Where the tar of a layer is to be read that was found to be that."""
        file = self._files.get(index)
        if file is None or os.fstat(file.fileno()).st_size != report.uncompressed_size:
            return Stream(window, str(report.digest))
        opener = functools.partial(os.dup, file.fileno())
        return Stream(Window(report.path, opener, 0, report.uncompressed_size), None)
