"""The encoder of layers that are stored as they are: bytes through.

It has no threads. Invariant: output equals input.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ocifast.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

__all__ = ["IdentityEncoder"]


class IdentityEncoder:
    """Implements `Encoder`; holds one piece at a time."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._finished = False
        self._closed = False
        self._given_up = False

    @property
    def full(self) -> bool:
        """Whether feed() would be refused now."""
        return bool(self._pieces)

    def feed(self, data: ReadableBuffer, release: Callable[[], object] | None = None) -> bool:  # noqa: ARG002
        """Copy a piece; it borrows none.

        Raises:
            StateError: It is full, finished or closed.
        """
        if self._finished or self._closed or self._pieces:
            state = "finished" if self._finished else "closed" if self._closed else "full"
            raise StateError(f"feed() to an encoder that is {state}")
        piece = bytes(memoryview(data).cast("B"))
        if piece:
            self._pieces.append(piece)
        return False

    def finish(self) -> None:
        """State that all input was fed.

        Raises:
            StateError: It is finished or closed.
        """
        if self._finished or self._closed:
            raise StateError("finish() of an encoder that is finished or closed")
        self._finished = True

    def take(self) -> bytes | None:
        """Give the piece back; None when there is none."""
        return self._pieces.popleft() if self._pieces else None

    @property
    def done(self) -> bool:
        """Whether it was finished and everything was taken."""
        return self._finished and not self._given_up and not self._pieces

    def close(self) -> None:
        """Give up, or clean up. May be called at any time, and again."""
        self._given_up = not self.done
        self._closed = True
        self._pieces.clear()
