from collections.abc import Sequence
from typing import final

@final
class Metadata:
    def __init__(
        self,
        uids: Sequence[tuple[int, int, int]] = (),
        gids: Sequence[tuple[int, int, int]] = (),
        *,
        rootless: bool = False,
        overlay: bool = False,
        umask: int = 0o777,
    ) -> None: ...
    @property
    def lost(self) -> list[tuple[int, int]]: ...
