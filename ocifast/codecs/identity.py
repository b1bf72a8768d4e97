"""The codec of layers that are not compressed: a bounded copy.

It exists so that everything above can treat all layers alike. Invariant: output equals input, and
a stream can restart at every byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.codecs.base import Codec, SteppedDecoder

if TYPE_CHECKING:
    from ocifast.limits import Limits, Profile

__all__ = ["CODEC", "IdentityDecoder"]


class IdentityDecoder(SteppedDecoder):
    """Copies; every length is legal, the empty blob too."""

    codec = "identity"

    def __init__(self, limits: Limits, profile: Profile, _backend: str | None = None) -> None:
        super().__init__(limits, profile, "memoryview")
        self._enter(IdentityDecoder._copy, None)

    def _copy(self, room: memoryview) -> int:
        count = min(len(room), len(self._view) - self._at)
        room[:count] = self._view[self._at : self._at + count]
        self._at += count
        self.restart = (self.stored, self.produced + count)
        return count


CODEC: Final = Codec("identity", lambda _head: False, IdentityDecoder)
