"""What a conversion is to do: its options, and the recipe they come to.

Values and a pure function; nothing is opened. Invariant: options that contradict each other are
refused before anything is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ocifast.codecs.recipe import RECIPES, SEEKABLE, Recipe, recipe
from ocifast.errors import UnknownRecipe
from ocifast.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from ocifast.limits import Profile
    from ocifast.ops.output_names import Format

__all__ = ["Compression", "ConvertOptions", "recipe_of"]

Compression: TypeAlias = Literal["gzip", "zstd", "zstd:chunked", "estargz", "none", "keep"]

_IDENTITY: Final = re.compile(r"(?P<name>[a-z0-9-]+)/\d+(:level=(?P<level>\d{1,3}))?( \(.*\))?")


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """What a conversion is to do; the defaults are those of `convert`."""

    to: Format | None = None
    """What to write, where the destination does not say it."""
    compress: Compression | None = None
    """None stands for gzip; for docker-archive, none; for dir, keep."""
    level: int | None = None
    recipe: str | None = None
    """A recipe by name, or as `ocifast doctor` and reports write it, with version and level."""
    platform: str | None = None
    """os/architecture[/variant]: of an index take that image only; else the index is kept."""
    every_platform: bool = False
    """Refuse outputs that cannot hold an index, rather than write the machine's own platform."""
    force: bool = False
    """Make layers anew that are compressed in that way already."""
    each: bool = False
    """An output for each source, in a folder."""
    overwrite: bool = False
    """Replace an archive or folder that exists."""
    keep_going: bool = False
    """Finish what can be finished; failures are in the report instead of raised."""
    profile: Profile = "compat"
    limits: Limits = DEFAULT_LIMITS


def recipe_of(options: ConvertOptions, to: Format) -> Recipe | None:
    """What layers are to be made by; None keeps them as they are.

    Raises:
        UnknownRecipe: There is no such recipe or level, or one is given where nothing is made.

    Example:
        >>> recipe_of(ConvertOptions(recipe="zstd-long"), "oci").codec
        'zstd'
        >>> recipe_of(ConvertOptions(recipe="gzip-zlib/1:level=9"), "oci").level
        9
    """
    default: dict[Format, Compression] = {"docker-archive": "none", "dir": "keep"}
    name, level = _named(options)
    compress = options.compress or codec_of(name) or default.get(to, "gzip")
    if compress == "keep":
        wanted = options.recipe if level is None else f"level {level}"
        if wanted is not None:
            raise UnknownRecipe(f"{wanted} where layers are kept", "of gzip and zstd")
        return None
    chosen = recipe(compress, level=level, name=name)
    if name != options.recipe and not _is_spelling(str(options.recipe), chosen):
        raise UnknownRecipe(f"{options.recipe!r} here", chosen.identity)
    return chosen


def _named(options: ConvertOptions) -> tuple[str | None, int | None]:
    """The name and the level that are asked for, of an identity too."""
    found = _IDENTITY.fullmatch(options.recipe or "")
    if found is None:
        return options.recipe, options.level
    level = options.level
    if level is None and found["level"] is not None:
        level = int(found["level"])
    return found["name"], level


def _is_spelling(text: str, chosen: Recipe) -> bool:
    """Whether an identity, or the beginning of one, means that recipe and no other bytes."""
    exact = chosen.identity.partition(" ")[0]
    return text in (chosen.identity, exact, exact.partition(":")[0])


def codec_of(name: str | None) -> str | None:
    """The codec of a recipe; None where there is no such."""
    return next((scheme.codec for scheme in (*RECIPES, *SEEKABLE) if scheme.name == name), None)
