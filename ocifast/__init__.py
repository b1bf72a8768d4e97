"""A high-throughput engine for OCI container-image layers.

Bytes flow once: every operation is a single pass over a stream of borrowed buffers, and everything
worth knowing (digest, diff_id, sizes, entry table) falls out of that pass. Importing this package
starts nothing; worker processes appear with the first work that is worth them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast._version import __version__
from ocifast.engine import Engine
from ocifast.errors import (
    AmbiguousImage,
    CompressedDataError,
    DiffIdMismatch,
    DigestMismatch,
    DigestSyntaxError,
    DocumentError,
    FormatError,
    ImageNotFound,
    KernelUnavailable,
    LimitExceeded,
    OcifastError,
    PlatformMismatch,
    ReferenceSyntaxError,
    SizeMismatch,
    StateError,
    StoreError,
    TarError,
    TreeError,
    UnknownCodec,
    UnknownRecipe,
    UnsupportedError,
    VerificationError,
    WorkerCrashed,
    WorkerError,
)
from ocifast.formats.tar import EntryTable
from ocifast.layer import Finding, LayerReport
from ocifast.limits import Limits
from ocifast.ops.hash import hash_layer, hash_layers
from ocifast.ops.layer_hasher import LayerHasher
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.tree.entry import Entry, EntryKind

if TYPE_CHECKING:
    from ocifast.ops.bundle import bundle
    from ocifast.ops.conversion import ConvertedImage, ConvertedLayer, ConvertReport
    from ocifast.ops.convert import convert
    from ocifast.ops.diff import diff
    from ocifast.ops.difference import Diff
    from ocifast.ops.image import open_image
    from ocifast.ops.index_file import load_index, save_index
    from ocifast.ops.inspect import Inspection, inspect
    from ocifast.ops.layer_index import LayerIndex, index_layer
    from ocifast.ops.pack import pack_layer
    from ocifast.ops.packing import PackedLayer
    from ocifast.ops.rechunk import rechunk
    from ocifast.ops.squash import flatten, squash
    from ocifast.ops.squashing import SquashReport
    from ocifast.ops.unpack import unpack
    from ocifast.ops.unpacking import UnpackReport
    from ocifast.ops.verification import Verification
    from ocifast.ops.verify import verify
    from ocifast.transports.base import Image
    from ocifast.tree.change import Change, ChangeKind

__all__ = [
    "AmbiguousImage",
    "Change",
    "ChangeKind",
    "CompressedDataError",
    "ConvertReport",
    "ConvertedImage",
    "ConvertedLayer",
    "Descriptor",
    "Diff",
    "DiffIdMismatch",
    "Digest",
    "DigestMismatch",
    "DigestSyntaxError",
    "DocumentError",
    "Engine",
    "Entry",
    "EntryKind",
    "EntryTable",
    "Finding",
    "FormatError",
    "Image",
    "ImageNotFound",
    "Inspection",
    "KernelUnavailable",
    "LayerHasher",
    "LayerIndex",
    "LayerReport",
    "LimitExceeded",
    "Limits",
    "OcifastError",
    "PackedLayer",
    "PlatformMismatch",
    "ReferenceSyntaxError",
    "SizeMismatch",
    "SquashReport",
    "StateError",
    "StoreError",
    "TarError",
    "TreeError",
    "UnknownCodec",
    "UnknownRecipe",
    "UnpackReport",
    "UnsupportedError",
    "Verification",
    "VerificationError",
    "WorkerCrashed",
    "WorkerError",
    "__version__",
    "bundle",
    "convert",
    "diff",
    "flatten",
    "hash_layer",
    "hash_layers",
    "index_layer",
    "inspect",
    "load_index",
    "open_image",
    "pack_layer",
    "rechunk",
    "save_index",
    "squash",
    "unpack",
    "verify",
]

# What works on whole images is loaded when it is first used: it costs as much as all the rest.
_LATER = {
    "Change": "tree.change",
    "ChangeKind": "tree.change",
    "ConvertReport": "ops.conversion",
    "ConvertedImage": "ops.conversion",
    "ConvertedLayer": "ops.conversion",
    "Diff": "ops.difference",
    "Image": "ops.image",
    "Inspection": "ops.inspect",
    "UnpackReport": "ops.unpacking",
    "LayerIndex": "ops.layer_index",
    "PackedLayer": "ops.packing",
    "SquashReport": "ops.squashing",
    "Verification": "ops.verification",
    "bundle": "ops.bundle",
    "convert": "ops.convert",
    "diff": "ops.diff",
    "flatten": "ops.squash",
    "index_layer": "ops.layer_index",
    "inspect": "ops.inspect",
    "load_index": "ops.index_file",
    "open_image": "ops.image",
    "pack_layer": "ops.pack",
    "rechunk": "ops.rechunk",
    "save_index": "ops.index_file",
    "squash": "ops.squash",
    "unpack": "ops.unpack",
    "verify": "ops.verify",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    if name not in _LATER:
        raise AttributeError(f"module 'ocifast' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"ocifast.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
