"""Whether a plain tar can be an archive of images, by its first entries; else it is a layer.

An archive of images is listed whole when it is opened, which of a layer with a million files would
be for nothing. Invariant: what holds only names such archives hold is never called a layer here.
"""

from __future__ import annotations

import re
from typing import Final

from ocifast._native.tar import TarParser
from ocifast.errors import OcifastError
from ocifast.formats.tar import EntryTable
from ocifast.limits import DEFAULT_LIMITS
from ocifast.tree.path import plain_path

__all__ = ["HEAD_BYTES", "is_archive_of_images", "may_hold_images"]

HEAD_BYTES: Final = 64 << 10
"""Enough for the first headers of a layer, and for one of an archive whose first file is long."""
LISTS: Final = frozenset({b"manifest.json", b"index.json"})
NAMES: Final = re.compile(
    rb"""(blobs|oci-layout|repositories|version)(/.*)?   # layouts; old archives of Docker
    | (sha256:)?[0-9a-f]{64}([./].*)?                    # layers and configs, by their digests
    | [^/]+\.(json|tar|tar\.gz|tgz)                      # and those that other tools name
    | [^/]+/layer\.tar
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def may_hold_images(head: bytes) -> bool:
    """Judge the first `HEAD_BYTES` of a tar.

    Example:
        >>> from ocifast.formats.tar_writer import member_header
        >>> [may_hold_images(member_header(name, 2)) for name in ("index.json", "etc")]
        [True, False]
    """
    parser = TarParser(DEFAULT_LIMITS)
    try:
        parser.feed(head)
    except OcifastError:  # whoever reads it says what is wrong
        return True
    return _all_known(EntryTable(*parser.take_table()))


def is_archive_of_images(table: EntryTable) -> bool:
    """Judge a whole table: whether it lists images, and holds nothing that belongs to none."""
    return _all_known(table) and any(plain_path(entry.path) in LISTS for entry in table)


def _all_known(table: EntryTable) -> bool:
    """Whether only names of an archive of images are in a table; it ends at the first other one."""
    names = (plain_path(entry.path) for entry in table)
    return all(NAMES.fullmatch(name) for name in names if name)
