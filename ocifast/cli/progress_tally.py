"""What the events of a run add up to: bytes, layers and images done, speed, time left.

It shows nothing and asks no clock; times are given to it. Invariant: however often layers are
started again or plans change, what is done never exceeds what there is to do.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from ocifast.cli.output import shown
from ocifast.cli.quantity import duration_text, size_text
from ocifast.ops.progress import (
    Event,
    ImageFinished,
    LayerAdvanced,
    LayerFinished,
    LayerStarted,
    Planned,
)

__all__ = ["ActiveLayer", "Tally", "layer_label"]

WINDOW_SECONDS: Final = 15.0
"""Speed is that of the last seconds: it shows a disk that stalls, and does not jump about."""

SAMPLE_SECONDS: Final = 0.5
DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class ActiveLayer:
    """A layer that is being worked on."""

    __slots__ = ("done", "label", "size")

    def __init__(self, label: str, size: int) -> None:
        self.label, self.size, self.done = label, size, 0


class Tally:
    """The state of a run; feed it events."""

    def __init__(self) -> None:
        self.planned = Planned(0, 0, 0, 0, 0, 0)
        self.active: dict[str, ActiveLayer] = {}
        self.images = 0
        self.failed = 0
        self._finished: dict[str, int] = {}
        self._finished_size = 0
        self._samples: deque[tuple[float, int]] = deque()

    def take(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case LayerAdvanced(key, done, _):
                if key in self.active:
                    layer = self.active[key]
                    layer.done = min(done, layer.size) if layer.size else done
            case LayerStarted(key, image, size):
                self._finished_size -= self._finished.pop(key, 0)  # another copy is tried
                self.active[key] = ActiveLayer(layer_label(key, image), size)
            case LayerFinished(key, size):
                self.active.pop(key, None)
                self._finished_size += size - self._finished.get(key, 0)
                self._finished[key] = size
            case ImageFinished():
                self.images += 1
                self.failed += event.error is not None
            case Planned():
                self.planned = event

    def sample(self, now: float) -> None:
        """Note where things are at a time; the speed is made of these."""
        if self._samples and now - self._samples[-1][0] < SAMPLE_SECONDS:
            return
        self._samples.append((now, self.done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def layers(self) -> int:
        """How many layers are done."""
        return len(self._finished)

    @property
    def done(self) -> int:
        """Stored bytes that are read."""
        return min(self._finished_size + sum(a.done for a in self.active.values()), self.size)

    @property
    def size(self) -> int:
        """Stored bytes there are to read."""
        known = self._finished_size + sum(layer.size for layer in self.active.values())
        return max(self.planned.size, known)

    @property
    def speed(self) -> float | None:
        """Bytes a second, of late."""
        if len(self._samples) < 2:
            return None
        (began, before), (now, after) = self._samples[0], self._samples[-1]
        return (after - before) / (now - began) if after > before else None

    @property
    def percent(self) -> int:
        """How much is done; 100 only when all is."""
        return self.done * 100 // self.size if self.size else 0

    def counts(self) -> str:
        """Say how many images and layers are done, and what sharing saves."""
        plan = self.planned
        failed = f" ({self.failed} failed)" if self.failed else ""
        images, layers = f"{self.images}", f"{self.layers}"
        if plan.images:  # else the plan is still to come: a stream is read before it is known
            images += f"/{max(plan.images, self.images)}"
            layers += f"/{max(plan.layers, self.layers)}"
        parts = [f"{images} images{failed}", f"{layers} layers"]
        if plan.shared_layers:
            parts.append(f"{plan.shared_layers} shared ({size_text(plan.shared_size)} saved)")
        if plan.resumed_layers:
            parts.append(f"{plan.resumed_layers} done earlier")
        return ", ".join(parts)

    def amounts(self) -> str:
        """Say how many bytes are done, how fast, and how long the rest takes."""
        parts = [f"{self.percent} %", f"{size_text(self.done)} of {size_text(self.size)}"]
        speed = self.speed
        if speed:
            parts.append(f"{size_text(speed)}/s")
            parts.append(f"{duration_text((self.size - self.done) / speed)} left")
        return ", ".join(parts)


def layer_label(key: str, image: str) -> str:
    """Name a layer for a person: the digest's beginning, and a file it is in.

    Example:
        >>> layer_label("sha256:" + "4f" * 32, "/srv/images/app.tar")
        '4f4f4f4f4f4f app.tar'
    """
    found = DIGEST.search(key)
    layer = found[0][:12] if found else key.rsplit("/", 1)[-1]
    return shown(f"{layer} {image.rstrip('/').rsplit('/', 1)[-1]}")
