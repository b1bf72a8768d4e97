"""One side of a diff: what a reference means, and what has to be read of it.

A folder, a layer, a saved index of one, or an image. Nothing is read here but documents and first
bytes. Invariant: one reference means one thing; where it could mean two, the file decides, and a
transport in front of it (``oci:``, ``dir:``) says so beforehand.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from ocifast.codecs import SNIFF_BYTES, sniff
from ocifast.errors import AmbiguousImage, ImageNotFound, LimitExceeded, StoreError, TarError
from ocifast.ops.archive_sniff import HEAD_BYTES, may_hold_images
from ocifast.ops.index_file import is_index, load_index
from ocifast.ops.source import Window

if TYPE_CHECKING:
    import contextlib

    from ocifast.ops.diff_options import DiffOptions
    from ocifast.ops.layer_index import LayerIndex
    from ocifast.ops.source import Source
    from ocifast.spec.descriptor import Descriptor
    from ocifast.spec.digest import Digest
    from ocifast.transports.base import Image, StoredLayer

    Given: TypeAlias = "str | os.PathLike[str] | Image | LayerIndex | Source"

__all__ = ["SideLayer", "TreeSide", "open_side"]

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
STDIN: Final = 0


@dataclass(slots=True)
class SideLayer:
    """A layer of a side: where to read it, what is promised of it, or its index."""

    name: str
    source: Source | None
    descriptor: Descriptor | None = None
    diff_id: Digest | None = None
    index: LayerIndex | None = None

    def keys(self, *, strict: bool) -> tuple[str, ...]:
        """What it is known by: layers with a key in common are the same.

        That is what documents promise. A config that lies of its diff_ids is believed, unless it is
        strict: layers of different digests are then read, and held against their promises.
        """
        digest = None if self.descriptor is None else self.descriptor.digest
        if digest is None and self.index is not None:
            digest = str(self.index.digest)
        if strict and digest:
            return (digest,)
        return tuple(str(key) for key in (self.diff_id, digest) if key)

    def is_same(self, other: SideLayer, *, strict: bool) -> bool:
        """Whether both are the same layer."""
        return not set(self.keys(strict=strict)).isdisjoint(other.keys(strict=strict))


@dataclass(slots=True)
class TreeSide:
    """A side before anything of it is read; `root` is the open folder of a tree on disk."""

    name: str
    kind: str
    """``folder``, ``layer``, ``index`` or ``image``."""
    layers: list[SideLayer] = field(default_factory=list)
    root: int | None = None
    image: Image | None = None


def open_side(
    given: Given, platform: str | None, options: DiffOptions, stack: contextlib.ExitStack
) -> TreeSide:
    """Find out what is meant; what is opened is closed by `stack`.

    Raises:
        OcifastError: It is malformed, or there is no such image.
        OSError: It is not there, or cannot be read.
    """
    if hasattr(given, "config_raw"):
        return _of_image(given)  # type: ignore[arg-type]
    if hasattr(given, "as_layer"):
        return _of_index(given)  # type: ignore[arg-type]
    if given is None:
        raise TypeError("a NoneType is no side of a diff")
    if not isinstance(given, (str, os.PathLike)):
        return TreeSide("<layer>", "layer", [SideLayer("<layer>", given)])
    ref = os.fsdecode(given)
    if ref == "-":
        return TreeSide("-", "layer", [SideLayer("-", STDIN)])
    if _names_transport(ref):
        met = _met_once(ref, stack)
        try:
            return _of_image(_image(met, platform, options), ref)
        except (AmbiguousImage, ImageNotFound, StoreError) as error:
            if met == ref:
                raise
            raise type(error)(ref, *error.args[1:]) from None
    return _of_path(ref, platform, options, stack)


def _of_path(
    path: str, platform: str | None, options: DiffOptions, stack: contextlib.ExitStack
) -> TreeSide:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.lexists(path.partition(":")[0]):  # says which form is missing in front of it
            return _of_image(_image(path, platform, options), path)
        raise
    if stat.S_ISDIR(mode):
        if _is_layout(path):
            return _of_image(_image(path, platform, options), path)
        root = os.open(path, FOLDER)
        stack.callback(os.close, root)
        return TreeSide(path, "folder", root=root)
    return _of_file(path, platform, options) if stat.S_ISREG(mode) else _layer(path)


def _of_file(path: str, platform: str | None, options: DiffOptions) -> TreeSide:
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if is_index(head):
        return _of_index(_loaded(path), path)
    if sniff(head[:SNIFF_BYTES]) == "identity" and may_hold_images(head):
        try:
            return _of_image(_image(path, platform, options), path)
        except (TarError, LimitExceeded):  # of a layer more may be read, and more is said
            pass
        except StoreError as error:  # a tar that holds no image is a layer
            if error.name:  # something of an image is wrong
                raise
    return _layer(path)


def _layer(path: str) -> TreeSide:
    return TreeSide(path, "layer", [SideLayer(path, path)])


def _is_layout(path: str) -> bool:
    """Whether a folder says that it is an OCI layout; any other one is a tree of files."""
    return all(os.path.isfile(os.path.join(path, name)) for name in ("oci-layout", "index.json"))


def _loaded(path: str) -> LayerIndex:
    try:
        return load_index(path)
    except StoreError:
        raise
    except ValueError as error:
        raise StoreError(path, "", str(error)) from None


def _of_index(index: LayerIndex, path: str = "") -> TreeSide:
    layer = SideLayer(index.path, None, diff_id=index.diff_id, index=index)
    return TreeSide(path or index.path, "index", [layer])


def _names_transport(ref: str) -> bool:
    if ":" not in ref:
        return False
    from ocifast.transports.reference import TRANSPORT_NAMES  # all that images need: 50 ms

    return ref.partition(":")[0] in TRANSPORT_NAMES


def _image(ref: str, platform: str | None, options: DiffOptions) -> Image:
    from ocifast.ops.image import open_image

    return open_image(ref, platform=platform, profile=options.profile, limits=options.limits)


def _of_image(image: Image, name: str | None = None) -> TreeSide:
    layers = [_side_layer(image, layer) for layer in image.layers]
    return TreeSide(name or image.store, "image", layers, image=image)


def _side_layer(image: Image, layer: StoredLayer) -> SideLayer:
    location = layer.location
    if location is None:
        raise StoreError(image.store, layer.name, "this layer is not there to be read")
    if location.open is None:
        reason = "a layer of an archive that is compressed: decompress the archive first"
        raise StoreError(image.store, layer.name, reason)
    window = Window(layer.name, location.open, location.offset, location.size)
    return SideLayer(layer.name, window, layer.descriptor, layer.diff_id)


def _met_once(ref: str, stack: contextlib.ExitStack) -> str:
    """Put an archive that comes by standard input where it can be read more than once."""
    from ocifast.transports.reference import ImageReference

    reference = ImageReference.parse(ref)
    if reference.path != "-":
        return ref
    spool = tempfile.TemporaryFile(prefix="ocifast-")  # noqa: SIM115 - the stack closes it
    stack.enter_context(spool)
    try:
        shutil.copyfileobj(sys.stdin.buffer, spool, 1 << 20)
        spool.flush()
    except OSError as error:
        where = f"{tempfile.gettempdir()} (standard input is kept there: set TMPDIR)"
        raise OSError(error.errno or errno.EIO, error.strerror, where) from None
    transport, _, rest = ref.partition(":")
    return f"{transport}:/proc/self/fd/{spool.fileno()}{rest[1:]}"
