"""What an encoder is: bytes of a tar in, bytes of a blob out, the same for any number of threads.

An encoder knows how bytes are squeezed; it does not know files, tar, or media types. Invariant:
what comes out depends on the recipe and on the bytes fed in, never on how they were cut into
pieces, on threads, or on timing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

__all__ = ["Encoder"]


class Encoder(Protocol):
    """Push-style compressor of one blob, without I/O, whose threads work in the background.

    Feed pieces while it is not `full`, take output whenever there is some, `finish` at the end and
    take until `done`. With threads, whoever made it is told through a callback, from one of those
    threads, each time output has appeared or room has been made. Memory is bounded: `full` stays
    true until something was taken or compressed.
    """

    @property
    def full(self) -> bool:
        """Whether feed() would be refused now."""

    def feed(self, data: ReadableBuffer, release: Callable[[], object] | None = None) -> bool:
        """Take a piece of at most 1 MiB, and say whether it was borrowed.

        It is copied or consumed before this returns, unless `release` is given and it suits the
        encoder to borrow it; `release` is then called, from any thread, when it is of no more use.

        Raises:
            StateError: It is full, or finished.
        """

    def finish(self) -> None:
        """State that all input was fed; allowed also while it is full."""

    def take(self) -> bytes | None:
        """Give the next piece of output in order; None when none is there yet.

        Raises:
            OcifastError, MemoryError: A thread has failed.
        """

    @property
    def done(self) -> bool:
        """Whether it was finished and everything was taken."""

    def close(self) -> None:
        """Give up, or clean up; ends its threads. May be called at any time, and again."""
