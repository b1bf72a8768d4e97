"""A task for the engine that dies, fails or answers oddly where it is told to.

A worker started by fork finds it under the name `install` gives it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from typing import Any

TASK = "ocifast.ops.probe:Probe"


class Probe:
    """Does `steps` steps; at the point `at` it does what `do` says."""

    waiting = False

    def __init__(self, spec: dict[str, Any], source: object, arena: Any) -> None:
        descriptors = (source,) if isinstance(source, int) else source or ()
        for descriptor in descriptors if isinstance(descriptors, tuple) else ():
            os.close(descriptor)
        self.spec, self.arena = spec, arena
        self.left = spec.get("steps", 3)
        self.lanes: tuple[int, ...] = ()
        self.reach("init")

    @property
    def progress(self) -> tuple[int, int]:
        return self.spec.get("steps", 3) - self.left, 0

    def reach(self, point: str) -> None:
        if self.spec.get("at") != point:
            return
        what = self.spec["do"]
        if what == "lock":  # the mutex is the first thing in the arena: die as its owner
            memoryview(self.arena)[:4] = (1).to_bytes(4, "little")
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "raise":
            raise ValueError("as asked")
        if what == "exit":
            os._exit(7)
        if what == "hang":
            while True:
                signal.pause()
        faulthandler.disable()  # a fork of pytest has its handler
        os.kill(os.getpid(), getattr(signal, what))

    def step(self) -> bool:
        if not self.left:
            return False
        self.left -= 1
        slot = self.arena.take()
        self.reach("step")
        self.arena.release(slot)
        return True

    def finished(self) -> bool:
        self.reach("finished")
        return self.left == 0

    def result(self) -> tuple[dict[str, Any], list[int]]:
        made = [os.memfd_create("probe") for _ in range(self.spec.get("descriptors", 0))]
        self.reach("result")
        return {"echo": self.spec.get("echo"), "text": "x" * self.spec.get("long", 0)}, made

    def abandon(self) -> bool:
        self.reach("abandon")
        return True


def install() -> None:
    sys.modules["ocifast.ops.probe"] = sys.modules[__name__]
