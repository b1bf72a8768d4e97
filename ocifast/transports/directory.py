"""skopeo's `dir:`: one image as a folder of manifest.json and files named by digest.

*Invariant:* the manifest is what manifest.json holds, byte for byte; everything it names is held
against its digest before it is parsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.errors import ImageNotFound, StoreError
from ocifast.spec.document import MANIFEST_BYTES
from ocifast.transports.collecting import collecting
from ocifast.transports.walk import Naming, Walk

if TYPE_CHECKING:
    from ocifast.limits import Profile
    from ocifast.spec.digest import Digest
    from ocifast.transports.base import Files, Stored
    from ocifast.transports.collecting import Collect
    from ocifast.transports.reference import ImageReference

__all__ = ["DIRECTORY_VERSION", "blob_file", "manifest_file", "read_directory"]

MANIFEST_FILE: Final = "manifest.json"
VERSION_FILE: Final = "version"
DIRECTORY_VERSION: Final = "Directory Transport Version: 1.1\n"
VERSION_START: Final = "Directory Transport Version: 1."


def blob_file(digest: Digest) -> str:
    """How a config or layer is called.

    Example:
        >>> from ocifast.spec.digest import Digest
        >>> blob_file(Digest("sha256:0a"))
        '0a'
    """
    return (
        digest.encoded if digest.algorithm == "sha256" else f"{digest.algorithm}-{digest.encoded}"
    )


def manifest_file(digest: Digest) -> str:
    """How a manifest is called that an index names."""
    return f"{blob_file(digest)}.manifest.json"


NAMING: Final = Naming(
    lambda digest: (manifest_file(digest), blob_file(digest)),
    # ".tar" until version 1.1
    lambda digest: (blob_file(digest), f"{blob_file(digest)}.tar"),
)


def read_directory(
    files: Files,
    wanted: ImageReference | None = None,
    profile: Profile = "compat",
    collect: Collect | None = None,
) -> tuple[Stored, ...]:
    """Give the one image or index of the folder; with `collect`, even if something is wrong in it.

    Raises:
        StoreError: It is no such folder, or a document is not there.
        DocumentError, SizeMismatch, DigestMismatch: A document is malformed or another one.
        ImageNotFound: Another digest is wanted.
        UnsupportedError: Something is of a kind or version that is not read.
    """
    with collecting(collect, VERSION_FILE):
        _check_version(files, profile)
    raw = files.read(MANIFEST_FILE, MANIFEST_BYTES)
    stored = Walk(files, profile, NAMING, collect).document(raw, MANIFEST_FILE)
    if wanted is not None and wanted.digest is not None:
        from ocifast.transports.base import Image

        document = stored.manifest if isinstance(stored, Image) else stored.index
        actual = document.digest if document is not None else None
        if actual != wanted.digest:
            raise ImageNotFound(files.path, wanted.selector, f"@{actual}")
    return (stored,)


def _check_version(files: Files, profile: Profile) -> None:
    if files.find(VERSION_FILE) is None:
        if profile == "strict" or files.find(MANIFEST_FILE) is None:
            reason = "it is no `dir:` of skopeo: this is not there"
            raise StoreError(files.path, VERSION_FILE, reason)
        files.findings.append(f"{VERSION_FILE} is not there")
        return
    text = files.read(VERSION_FILE, 1024).decode("ascii", "replace")
    if not text.startswith(VERSION_START):
        raise StoreError(files.path, VERSION_FILE, f"version {text[:60]!r} is not known")
