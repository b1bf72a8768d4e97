"""Images on their last steps: documents made and stored, names moved, archives put together.

That happens in another thread, as an archive takes a while and workers would wait for their next
layer meanwhile; what came of it is told in the thread that asks. Invariant: one thing is written at
a time, in the order in which images got complete.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from ocifast.errors import OcifastError
from ocifast.ops.outputs import FileOutput
from ocifast.ops.rebuild import rebuild

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ocifast.ops.convert_unit import ConvertUnit
    from ocifast.ops.outputs import Output
    from ocifast.ops.rebuild import Rebuilt

    Then = Callable[[list[ConvertUnit], Future[Any]], None]

__all__ = ["ImageWriting"]


class ImageWriting:
    """Writes units whose layers are all done; a context manager.

    `succeeded` and `failed` are told of each from within `collect`, in the thread that calls it;
    `may_write` is asked before an archive is put together.
    """

    def __init__(
        self,
        succeeded: Callable[[ConvertUnit], None],
        failed: Callable[[ConvertUnit, BaseException], None],
        may_write: Callable[[Output], bool],
    ) -> None:
        self._succeeded = succeeded
        self._failed = failed
        self._may_write = may_write
        self._units: dict[Output, list[ConvertUnit]] = {}
        self._output_of: dict[ConvertUnit, Output] = {}
        self._thread = ThreadPoolExecutor(1, "ocifast-writer")
        self._going: list[tuple[list[ConvertUnit], Future[Any], Then]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def expect(self, unit: ConvertUnit, output: Output) -> None:
        """State that a unit will be written to an output, or fail."""
        self._units.setdefault(output, []).append(unit)
        self._output_of[unit] = output

    def output_of(self, unit: ConvertUnit) -> Output | None:
        """Where a unit goes; None when it failed before that was known."""
        return self._output_of.get(unit)

    def begin(self, unit: ConvertUnit) -> None:
        """Have a unit written whose layers are all there."""
        output = self._output_of[unit]

        def write() -> tuple[Rebuilt, bool]:
            assert unit.stored is not None
            rebuilt = rebuild(unit.stored, unit)
            return rebuilt, output.add(output.finished(unit.names, rebuilt), unit.number)

        self._going.append(([unit], self._thread.submit(write), self._written))

    def _written(self, units: list[ConvertUnit], future: Future[Any]) -> None:
        """An image is named, or waits for the others of its archive."""
        (unit,) = units
        unit.rebuilt, shown = future.result()
        if shown:
            self._succeeded(unit)
        else:
            self.settle(unit)

    def settle(self, unit: ConvertUnit) -> None:
        """Write the archive a unit belongs to, if all images are there that can be."""
        output = self._output_of.get(unit)
        if not isinstance(output, FileOutput) or not self._may_write(output):
            return
        waiting = [unit for unit in self._units[output] if unit.result is None]
        if waiting and all(unit.rebuilt is not None for unit in waiting):
            self._going.append((waiting, self._thread.submit(output.write), self._shown))

    def _shown(self, units: list[ConvertUnit], future: Future[Any]) -> None:
        future.result()
        for unit in units:
            self._succeeded(unit)

    def collect(self, *, wait: bool = False) -> None:
        """Take note of what has been written by now, or of all there is."""
        while self._going and (wait or self._going[0][1].done()):
            units, future, then = self._going.pop(0)
            try:
                then(units, future)
            except (OcifastError, OSError) as error:
                for unit in units:
                    self._failed(unit, error)
