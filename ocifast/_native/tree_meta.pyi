from collections.abc import Sequence
from typing import final

__pyx_capi__: dict[str, object]  # what tree_meta.pxd offers to compiled modules

@final
class Metadata:
    def __init__(
        self,
        *,
        uids: Sequence[tuple[int, int, int]] = (),
        gids: Sequence[tuple[int, int, int]] = (),
        rootless: bool = False,
        overlay: bool = False,
        umask: int = 0o777,
    ) -> None: ...
    @property
    def lost(self) -> list[tuple[int, int]]: ...
