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
    from ocifast.ops.conversion import ConvertedImage, ConvertedLayer, ConvertReport
    from ocifast.ops.convert import convert
    from ocifast.ops.image import open_image
    from ocifast.ops.inspect import Inspection, inspect
    from ocifast.ops.pack import pack_layer
    from ocifast.ops.packing import PackedLayer
    from ocifast.ops.verification import Verification
    from ocifast.ops.verify import verify
    from ocifast.transports.base import Image

__all__ = [
    "AmbiguousImage",
    "CompressedDataError",
    "ConvertReport",
    "ConvertedImage",
    "ConvertedLayer",
    "Descriptor",
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
    "LayerReport",
    "LimitExceeded",
    "Limits",
    "OcifastError",
    "PackedLayer",
    "ReferenceSyntaxError",
    "SizeMismatch",
    "StateError",
    "StoreError",
    "TarError",
    "TreeError",
    "UnknownCodec",
    "UnknownRecipe",
    "UnsupportedError",
    "Verification",
    "VerificationError",
    "WorkerCrashed",
    "WorkerError",
    "__version__",
    "convert",
    "hash_layer",
    "hash_layers",
    "inspect",
    "open_image",
    "pack_layer",
    "verify",
]

# What works on whole images is loaded when it is first used: it costs as much as all the rest.
_LATER = {
    "ConvertReport": "conversion",
    "ConvertedImage": "conversion",
    "ConvertedLayer": "conversion",
    "Image": "image",
    "Inspection": "inspect",
    "PackedLayer": "packing",
    "Verification": "verification",
    "convert": "convert",
    "inspect": "inspect",
    "open_image": "image",
    "pack_layer": "pack",
    "verify": "verify",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    if name not in _LATER:
        raise AttributeError(f"module 'ocifast' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"ocifast.ops.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
