"""Recipes: named, versioned ways to compress a layer, each of which always gives the same bytes.

A recipe knows what shapes the output; threads and timing do not, and are not in it. Invariant: two
recipes with equal `identity` give equal bytes for equal input, on every machine (on every CPU of a
kind, where they say so); a change of bytes changes the version in the table.
"""

from __future__ import annotations

import importlib.metadata
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast.codecs.gzip_encoder import gzip_compress, open_gzip_encoder
from ocifast.codecs.identity_encoder import IdentityEncoder
from ocifast.codecs.zstd_encoder import open_zstd_encoder, parameters_of, zstd_library
from ocifast.errors import KernelUnavailable, UnknownRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocifast.codecs.encoder import Encoder

__all__ = ["RECIPES", "SEEKABLE", "Recipe", "Scheme", "check_recipe", "open_encoder", "recipe"]


class Scheme(NamedTuple):
    """A row of the table: a recipe before a level is chosen and a library is found."""

    name: str
    version: int
    codec: str
    library: str | None
    """What does the work: a package, or libzstd, or zlib of the standard library."""
    levels: tuple[int, ...]
    """Those that may be chosen; none where there is nothing to choose."""
    level: int | None
    """The one that is used unless told otherwise."""
    block_size: int | None = None
    """Bytes of input in a block that is compressed on its own."""
    window_size: int | None = None
    """How far back a repetition may lie."""
    job_size: int | None = None
    """Bytes of input in a unit of work of libzstd."""
    portable: bool = True
    """Whether every CPU gives the same bytes."""


MIB: Final = 1 << 20

RECIPES: Final[tuple[Scheme, ...]] = (
    Scheme("gzip-libdeflate", 2, "gzip", "deflate", tuple(range(1, 13)), 2, block_size=MIB),
    Scheme("gzip-isal", 1, "gzip", "isal", (0, 1, 2, 3), 1, block_size=MIB, portable=False),
    Scheme("gzip-zlib", 1, "gzip", "zlib", tuple(range(1, 10)), 6, block_size=MIB),
    Scheme(
        *("zstd-long", 1, "zstd", "libzstd", tuple(range(1, 20)), 2),
        window_size=16 * MIB,
        job_size=8 * MIB,
    ),
    Scheme("none", 1, "identity", None, (), None),
)
"""All recipes; the first of a codec is its default. Figures of zstd stand beside its parameters.
Those of gzip (the same 2013 MB; skopeo 1.9.3 gives 654.7) in MB and seconds of CPU, one run each:

    block     level 1        2             3             4
    512 KiB   673.6  9.3     649.0  13.0   641.4  13.6   636.0  15.5
    1 MiB     672.4  9.3     647.8  13.4   640.2  13.1   634.7  15.7
    2 MiB     671.8  9.3     647.3  12.3   639.6  13.2   634.1  14.0
    4 MiB     671.5  8.9     647.0  12.5   639.3  14.0   633.8  14.8

These are libdeflate's levels; what the recipe's levels 2 and 6 are instead stands in
`gzip_encoder`. Converting takes level 2: below skopeo's size by 0.5 %, at 85 % of level 3's time.
`gzip-isal` is for raw speed: level 1 takes a third of the time of libdeflate's and gives 5 % more,
and its matches depend on the instructions of the CPU. `gzip-zlib` is for where neither package is
to be had.
"""

SEEKABLE: Final[tuple[Scheme, ...]] = (
    Scheme("zstd-chunked", 1, "zstd:chunked", "libzstd", tuple(range(1, 20)), 3),
    Scheme("estargz-libdeflate", 2, "estargz", "deflate", tuple(range(1, 13)), 3),
    Scheme("estargz-zlib", 1, "estargz", "zlib", tuple(range(1, 10)), 6),
)
"""Recipes that follow the tar: an encoder of theirs is made where tars are known, not here."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides which bytes come out for given input."""

    name: str
    version: int
    codec: str
    level: int | None
    block_size: int | None
    window_size: int | None
    job_size: int | None
    library: str | None
    library_version: str | None
    portable: bool = True

    @property
    def identity(self) -> str:
        """One line that names it, to be stored with what was made by it.

        Example:
            >>> recipe("none").identity
            'none/1'
        """
        level = "" if self.level is None else f":level={self.level}"
        library = "" if self.library is None else f" ({self.library} {self.library_version})"
        if not self.portable:
            library = f"{library[:-1]}, other bytes on other CPUs)"
        return f"{self.name}/{self.version}{level}{library}"

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON would have it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """Make it of what `to_dict` gave."""
        return cls(**fields)


def recipe(codec: str, *, level: int | None = None, name: str | None = None) -> Recipe:
    """Choose a recipe for a codec ("none" is "identity"): its default one, or one by name.

    Raises:
        UnknownRecipe: No such codec, name or level; it says which there are.
        KernelUnavailable: The library is not installed.

    Example:
        >>> recipe("gzip", level=6).level
        6
    """
    scheme = _scheme("identity" if codec == "none" else codec, name)
    if level is not None and level not in scheme.levels:
        valid = f"{scheme.levels[0]} to {scheme.levels[-1]}" if scheme.levels else "without one"
        raise UnknownRecipe(f"level {level} of {scheme.name}", valid)
    return Recipe(
        name=scheme.name,
        version=scheme.version,
        codec=scheme.codec,
        level=scheme.level if level is None else level,
        block_size=scheme.block_size,
        window_size=scheme.window_size,
        job_size=scheme.job_size,
        library=scheme.library,
        library_version=_version(scheme.library),
        portable=scheme.portable,
    )


def open_encoder(
    chosen: Recipe, threads: int = 0, wake: Callable[[], object] | None = None
) -> Encoder:
    """Make an encoder; `wake` is called from its threads when output appeared or room was made.

    Raises:
        UnknownRecipe: It is of another version of this package, or another library.
        KernelUnavailable: The library is not installed.
    """
    check_recipe(chosen)
    if chosen.level is None:
        return IdentityEncoder()
    if chosen.block_size is not None:
        compress = gzip_compress(str(chosen.library), chosen.level)
        return open_gzip_encoder(compress, chosen.block_size, threads, wake)
    assert chosen.window_size is not None
    assert chosen.job_size is not None
    parameters = parameters_of(chosen.level, chosen.window_size, chosen.job_size)
    return open_zstd_encoder(parameters, threads, wake)


def check_recipe(chosen: Recipe) -> None:
    """Hold a recipe that came from elsewhere against those there are here.

    Raises:
        UnknownRecipe: It is of another version of this package, or another library.
        KernelUnavailable: The library is not installed.
    """
    known = recipe(chosen.codec, level=chosen.level, name=chosen.name)
    if known != chosen:
        raise UnknownRecipe(chosen.identity, known.identity)


def _scheme(codec: str, name: str | None) -> Scheme:
    of_codec = [scheme for scheme in (*RECIPES, *SEEKABLE) if scheme.codec == codec]
    if not of_codec:
        raise UnknownRecipe(f"codec {codec!r}", "gzip, zstd, none, zstd:chunked, estargz")
    for scheme in of_codec:
        if name in (None, scheme.name):
            return scheme
    raise UnknownRecipe(f"{name!r} for {codec}", ", ".join(scheme.name for scheme in of_codec))


def _version(library: str | None) -> str | None:
    if library == "libzstd":
        return zstd_library()[1]
    if library == "zlib":
        return zlib.ZLIB_RUNTIME_VERSION
    if library is None:
        return None
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        raise KernelUnavailable(library, "not installed", library) from None
