"""Writing an OCI layout: the folder, and index.json under a lock.

Blobs come first, through a `BlobStore` over the same folder; index.json names them when they are
there. *Invariant:* whatever is killed, index.json is the old one or the new one, and of processes
that add names at the same time none is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final

from ocifast.errors import StoreError
from ocifast.spec.document import encode_json
from ocifast.transports.folder import FOLDER, FolderFiles
from ocifast.transports.layout import check_version, read_index
from ocifast.transports.layout_index import add_entries, arrange_entries
from ocifast.transports.pending_file import PendingFile, named, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocifast.spec.descriptor import Descriptor
    from ocifast.spec.index import LayoutIndex

__all__ = ["LAYOUT_RAW", "add_to_layout", "prepare_layout"]

LAYOUT_RAW: Final = encode_json({"imageLayoutVersion": "1.0.0"})
OURS: Final = ("oci-layout", "index.json", "blobs")


def prepare_layout(path: str) -> None:
    """Make a folder an OCI layout, if it is none yet: its oci-layout, and an index without entries.

    Raises:
        StoreError: There is something else in it.
        DocumentError: It is a layout of a version that is not known, or its index is broken.
        OSError: It cannot be made.
    """
    os.makedirs(path, exist_ok=True)
    with _locked(path) as folder:
        files = FolderFiles(path)
        names = set(os.listdir(folder))
        if "oci-layout" in names:
            check_version(files, "strict")
        elif "index.json" not in names and not all(map(_is_ours, names)):
            raise StoreError(path, "", "the folder is neither empty nor an OCI layout")
        if "index.json" not in names:
            _replace(folder, path, "index.json", add_entries(None, ()).raw)
        else:
            read_index(files)  # rather than find out when there are blobs already
        if "oci-layout" not in names:  # last: it says that this is a layout, which has an index
            _replace(folder, path, "oci-layout", LAYOUT_RAW)


def add_to_layout(
    path: str,
    additions: Sequence[tuple[Descriptor, Sequence[str]]],
    *,
    arrange: bool = False,
) -> LayoutIndex:
    """Name images in index.json whose blobs are all there; gives what it has become.

    With `arrange`, those that are there already are only put last, in this order.

    Raises:
        DocumentError, StoreError: What is there is no index.json, or it would become too long.
        OSError: It cannot be read or written.
    """
    with _locked(path) as folder:
        files = FolderFiles(path)
        before = read_index(files) if files.find("index.json") is not None else None
        if arrange and before is not None:
            index = arrange_entries(before, additions)
        else:
            index = add_entries(before, additions)
        if before is None or index.raw != before.raw:
            _replace(folder, path, "index.json", index.raw)
        return index


def _is_ours(name: str) -> bool:
    return name in OURS or name.startswith(".ocifast")


@contextlib.contextmanager
def _locked(path: str) -> Iterator[int]:
    """Hold the lock of a layout, which is on its folder, so that no file is left behind."""
    folder = os.open(path, FOLDER)
    try:
        with named(path):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)


def _replace(folder: int, path: str, name: str, raw: bytes) -> None:
    with PendingFile(folder, os.path.join(path, name)) as pending:
        with named(pending.path):
            write_all(pending.descriptor, raw)
        pending.replace(name, folder)
