"""Where each image of a run goes: one shared output, or one for each source; decided beforehand.

Pure functions of names. Invariant: two sources never get the same output.
"""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from ocifast.errors import ReferenceSyntaxError
from ocifast.transports.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FORMATS", "Format", "OutputName", "output_names", "parse_destination"]

Format: TypeAlias = Literal["oci", "oci-archive", "docker-archive", "dir"]
FORMATS: Final[tuple[Format, ...]] = ("oci", "oci-archive", "docker-archive", "dir")
ARCHIVES: Final = ("oci-archive", "docker-archive")

_ENDING: Final = re.compile(r"(\.tar)?(\.(gz|zst|bz2|xz))?\Z|\.(tgz|tzst|oci|docker)\Z")
_UNFIT: Final = re.compile("[^A-Za-z0-9._-]")


class OutputName(NamedTuple):
    """A place on disk, and the name an image is to have there (None: the names it has)."""

    format: Format
    path: str
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.format}:{self.path}" + (f":{self.name}" if self.name else "")


def parse_destination(dest: str, to: Format | None) -> OutputName:
    """Read the destination: `PATH` with a format, or `format:PATH[:NAME]`.

    Raises:
        ReferenceSyntaxError: No format is given, or two that differ, or no path.

    Example:
        >>> parse_destination("oci:images:app", None)
        OutputName(format='oci', path='images', name='app')
        >>> parse_destination("images", "dir").path
        'images'
    """
    found = next((name for name in FORMATS if dest.startswith(f"{name}:")), None)
    if found and to and found != to:
        raise ReferenceSyntaxError(dest, f"it says {found}, and the format asked for is {to}")
    if not found and not to:
        reason = f"say what to write: one of {', '.join(FORMATS)} ({_likely(dest[:80])})"
        raise ReferenceSyntaxError(dest, reason)
    reference = ImageReference.parse(dest) if found else ImageReference(None, dest)
    if reference.path in ("", "-"):
        raise ReferenceSyntaxError(dest, "the destination must be a path on disk")
    if reference.selector.startswith("@"):
        raise ReferenceSyntaxError(dest, "an image is written under a name")
    name = dest.removeprefix(f"{found}:{reference.path}:") if reference.name else None
    return OutputName(found or to, reference.path, name)  # type: ignore[arg-type]


def _likely(dest: str) -> str:
    """What was probably meant by a destination without a format.

    Example:
        >>> _likely("out"), _likely("out.tar")
        ('oci:out, or --to oci', 'docker-archive:out.tar, or --to docker-archive')
        >>> _likely("oic:out")
        'oci:out'
    """
    head, colon, rest = dest.partition(":")
    meant = difflib.get_close_matches(head, FORMATS, n=1) if colon else []
    if meant:
        return f"{meant[0]}:{rest}"
    format_ = "docker-archive" if dest.endswith(".tar") else "oci"
    return f"{format_}:{dest}, or --to {format_}"


def output_names(
    destination: OutputName, sources: Sequence[str], *, each: bool
) -> list[OutputName]:
    """Give the output of each source; the same one for all, or a file or folder for each.

    Archives go into one file unless the destination is a folder (exists, or ends with "/"); with
    `each`, every source gets an output of its own in the folder.

    Raises:
        ReferenceSyntaxError: Two sources would become one output, or a name is given to many.
    """
    path = destination.path
    is_folder = path.endswith("/") or os.path.isdir(path)
    apart = each or (destination.format in ARCHIVES and is_folder)
    apart = apart or (destination.format == "dir" and len(sources) > 1)
    if len(sources) > 1 and destination.name:
        raise ReferenceSyntaxError(str(destination), "one name cannot be given to several sources")
    if not apart:
        return [destination] * len(sources)
    given: dict[str, str] = {}
    names = []
    for source in sources:
        base = stem(source) + (".tar" if destination.format in ARCHIVES else "")
        if base in given:
            reason = f"it would be written to {base}, as {given[base]}: use another folder for one"
            raise ReferenceSyntaxError(source, reason)
        given[base] = source
        names.append(destination._replace(path=os.path.join(path, base)))
    return names


def stem(source: str) -> str:
    """The name of a source without its folder, transport and endings.

    Example:
        >>> stem("docker-archive:in/app.tar.gz"), stem("oci:images:a/b:1"), stem("-")
        ('app', 'images-a_b_1', 'stdin')
    """
    transport, colon, rest = source.partition(":")
    path, name = source, ""
    if colon and transport in FORMATS:
        path, _, name = (rest, "", "") if transport == "dir" else rest.partition(":")
    if path == "-":
        base = "stdin"
    else:
        whole = os.path.basename(os.path.abspath(path))  # of ".", the name of where that is
        base = _ENDING.sub("", whole, count=1)
        if not base.strip("."):
            base = whole.strip(".") or "image"
    return base + (f"-{_UNFIT.sub('_', name)}" if name else "")
