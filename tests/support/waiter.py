"""A task for the engine that has a thread of its own, and one that reads several descriptors.

A worker started by fork finds them under the names `install` gives.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

WAITER = "ocifast.ops.waiter:Waiter"
SUMMER = "ocifast.ops.waiter:Summer"


class Waiter:
    """Waits for a thread `rounds` times, and says how often it was asked meanwhile.

    With `fail` it fails after the first round; with `deaf` the thread does not ring the bell.
    """

    def __init__(self, spec: dict[str, Any], source: object, arena: Any) -> None:
        if isinstance(source, int):
            os.close(source)
        self._spec, self._arena = spec, arena
        self._left = spec["rounds"]
        self._steps = 0
        self._ready = threading.Event()
        self.lanes: tuple[int, ...] = ()
        self._begin()

    def _begin(self) -> None:
        self._ready.clear()
        self._timer = threading.Timer(self._spec["seconds"], self._ring)
        self._timer.daemon = True
        self._timer.start()

    def _ring(self) -> None:
        self._ready.set()
        self._arena.wake()

    @property
    def progress(self) -> tuple[int, int]:
        return self._spec["rounds"] - self._left, self._steps

    @property
    def waiting(self) -> bool:
        return self._left > 0

    def step(self) -> bool:
        self._steps += 1
        if not self._left or not self._ready.is_set():
            return False
        self._timer.join()
        self._left -= 1
        if self._spec.get("fail"):
            raise ValueError("as asked")
        if self._left:
            self._begin()
        return True

    def finished(self) -> bool:
        return not self._left

    def result(self) -> tuple[dict[str, Any], list[int]]:
        return {"steps": self._steps}, []

    def abandon(self) -> bool:
        self._timer.cancel()
        self._timer.join()
        return True


class Summer:
    """Reads all its descriptors at once, and gives one back for each."""

    waiting = False
    progress = (0, 0)

    def __init__(self, spec: dict[str, Any], source: object, arena: Any) -> None:
        self.lanes: tuple[int, ...] = ()
        descriptors = source if isinstance(source, tuple) else (source,)
        self._found = [os.pread(descriptor, 100, 0).decode() for descriptor in descriptors]
        for descriptor in descriptors:
            os.close(descriptor)

    def step(self) -> bool:
        return False

    def finished(self) -> bool:
        return True

    def result(self) -> tuple[dict[str, Any], list[int]]:
        made = []
        for text in self._found:
            made.append(os.memfd_create("summer"))
            os.write(made[-1], text[::-1].encode())
        return {"found": self._found}, made

    def abandon(self) -> bool:
        return True


def install() -> None:
    sys.modules["ocifast.ops.waiter"] = sys.modules[__name__]
