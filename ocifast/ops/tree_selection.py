"""Which entries of a tree are taken: patterns as in a .gitignore, and lists of paths.

A predicate for the walk, which does not descend into what is refused. Invariant: what is below a
folder that is left out is left out, whatever other patterns say, as git has it.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, TypeAlias

from ocifast.tree.path import components

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    Keep: TypeAlias = Callable[[bytes, bool], bool]

__all__ = ["check_listed", "clean_path", "selection"]


def selection(exclude: Sequence[str], listed: Iterable[bytes] | None) -> Keep | None:
    """Give ``keep(path, is_directory)``; None when everything is taken.

    Raises:
        ValueError: A pattern cannot be read, or a path leads out of the tree.

    Example:
        >>> keep = selection(["*.pyc", "!keep.pyc"], [b"src"])
        >>> keep(b"src", True), keep(b"src/a.pyc", False), keep(b"docs", True)
        (True, False, False)
    """
    tests = [_excluding(exclude)] if exclude else []
    if listed is not None:
        tests.append(_listed([clean_path(path) for path in listed]))
    if not tests:
        return None
    return lambda path, is_directory: all(test(path, is_directory) for test in tests)


def clean_path(path: bytes) -> bytes:
    """Give a path of a list without what means nothing. Raises ValueError if it leads out."""
    parts = components(path)
    if path.startswith(b"/") or b".." in parts:
        msg = f"{os.fsdecode(path)!r} is not below the tree: list paths relative to it"
        raise ValueError(msg)
    return b"/".join(parts)


def check_listed(listed: Iterable[bytes], found: Container[bytes]) -> None:
    """Hold a list against the paths that were found.

    Raises:
        FileNotFoundError: A path is not there.
    """
    for path in listed:
        if (clean := clean_path(path)) and clean not in found:
            reason = "it is listed, and not in the tree (or left out of it)"
            raise FileNotFoundError(errno.ENOENT, reason, os.fsdecode(clean))


def _excluding(patterns: Sequence[str]) -> Keep:
    from pathspec import GitIgnoreSpec  # 20 ms, and few need it

    try:
        spec = GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        msg = f"a pattern cannot be read: {error}"
        raise ValueError(msg) from None

    def keep(path: bytes, is_directory: bool) -> bool:  # noqa: FBT001 - called by position
        return not spec.match_file(os.fsdecode(path) + ("/" if is_directory else ""))

    return keep


def _listed(paths: Iterable[bytes]) -> Keep:
    wanted = set(paths)
    above = {path[:at] for path in wanted for at, byte in enumerate(path) if byte == ord("/")}

    def keep(path: bytes, is_directory: bool) -> bool:  # noqa: FBT001 - called by position
        if path in wanted or (is_directory and path in above) or b"" in wanted:
            return True
        return any(path[:at] in wanted for at, byte in enumerate(path) if byte == ord("/"))

    return keep
