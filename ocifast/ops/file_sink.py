"""Pieces of a tar on their way to disk: written at once, or in a thread while more is read.

It holds slots of an arena until they are written. Invariant: pieces are written in order, and each
slot is given back exactly once, whatever happens.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ocifast._native.arena import Arena
    from ocifast._native.tar_files import FileWriter

__all__ = ["FileSink"]

PIECES: Final = 12
"""Pieces that wait at most: of the 16 slots a worker has, some are left to read and hash in."""


class FileSink:
    """Writes what a `FileCutter` said of pieces; with a thread it never blocks whoever feeds it."""

    def __init__(self, writer: FileWriter, arena: Arena, *, threaded: bool) -> None:
        self._writer = writer
        self._arena = arena
        self._changed = threading.Condition()
        self._queue: deque[tuple[bytes, int, memoryview]] = deque()
        self._working = False
        self._ended = False
        self.error: BaseException | None = None
        """What the thread has failed with; it is told here, and nothing is written any more."""
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._work, name="ocifast-files", daemon=True)
            self._thread.start()

    @property
    def full(self) -> bool:
        """Whether nothing should be put in now."""
        return len(self._queue) >= PIECES

    @property
    def idle(self) -> bool:
        """Whether all that was put in is written, or never will be."""
        return self.error is not None or (not self._queue and not self._working)

    def put(self, parts: bytes, slot: int, piece: memoryview) -> None:
        """Write the parts of a piece, which lies in a slot.

        Raises:
            TreeError, OSError: It cannot be written; with a thread, `error` says so later.
        """
        if self._thread is None:
            self._writer.write(parts, piece)
            return
        self._arena.hold(slot)
        with self._changed:
            self._queue.append((parts, slot, piece))
            self._changed.notify()

    def close(self) -> None:
        """End the thread; what was not written by then never is. May be called again."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._writer.close()
        while self._queue:
            self._arena.release(self._queue.popleft()[1])

    def _work(self) -> None:
        """Thread: write pieces until it is told to end, or one fails."""
        while (job := self._next()) is not None:
            parts, slot, piece = job
            try:
                self._writer.write(parts, piece)
            except BaseException as error:  # noqa: BLE001 - told where somebody listens
                self.error = error
            finally:
                piece.release()
                self._arena.release(slot)
                self._working = False
            self._arena.wake()
            if self.error is not None:
                return

    def _next(self) -> tuple[bytes, int, memoryview] | None:
        with self._changed:
            while not self._queue and not self._ended:
                self._changed.wait()
            if self._ended:
                return None
            self._working = True
            return self._queue.popleft()
