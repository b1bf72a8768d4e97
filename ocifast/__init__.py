"""A high-throughput engine for OCI container-image layers.

Bytes flow once: every operation is a single pass over a stream of borrowed buffers, and everything
worth knowing (digest, diff_id, sizes, entry table) falls out of that pass. Importing this package
starts nothing; worker processes appear with the first work that is worth them.
"""

from __future__ import annotations

from ocifast._version import __version__
from ocifast.engine import Engine
from ocifast.errors import (
    CompressedDataError,
    DigestMismatch,
    DigestSyntaxError,
    FormatError,
    KernelUnavailable,
    LimitExceeded,
    OcifastError,
    SizeMismatch,
    StateError,
    TarError,
    UnknownCodec,
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

__all__ = [
    "CompressedDataError",
    "Descriptor",
    "Digest",
    "DigestMismatch",
    "DigestSyntaxError",
    "Engine",
    "Entry",
    "EntryKind",
    "EntryTable",
    "Finding",
    "FormatError",
    "KernelUnavailable",
    "LayerHasher",
    "LayerReport",
    "LimitExceeded",
    "Limits",
    "OcifastError",
    "SizeMismatch",
    "StateError",
    "TarError",
    "UnknownCodec",
    "UnsupportedError",
    "VerificationError",
    "WorkerCrashed",
    "WorkerError",
    "__version__",
    "hash_layer",
    "hash_layers",
]
