"""Opening images: from what a person typed to documents and the places of layers.

It finds out what a path is, lets the transport read the documents, and chooses. No layer is read.
*Invariant:* one reference means one image, or an error that says what there is.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocifast.errors import AmbiguousImage, ImageNotFound, StoreError
from ocifast.limits import DEFAULT_LIMITS
from ocifast.ops.archive_table import CUT_SHORT, open_archive
from ocifast.spec.platform import Platform, host_platform
from ocifast.transports import TRANSPORTS
from ocifast.transports.base import Image, ImageIndex
from ocifast.transports.folder import FolderFiles
from ocifast.transports.reference import ImageReference, meant_transport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocifast.limits import Limits, Profile
    from ocifast.ops.archive_table import Meet
    from ocifast.transports.base import Files, Stored

__all__ = ["choose", "open_files", "open_image", "open_store", "platform_of"]

SAVE_FILE: Final = "manifest.json"
LISTS: Final = frozenset({SAVE_FILE, "index.json", "repositories"})
"""What lists the images of an archive; `docker save` writes it last."""
HEAD_BYTES: Final = 64


def open_image(
    ref: str | ImageReference,
    *,
    platform: str | None = None,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
) -> Image:
    """Open the one image a reference means.

    Args:
        ref: ``oci:FOLDER[:NAME]``, ``oci-archive:FILE[:NAME]``, ``docker-archive:FILE[:NAME]``,
            ``dir:FOLDER``, a path, or ``-`` for an archive on standard input.
        platform: Which of an index, such as ``linux/arm64``; by default that of this machine, or
            the only one that is there.
        profile: ``strict`` also refuses oddities that other tools accept.
        limits: Caps against hostile input.

    Raises:
        ImageNotFound: The store is there, and such an image is not in it.
        AmbiguousImage: There are several, and the reference does not say which.
        OcifastError: The store is malformed, refused, or not what it promises.
        OSError: It cannot be read.
    """
    reference = ImageReference.parse(ref) if isinstance(ref, str) else ref
    roots = open_store(reference, profile=profile, limits=limits)
    if len(roots) > 1:
        # Signatures and other artifacts do not make an image ambiguous.
        roots = tuple(root for root in roots if _is_runnable(root)) or roots
    if len(roots) > 1:
        names = [name for root in roots for name in (root.names or (_digest(root),))]
        raise AmbiguousImage(reference.path, ", ".join(names))
    if not roots:
        raise ImageNotFound(reference.path, reference.selector or "at all", "")
    chosen = choose(roots[0], platform, several=False)
    assert isinstance(chosen, Image)
    return chosen


def open_store(
    ref: str | ImageReference,
    *,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
    meet: Meet | None = None,
) -> tuple[Stored, ...]:
    """Give everything a reference means: all images and indexes of a store, or the named one.

    `meet` is shown the files of an archive that can be read only once, as they come by. Raises as
    `open_image`, but several images are no error.
    """
    reference = ImageReference.parse(ref) if isinstance(ref, str) else ref
    files, transport = open_files(reference, profile=profile, limits=limits, meet=meet)
    return TRANSPORTS[transport].read(files, reference, profile)


def open_files(
    reference: ImageReference,
    *,
    profile: Profile = "compat",
    limits: Limits = DEFAULT_LIMITS,
    meet: Meet | None = None,
    once: bool = False,
) -> tuple[Files, str]:
    """Open the files of a store, and say which transport reads them; raises as `open_image`.

    `meet` and `once` are those of `ocifast.ops.archive_table.open_archive`.
    """
    path, transport = reference.path, reference.transport
    if path != "-" and stat.S_ISDIR(stat_source(reference).st_mode):
        transport = transport or _kind_of_folder(FolderFiles(path, links=True))
        return FolderFiles(path, links=transport == "docker-archive"), transport
    if transport is not None and TRANSPORTS[transport].kind == "folder":
        reason = f"it is a file, and {transport}: means a folder"
        raise StoreError(path, "", reason)
    archive = open_archive(path, profile=profile, limits=limits, meet=meet, once=once)
    _check_whole(archive)
    return archive, transport or _kind_of_archive(archive)


def stat_source(reference: ImageReference) -> os.stat_result:
    """Look at what a reference names.

    Raises:
        FileNotFoundError: It is not there, or something is wrong with how it is written.
        OSError: It cannot be looked at.
    """
    path = reference.path
    try:
        return os.stat(path)
    except FileNotFoundError as error:
        meant = "" if reference.transport else meant_transport(path)
        if meant:
            error.strerror = f"No such file; is {meant}: meant?"
        elif reference.transport is None and os.path.lexists(path.partition(":")[0]):
            error.strerror = "No such file; before a path with a name stands its form, as in oci:"
        raise


def _check_whole(archive: Files) -> None:
    """Refuse an archive that was cut short before its list of images.

    What is left of one of `docker save` would else be read as one from before 1.10, without names
    and without the layers that are missing.
    """
    if CUT_SHORT in archive.findings:
        names = set(archive.names())
        if names and names.isdisjoint(LISTS):
            reason = "it has been cut short: neither its end nor manifest.json is there"
            raise StoreError(archive.path, "", reason)


def _kind_of_folder(files: FolderFiles) -> str:
    """Which transport a folder is of: by the names of its documents, then by what one holds."""
    if files.find(SAVE_FILE) is not None:
        location = files.locate(SAVE_FILE)
        head = files.read(SAVE_FILE, location.size)[:HEAD_BYTES].lstrip() if location.size else b""
        if head.startswith(b"["):
            return "docker-archive"
        return "oci" if files.find("oci-layout") is not None else "dir"
    if files.find("index.json") is not None or files.find("oci-layout") is not None:
        return "oci"
    if files.find("repositories") is not None:
        return "docker-archive"
    raise StoreError(
        files.path, "", "the folder holds no image: neither index.json nor manifest.json is there"
    )


def _kind_of_archive(files: Files) -> str:
    is_layout = files.find("index.json") is not None and files.find(SAVE_FILE) is None
    return "oci-archive" if is_layout else "docker-archive"


def choose(stored: Stored, platform: str | None, *, several: bool) -> Image | ImageIndex:
    """Choose what is meant of an image or index; with `several`, an index may stay whole.

    Without `platform` the image for this machine is chosen, or the only one that is there.

    Raises:
        ImageNotFound: There is none for the platform.
        StoreError: It is no image, but something that is only copied, or it is not there.
        ReferenceSyntaxError: The platform cannot be read.
    """
    wanted = None if platform is None else Platform.parse(platform)
    if isinstance(stored, Image):
        return _fitting(stored, wanted)
    if not isinstance(stored, ImageIndex):
        kind = "it is not there" if stored.location is None else "it is no image"
        reason = f"{stored.descriptor.media_type}: {kind}"
        raise StoreError(stored.store, str(stored.descriptor.digest), reason)
    if several and wanted is None:
        return stored
    found = list(_images(stored))
    best = _best(found, wanted or host_platform())
    if best is None and wanted is None and len(found) == 1:
        best = found[0]
    if best is None:
        known = ", ".join(str(platform_of(image)) for image in found)
        raise ImageNotFound(stored.store, f"for {wanted or host_platform()}", known)
    return replace(best, names=stored.names)


def _fitting(image: Image, wanted: Platform | None) -> Image:
    """Hold a single image against a platform that was asked for, if it says what it is for."""
    actual = platform_of(image)
    if wanted is not None and actual.architecture and not wanted.matches(actual):
        raise ImageNotFound(image.store, f"for {wanted}", str(actual))
    return image


def _images(stored: Stored) -> Iterator[Image]:
    """The images of an index that can be run and are there, in its order."""
    if isinstance(stored, Image):
        if stored.config is not None:
            yield stored
    elif isinstance(stored, ImageIndex):
        for child in stored.children:
            yield from _images(child)


def platform_of(image: Image) -> Platform:
    """What an image is for: by the index it is named in, or by its own config."""
    if image.descriptor is not None and image.descriptor.platform is not None:
        return image.descriptor.platform
    return image.config.platform if image.config is not None else Platform("", "")


def _best(images: Sequence[Image], wanted: Platform) -> Image | None:
    """The image that fits best, the first of equals."""
    ranked = [
        (rank, number)
        for number, image in enumerate(images)
        if (rank := wanted.rank(platform_of(image))) is not None
    ]
    return images[min(ranked)[1]] if ranked else None


def _is_runnable(stored: Stored) -> bool:
    return next(_images(stored), None) is not None


def _digest(stored: Stored) -> str:
    if stored.descriptor is not None:
        return f"@{stored.descriptor.digest}"
    return f"@{stored.config_descriptor.digest}" if isinstance(stored, Image) else "an index"
