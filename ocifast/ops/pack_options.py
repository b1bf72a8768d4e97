"""What packing a tree is to do: its options, and the recipe they come to.

Values and pure functions; nothing is opened. Invariant: options that contradict each other are
refused before anything is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from ocifast.codecs.recipe import RECIPES, SEEKABLE, Recipe, recipe
from ocifast.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["GZIP_LEVEL", "OwnerRule", "PackOptions", "Sort", "clean_prefix", "recipe_of"]

Compression: TypeAlias = Literal["gzip", "zstd", "zstd:chunked", "estargz", "none"]
Sort: TypeAlias = Literal["name", "extension"]

GZIP_LEVEL: Final = 6
"""Without a level: a layer is packed once and pulled often, so it is to be smaller than `pigz -6`
makes it. Figures of all levels are beside the recipes."""

ID_MAX: Final = 2**32 - 2
_RULE: Final = re.compile(r"([0-9]*):([0-9]*)=([0-9]*):([0-9]*)")


class OwnerRule(NamedTuple):
    """Whoever owns as on the left gets what is on the right; None matches, or keeps, any."""

    uid: int | None
    gid: int | None
    new_uid: int | None
    new_gid: int | None

    @classmethod
    def parse(cls, text: str) -> OwnerRule:
        """Read ``UID:GID=UID:GID``, where any of the four may be empty.

        Raises:
            ValueError: It is none.

        Example:
            >>> OwnerRule.parse("1000:=0:0")
            OwnerRule(uid=1000, gid=None, new_uid=0, new_gid=0)
        """
        found = _RULE.fullmatch(text)
        numbers = [int(part) if part else None for part in found.groups()] if found else []
        if not numbers or any(number is not None and number > ID_MAX for number in numbers):
            msg = f"{text[:80]!r} is not UID:GID=UID:GID, with numbers of at most {ID_MAX}"
            raise ValueError(msg)
        return cls(*numbers)


@dataclass(frozen=True, slots=True)
class PackOptions:
    """What packing is to do; the defaults are those of `pack_layer`."""

    compress: Compression | None = None
    """None stands for gzip, or for what the recipe is of."""
    level: int | None = None
    recipe: str | None = None
    """A recipe by name; `ocifast doctor` lists them."""
    source_date_epoch: int | None = None
    """Seconds since 1970: nothing is to be younger than this."""
    owner: tuple[int, int] | None = None
    """UID and GID of everything."""
    map_owner: tuple[OwnerRule, ...] = ()
    """The first rule that matches an entry decides."""
    exclude: tuple[str, ...] = ()
    """Patterns as in a .gitignore."""
    files_from: tuple[bytes, ...] | None = None
    """Only these paths of the tree, and what is below them."""
    prefix: str = ""
    """The folder of the image the tree is to appear in."""
    base: str | None = None
    """A layer or image: only what differs from it is packed, what is gone as whiteouts."""
    sort: Sort = "name"
    """``extension`` puts files of a kind side by side, which compresses better."""
    overwrite: bool = False
    """Replace a file that exists."""
    limits: Limits = DEFAULT_LIMITS


def recipe_of(options: PackOptions) -> Recipe | None:
    """What the layer is to be made by; None leaves the tar as it is.

    Raises:
        UnknownRecipe: There is no such recipe or level.

    Example:
        >>> recipe_of(PackOptions()).level, recipe_of(PackOptions(compress="none"))
        (6, None)
    """
    schemes = (*RECIPES, *SEEKABLE)
    named = next((scheme.codec for scheme in schemes if scheme.name == options.recipe), None)
    compress = options.compress or named or "gzip"
    level = options.level
    if level is None and compress == "gzip" and options.recipe is None:
        level = GZIP_LEVEL
    chosen = recipe(compress, level=level, name=options.recipe)
    return None if chosen.codec == "identity" else chosen


def clean_prefix(text: str) -> str:
    """Give a prefix without slashes at its ends and without empty components.

    Raises:
        ValueError: It leads out of the image, or holds a NUL.

    Example:
        >>> clean_prefix("/opt//app/"), clean_prefix(".")
        ('opt/app', '')
    """
    parts: Iterable[str] = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in text:
        msg = f"{text[:80]!r} is no folder of an image: it must not hold .. or a NUL"
        raise ValueError(msg)
    return "/".join(parts)
