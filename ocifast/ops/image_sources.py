"""From what a person names to single references: globs, and folders full of archives.

Nothing is opened for more than a look at its first bytes. Invariant: the order is that of the
arguments, and within a glob or folder that of the names, so a run is repeatable.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
from typing import TYPE_CHECKING, Final, NoReturn

from ocifast.ops.finished_output import identity_of
from ocifast.ops.image import stat_source
from ocifast.transports.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["check_present", "expand_sources", "fingerprint"]

TRANSPORTS: Final = ("oci:", "oci-archive:", "docker-archive:", "dir:")
SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".oci", ".docker")
IMAGE_FILES: Final = ("oci-layout", "index.json", "manifest.json", "repositories")
"""What makes a folder an image rather than a folder of images."""


def expand_sources(sources: Iterable[str]) -> list[str]:
    """Give one reference for each image or archive that is meant.

    A bare folder that is no image itself stands for all archives and layouts in it, folders below
    included. What is named twice is meant once.

    Raises:
        FileNotFoundError: A glob or a folder holds none.
        OSError: A folder cannot be looked into.

    Example:
        >>> expand_sources(["oci:images:app", "-"])
        ['oci:images:app', '-']
    """
    found: dict[str, str] = {}
    for source in sources:
        for reference in _expand(source):
            found.setdefault(_identity(reference), reference)
    return list(found.values())


def check_present(source: str) -> None:
    """Look whether what a reference names is there at all.

    Raises:
        FileNotFoundError: It is not.
        OSError: It cannot be looked at.
        ReferenceSyntaxError: It is no reference.
    """
    reference = ImageReference.parse(source)
    path = reference.path
    if path == "-":
        return
    stat_source(reference)


def _split(source: str) -> tuple[str, str, str]:
    """Part a reference into its transport, its path, and the name behind it, with their colons."""
    transport = next((name for name in TRANSPORTS if source.startswith(name)), "")
    path = source.removeprefix(transport)
    if transport in ("", "dir:"):
        return transport, path, ""
    path, colon, name = path.partition(":")
    return transport, path, colon + name


def _identity(source: str) -> str:
    """The same for two ways to write one path; links to one file stay apart, by their names."""
    transport, path, name = _split(source)
    if path == "-":
        return source
    folder, base = os.path.split(os.path.abspath(path) if path.endswith("/") else path)
    return transport + os.path.join(os.path.realpath(folder or "."), base) + name


def _expand(source: str) -> Iterator[str]:
    transport, path, name = _split(source)
    if source != "-" and glob.has_magic(path) and not os.path.lexists(path):
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise FileNotFoundError(errno.ENOENT, "no file matches", path)
        for match in matches:
            yield from _expand(transport + match + name)
    elif not transport and source != "-" and os.path.isdir(source) and not is_image(source):
        yield from _folder(source)
    else:
        yield source


def fingerprint(source: str) -> str | None:
    """What changes when the files behind a source are others; None where that cannot be known.

    Example:
        >>> fingerprint("-"), fingerprint("oci:nowhere/at/all")
        (None, None)
    """
    _, path, name = _split(source)
    if path == "-":
        return None
    try:
        found = [identity_of(os.stat(path))]
    except OSError:
        return None
    for file in IMAGE_FILES if os.path.isdir(path) else ():
        with contextlib.suppress(OSError):
            found.append(identity_of(os.stat(os.path.join(path, file))))
    return f"{os.path.abspath(path)}{name} {found}"


def is_image(folder: str) -> bool:
    """Whether a folder is an image: a layout, a `dir:`, an unpacked archive."""
    return any(os.path.lexists(os.path.join(folder, name)) for name in IMAGE_FILES)


def _folder(root: str) -> Iterator[str]:
    empty = True
    for folder, folders, names in os.walk(root, onerror=_refuse):
        images = [name for name in folders if is_image(os.path.join(folder, name))]
        archives = [name for name in names if name.endswith(SUFFIXES)]
        folders[:] = sorted(set(folders) - set(images))
        for name in sorted(images + archives):
            empty = False
            yield os.path.join(folder, name)
    if empty:
        raise FileNotFoundError(errno.ENOENT, "holds no image and no archive", root)


def _refuse(error: OSError) -> NoReturn:
    """A folder that cannot be looked into may hold images, so it is not passed over."""
    raise error
