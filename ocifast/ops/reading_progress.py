"""What is told while layers are read that come to nothing but a report: how far each is.

Invariant: of every layer that was started it is told that it is finished, unless the run ends.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ocifast.ops.progress import LayerAdvanced, LayerFinished, LayerStarted, Planned

if TYPE_CHECKING:
    from ocifast.ops.progress import Progress

__all__ = ["ReadingProgress"]


class ReadingProgress:
    """Tells of layers by number; `sizes` are stored bytes, 0 where only reading will tell.

    Example:
        >>> told = []
        >>> progress = ReadingProgress(told.append, {0: "layer.tar"}, {0: 1024})
        >>> progress.advance(0, 512, 0)
        >>> [type(event).__name__ for event in told]
        ['Planned', 'LayerStarted', 'LayerAdvanced']
    """

    def __init__(self, tell: Progress, names: dict[int, str], sizes: dict[int, int]) -> None:
        self._tell, self._names, self._sizes = tell, names, sizes
        self._began: dict[int, float] = {}
        tell(Planned(1, len(names), sum(sizes.values()), 0, 0, 0))

    def advance(self, index: int, done: int, written: int) -> None:
        """Tell that so many bytes of a layer are read."""
        if index not in self._began:
            self._began[index] = time.monotonic()
            self._tell(LayerStarted(str(index), self._names[index], self._sizes[index]))
        self._tell(LayerAdvanced(str(index), done, written))

    def finish(self, index: int, size: int, error: str | None = None) -> None:
        """Tell that a layer of `size` bytes is done, or has failed."""
        self.advance(index, size, 0)
        seconds = time.monotonic() - self._began[index]
        self._tell(LayerFinished(str(index), size, 0, seconds, error))
