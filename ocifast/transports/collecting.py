"""Going on after an error: whoever wants all that is wrong gives something to collect it.

For `verify`; everybody else has the first error raised. It decides nothing about what is an error.
*Invariant:* without a collector nothing is swallowed, and with one only errors of this package are.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeAlias

from ocifast.errors import OcifastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Collect", "collecting"]

Collect: TypeAlias = "Callable[[str, OcifastError], object]"
"""Told the name of the file that is wrong, and what is wrong with it."""


@contextlib.contextmanager
def collecting(collect: Collect | None, name: str) -> Iterator[None]:
    """Give errors about a file to `collect`, if there is one; the block ends where one came up.

    Example:
        >>> with collecting(print, "index.json"):
        ...     raise OcifastError("it is broken")
        index.json it is broken
    """
    try:
        yield
    except OcifastError as error:
        if collect is None:
            raise
        collect(name, error)
