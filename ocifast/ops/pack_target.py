"""Where a packed layer goes: a file, an open descriptor, or an image of an OCI layout.

A target gives a descriptor to write to and, when all is written and known, shows what was made.
Invariant: until `finish` nothing is to be seen under a final name, except of a descriptor.
"""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, Self

from ocifast.errors import ReferenceSyntaxError
from ocifast.ops.output_names import FORMATS, parse_destination
from ocifast.ops.pack_image import add_layer, find_base
from ocifast.transports.blob_store import BlobStore
from ocifast.transports.layout_writer import prepare_layout
from ocifast.transports.pending_file import PendingFile, named

if TYPE_CHECKING:
    from ocifast.ops.pack_options import PackOptions
    from ocifast.ops.packing import PackedLayer

__all__ = ["Target", "check_outside", "open_target"]

STDOUT: Final = 1
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Target(Protocol):
    """A place for one layer; a context manager that drops what was not finished."""

    name: str
    """What it is called in results."""

    @property
    def descriptor(self) -> int:
        """Where to write."""

    def finish(self, layer: PackedLayer) -> PackedLayer:
        """Show the layer under its name; gives it with what was found out on the way."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_target(
    dest: str | os.PathLike[str] | int, options: PackOptions, *, append: bool
) -> Target:
    """Open what `dest` names: a path, ``-`` for stdout, a descriptor, ``oci:FOLDER[:NAME]``.

    With `append` the layer is put on top of the image that has the name, else into one of its own.

    Raises:
        FileExistsError: The file is there, and is not to be replaced.
        ReferenceSyntaxError: It is an image of another kind than a layout can hold.
        OSError: It cannot be made.
    """
    if isinstance(dest, int) or dest == "-":
        return DescriptorTarget(STDOUT if dest == "-" else int(dest))
    path = os.fspath(dest)
    if _is_image(path, append=append):
        return ImageTarget(path, options, append=append)
    return FileTarget(path, overwrite=options.overwrite)


class FileTarget:
    """A file, which gets its name when all of it is on disk."""

    def __init__(self, path: str, *, overwrite: bool) -> None:
        self.name = path
        folder, self._base = os.path.split(path)
        self._overwrite = overwrite
        if os.path.isdir(path) or not self._base:
            raise IsADirectoryError(errno.EISDIR, "it is a folder: name a file in it", path)
        if os.path.lexists(path) and not overwrite:
            raise FileExistsError(errno.EEXIST, "it is there already (see --overwrite)", path)
        with named(path):
            self._folder = os.open(folder or ".", FOLDER)
        try:
            self._pending = PendingFile(self._folder, path)
        except BaseException:
            os.close(self._folder)
            raise

    @property
    def descriptor(self) -> int:
        """Where to write."""
        return self._pending.descriptor

    def finish(self, layer: PackedLayer) -> PackedLayer:
        """Give the file its name. Raises OSError."""
        if self._overwrite:
            self._pending.replace(self._base, self._folder)
        else:
            self._pending.link(self._base, self._folder)
        return layer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pending.close()
        os.close(self._folder)


class DescriptorTarget:
    """What is open already; it stays open."""

    def __init__(self, descriptor: int) -> None:
        self.name = "-" if descriptor == STDOUT else f"<descriptor {descriptor}>"
        self.descriptor = descriptor

    def finish(self, layer: PackedLayer) -> PackedLayer:
        """It is written already."""
        return layer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ImageTarget:
    """An image of an OCI layout: a new one, or one that gets another layer."""

    def __init__(self, dest: str, options: PackOptions, *, append: bool) -> None:
        self.name = dest
        self._into = parse_destination(dest, None)
        if self._into.format != "oci":
            raise ReferenceSyntaxError(dest, "a layer is put into an OCI layout: oci:FOLDER:NAME")
        if self._into.name is None:
            raise ReferenceSyntaxError(dest, "the image needs a name: oci:FOLDER:NAME")
        self._epoch = options.source_date_epoch
        self._base = find_base(self._into) if append else None
        prepare_layout(self._into.path)
        self._store = BlobStore(self._into.path)
        self._pending = self._store.pending()

    @property
    def descriptor(self) -> int:
        """Where to write."""
        return self._pending.descriptor

    def finish(self, layer: PackedLayer) -> PackedLayer:
        """Name the blob, write config and manifest, move the name. Raises OcifastError, OSError."""
        self._store.publish(self._pending, layer.digest, layer.size)
        image = add_layer(self._store, self._into, self._base, layer, self._epoch)
        return replace(layer, image=image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pending.close()
        self._store.close()


def check_outside(
    dest: str | os.PathLike[str] | int, root: int, tree: str, *, append: bool
) -> None:
    """Refuse to write into the tree that is read, before anything is made there.

    Raises:
        FileExistsError: The destination is below the root.
        ReferenceSyntaxError: It is no destination.
    """
    if isinstance(dest, int) or dest == "-":
        return
    path = os.fspath(dest)
    if _is_image(path, append=append):
        folder = path = parse_destination(path, None).path
    else:
        folder = os.path.dirname(path) or "."
    top, folder = os.fstat(root), os.path.realpath(folder)
    while True:
        if os.path.isdir(folder) and os.path.samestat(os.stat(folder), top):
            reason = f"it is inside {tree}, which is packed: write it elsewhere"
            raise FileExistsError(errno.EEXIST, reason, path)
        if folder == "/":
            return
        folder = os.path.dirname(folder)


def _is_image(path: str, *, append: bool) -> bool:
    return append or any(path.startswith(f"{kind}:") for kind in FORMATS)
