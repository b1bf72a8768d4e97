"""What a diff is to do: what counts as a difference, and what does not.

Values and pure functions; nothing is opened. Invariant: what is ignored is ignored everywhere: it
neither makes two sides differ nor goes into a changeset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ocifast._native import tree_join
from ocifast.limits import DEFAULT_LIMITS, Limits
from ocifast.tree.change import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocifast.limits import Profile

__all__ = ["DOCUMENTS", "MASKS", "SEMANTIC_PATHS", "DiffOptions", "fields_of"]

MASKS: Final = {name: getattr(tree_join, name.upper()) for name in FIELDS}
"""The bit of each field in what `tree_join` says."""

DOCUMENTS: Final = ("config", "manifest")

SEMANTIC_PATHS: Final = (
    "*.pyc",
    "/etc/*-",
    "/etc/.pwd.lock",
    "/etc/ld.so.cache",
    "/etc/machine-id",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/run/**",
    "/tmp/**",  # noqa: S108 - of the image
    "/var/cache/ldconfig/aux-cache",
    "/var/cache/debconf/*",
    "/var/cache/apt/**",
    "/var/lib/apt/lists/**",
    "/var/lib/dpkg/*-old",
    "/var/lib/systemd/random-seed",
    "/var/log/**",
)
"""What a rebuild of the same recipe writes anew: bytecode with times in it, caches, logs, backups
of account files, and what engines mount over. Patterns as in a .gitignore."""

_SEMANTIC_FIELDS: Final = frozenset({"mtime"})


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """What a diff is to do; the defaults are those of `diff`.

    Raises:
        ValueError: A name to ignore is none of the fields and documents.
    """

    ignore: tuple[str, ...] = ()
    """Fields that do not count (`ocifast.tree.change.FIELDS`), ``config``, ``manifest``."""
    exclude: tuple[str, ...] = ()
    """Paths that do not count: patterns as in a .gitignore."""
    quick: bool = False
    """Read no content: size and time stand for it."""
    semantic: bool = False
    """Leave out what a rebuild of the same recipe changes: times, and `SEMANTIC_PATHS`."""
    renames: bool = False
    """Show a file that went and one that came with the same content as one rename."""
    layers: bool = False
    """Compare layer by layer, whiteouts as entries, instead of what the layers come to."""
    platform: str | None = None
    """Which image of an index, on both sides; ``A,B`` when two are meant to be compared."""
    profile: Profile = "compat"
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        for name in self.ignore:
            if name not in FIELDS and name not in DOCUMENTS:
                known = ", ".join((*FIELDS, *DOCUMENTS))
                msg = f"{name[:40]!r} cannot be ignored: there are {known}"
                raise ValueError(msg)

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns of paths that do not count."""
        return (*SEMANTIC_PATHS, *self.exclude) if self.semantic else self.exclude

    @property
    def mask(self) -> int:
        """The bits of fields that count.

        Example:
            >>> bin(DiffOptions(semantic=True).mask)
            '0b1111101111'
        """
        ignored = set(self.ignore) | (_SEMANTIC_FIELDS if self.semantic else frozenset())
        return sum(bit for name, bit in MASKS.items() if name not in ignored)

    @property
    def reads_content(self) -> bool:
        """Whether files are read where nothing else tells."""
        return not self.quick and bool(self.mask & MASKS["content"])

    @property
    def platforms(self) -> tuple[str | None, str | None]:
        """The platform of each side."""
        first, comma, second = (self.platform or "").partition(",")
        return first or None, (second if comma else first) or None


def fields_of(mask: int) -> tuple[str, ...]:
    """Give the names of the bits of a mask.

    Example:
        >>> fields_of(MASKS["mode"] | MASKS["content"])
        ('mode', 'content')
    """
    found: Iterable[str] = (name for name, bit in MASKS.items() if mask & bit)
    return tuple(found)
