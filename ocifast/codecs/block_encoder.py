"""The skeleton of an encoder: input cut into blocks of fixed size, threads, output in order.

It knows how blocks are queued, not how they are squeezed: a codec gives one function for that. What
the function gets depends on the input alone, so its output does. Invariant: at most threads + 2
blocks wait, are being squeezed, or have output nobody took, and one more is being filled.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from ocifast.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

__all__ = ["BlockEncoder"]

Memory: TypeAlias = "bytearray | memoryview"

SPARE_BLOCKS: Final = 2
"""Blocks beside those the threads hold: one ready for whoever is done first, one being taken."""


class Block:
    """A piece of input and, later, what became of it; `output` is None until then."""

    __slots__ = ("is_last", "length", "memory", "number", "output", "release")

    def __init__(
        self,
        memory: Memory,
        length: int,
        release: Callable[[], object] | None,
        *,
        number: int,
        is_last: bool,
    ) -> None:
        self.memory = memory
        self.length = length
        self.release = release
        self.number = number
        self.is_last = is_last
        self.output: bytes | None = None

    def give_back(self) -> None:
        """Let go of what was borrowed."""
        release, self.release = self.release, None
        if release is not None:
            self.memory = bytearray()
            release()


class BlockEncoder:
    """Implements `Encoder` over ``squeeze(block, number, is_last) -> bytes``; numbers count from 0.

    With `threads` of 0 blocks are squeezed inside `feed` and `finish`. With more than one thread
    `squeeze` is called concurrently and must not keep state; with one, blocks come in order. The
    last block may be empty, and comes also when there was no input at all.
    """

    def __init__(
        self,
        squeeze: Callable[[memoryview, int, bool], bytes],
        block_size: int,
        threads: int,
        wake: Callable[[], object] | None,
    ) -> None:
        self._squeeze = squeeze
        self._block_size = block_size
        self._wanted = threads
        self._capacity = threads + SPARE_BLOCKS
        self._wake = wake
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._waiting: deque[Block] = deque()
        self._unordered: deque[Block] = deque()
        self._outputs: deque[bytes] = deque()
        self._spare: list[bytearray] = []
        self._open: Memory | None = None
        self._release: Callable[[], object] | None = None
        self._filled = 0
        self._blocks = 0
        self._finished = False
        self._closed = False
        self._given_up = False
        self._awaited = False
        self._error: BaseException | None = None

    @property
    def full(self) -> bool:
        """Whether feed() would be refused now."""
        with self._changed:
            held = len(self._unordered) + len(self._outputs)
            self._awaited = held >= self._capacity
        return self._error is not None or self._awaited

    def feed(self, data: ReadableBuffer, release: Callable[[], object] | None = None) -> bool:
        """Take a piece: it is copied into the block being filled, or borrowed if it is a block.

        It is only borrowed when `release` is given, which is then called, from any thread, when the
        piece is of no more use. Says whether it was borrowed.

        Raises:
            StateError: It is full, finished or closed.
        """
        if self._finished or self._closed or self.full:
            state = "finished" if self._finished else "closed" if self._closed else "full"
            raise StateError(f"feed() to an encoder that is {state}")
        view = memoryview(data).cast("B")
        if view and self._filled == self._block_size:
            # Handed over only when more comes, so that the last block is known as such.
            self._hand_over(is_last=False)
        if release is not None and self._filled == 0 and len(view) == self._block_size:
            self._open, self._filled, self._release = view, len(view), release
            return True
        self.add(view)
        return False

    def add(self, view: memoryview) -> None:
        """Copy a part of a piece, for one who cuts blocks and has looked whether this is full."""
        while view:
            view = self._fill(view)

    def cut(self) -> None:
        """End the block being filled where it is, if anything is in it."""
        if self._filled:
            self._hand_over(is_last=False)

    def _fill(self, view: memoryview) -> memoryview:
        """Copy as much as the block has room for, and give the rest."""
        if self._filled == self._block_size:
            self._hand_over(is_last=False)
        if self._open is None:
            self._open = self._spare.pop() if self._spare else bytearray(self._block_size)
        count = min(self._block_size - self._filled, len(view))
        # Through a view: a bytearray's own slices copy what is assigned to them first.
        memoryview(self._open)[self._filled : self._filled + count] = view[:count]
        self._filled += count
        return view[count:]

    def finish(self) -> None:
        """State that all input was fed; allowed also while it is full.

        Raises:
            StateError: It is finished or closed.
        """
        if self._finished or self._closed:
            raise StateError("finish() of an encoder that is finished or closed")
        self._finished = True
        self._hand_over(is_last=True)

    def take(self) -> bytes | None:
        """Give the next piece of output in order; None when none is there yet."""
        if self._error is not None:
            raise self._error
        return self._outputs.popleft() if self._outputs else None

    @property
    def done(self) -> bool:
        """Whether it was finished and everything was taken."""
        return self._finished and not self._given_up and self._error is None and self._held() == 0

    def _held(self) -> int:
        """Blocks in both queues, counted while none is on its way from one to the other."""
        with self._changed:
            return len(self._unordered) + len(self._outputs)

    def close(self) -> None:
        """Give up, or clean up; ends its threads. May be called at any time, and again."""
        self._given_up = not self.done
        with self._changed:
            self._closed = True
            waiting = [*self._waiting, self._new_block(is_last=True)]
            self._waiting.clear()
            self._changed.notify_all()
        for block in waiting:
            block.give_back()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._unordered.clear()
        self._outputs.clear()
        self._spare.clear()
        self._open = None
        self._squeeze = _refuse  # what the codec holds, threads of its library among it, goes now

    def _hand_over(self, *, is_last: bool) -> None:
        block = self._new_block(is_last=is_last)
        self._start_thread()
        with self._changed:
            self._unordered.append(block)
            if self._threads:
                self._waiting.append(block)
                self._changed.notify()
        if not self._threads:
            self._work_on(block)

    def _new_block(self, *, is_last: bool) -> Block:
        """Take what has been filled, or nothing, for a block."""
        memory = bytearray() if self._open is None else self._open
        block = Block(memory, self._filled, self._release, number=self._blocks, is_last=is_last)
        self._open, self._filled, self._release = None, 0, None
        self._blocks += 1
        return block

    def _start_thread(self) -> None:
        """Add a thread with each block until there are enough, so that small input needs one."""
        if len(self._threads) >= self._wanted:
            return
        # A daemon: an encoder that was dropped unclosed must not keep the interpreter from ending.
        thread = threading.Thread(target=self._work, name="ocifast-encoder", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had: those there are give the same bytes
            self._wanted = len(self._threads)
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        """Thread: squeeze blocks until closed, or until there can be none any more."""
        while (block := self._next()) is not None:
            self._work_on(block)
            if self._wake is not None and self._is_news():
                self._wake()

    def _is_news(self) -> bool:
        """Whether somebody may wait for what is there now; a bell in vain costs each worker a turn.

        A failure always is: it makes the encoder full, though nobody was waiting for room.
        """
        return bool(self._awaited or self._outputs or self._finished or self._error is not None)

    def _next(self) -> Block | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return None if self._closed else self._waiting.popleft()

    def _work_on(self, block: Block) -> None:
        try:
            filled = memoryview(block.memory)[: block.length]
            output = self._squeeze(filled, block.number, block.is_last)
        except BaseException as error:  # noqa: BLE001 - told by take(), where somebody listens
            self._error = error
            return
        finally:
            block.give_back()
        with self._changed:
            block.output = output
            while self._unordered and (ready := self._unordered[0].output) is not None:
                memory = self._unordered.popleft().memory
                if isinstance(memory, bytearray) and memory:
                    self._spare.append(memory)
                if ready:
                    self._outputs.append(ready)


def _refuse(_block: memoryview, _number: int, _is_last: bool) -> bytes:  # noqa: FBT001 - by position
    raise StateError("the encoder is closed")
