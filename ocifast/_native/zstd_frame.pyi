# Where zstd frames end, known from their headers; zstd_frame.h is the contract of the kernel.
# Not thread-safe: one walker belongs to one stream. Its memory is constant, it borrows `data` for
# the call and keeps the GIL. CompressedDataError: not headers of frames a layer may have.
# LimitExceeded: a window, the skippable frames together, or the number of frames is over its cap.

from typing import final

from _typeshed import ReadableBuffer

@final
class FrameWalker:
    def __init__(self, window_bytes: int, skippable_bytes: int, frames: int) -> None: ...

    # Takes bytes from data[start:] up to the next end of a frame; returns how many. Afterwards
    # `inside` is None exactly when the last byte taken ended a frame. After an error: use no more.
    def walk(self, data: ReadableBuffer, start: int = 0) -> int: ...

    # What the walk stopped in the middle of; None at a border, the only place a blob may end.
    @property
    def inside(self) -> str | None: ...

    # Finished frames of both kinds, and those that are not skippable.
    @property
    def frames(self) -> int: ...
    @property
    def data_frames(self) -> int: ...

    # Sizes of the skippable frames begun so far, headers included.
    @property
    def skippable_bytes(self) -> int: ...

    # Of the current frame, at a border of the last one; no declared content size is None.
    @property
    def content_size(self) -> int | None: ...
    @property
    def window(self) -> int: ...
    @property
    def has_checksum(self) -> bool: ...
