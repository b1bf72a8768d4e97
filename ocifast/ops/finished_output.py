"""A file or folder that a run has finished, and what it was asked to be.

It tells the output of an earlier run from whatever else may stand in its place, and from what other
sources or options would have made. It is a value, not the file. Invariant: it is stated before the
output gets its name, so that no crash can leave a finished output that nobody knows of.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FinishedOutput", "identity_of", "request_of"]


@dataclass(frozen=True, slots=True)
class FinishedOutput:
    """An output at `output`; `digest` is of its first manifest."""

    output: str
    digest: str
    request: str
    """What was asked for, as `request_of` says it; empty when this is not all of it."""
    identity: str
    """Which file or folder it is, as `identity_of` says it."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> FinishedOutput:
        """Read one back. Raises TypeError or ValueError for what is none."""
        finished = cls(**values)
        Digest.parse(finished.digest)
        if not all(isinstance(text, str) for text in values.values()):
            raise TypeError("a text is none")
        return finished

    @property
    def is_there(self) -> bool:
        """Whether it stands in its place, and nobody has changed it."""
        try:
            return identity_of(os.lstat(self.output)) == self.identity
        except OSError:
            return False


def identity_of(status: os.stat_result) -> str:
    """What tells a file from all others, and from itself with other bytes; no name is in it."""
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def request_of(sources: Iterable[str | None], *asked: object) -> str:
    """What is asked for in a word; `sources` are fingerprints, one that is None is never the same.

    Example:
        >>> request_of(["a"], "gzip") == request_of(["a"], "gzip") != request_of(["a"], "zstd")
        True
        >>> request_of([None])
        ''
    """
    given = list(sources)
    if None in given:
        return ""
    return hashlib.sha256(repr((given, asked)).encode(errors="surrogateescape")).hexdigest()
