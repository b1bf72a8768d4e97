"""What a long run tells while it goes on: events, given to a callback.

The same events serve `convert` and `verify`. Invariant: events are told in the calling thread, in
the order things happen, and nothing of a result depends on whether anybody listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Event",
    "ImageFinished",
    "LayerAdvanced",
    "LayerFinished",
    "LayerStarted",
    "Planned",
    "Progress",
]


class Planned(NamedTuple):
    """What there is to do; told again when more becomes known (a stream shows what is in it late).

    `size` counts stored bytes to be read, each distinct layer once; `shared_layers` and
    `shared_size` count those that need no work because another image has them, `resumed_layers`
    those an earlier run has finished.
    """

    images: int
    layers: int
    size: int
    shared_layers: int
    shared_size: int
    resumed_layers: int


class LayerStarted(NamedTuple):
    """Work on a layer begins; `key` names it in later events, `image` is one that needs it."""

    key: str
    image: str
    size: int


class LayerAdvanced(NamedTuple):
    """`done` of its stored bytes are read, `written` bytes of output are there."""

    key: str
    done: int
    written: int


class LayerFinished(NamedTuple):
    """A layer is done; `written` is its size now, `error` a sentence when it failed."""

    key: str
    size: int
    written: int
    seconds: float
    error: str | None


class ImageFinished(NamedTuple):
    """An image is complete under its final name, or given up."""

    image: str
    layers: int
    shared_layers: int
    size_before: int
    size_after: int
    seconds: float
    error: str | None


Event: TypeAlias = Planned | LayerStarted | LayerAdvanced | LayerFinished | ImageFinished
Progress: TypeAlias = "Callable[[Event], object]"
