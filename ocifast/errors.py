"""Every exception ocifast raises on its own account, and nothing else.

The tree; `except OcifastError` is all a caller needs::

    OcifastError
    ├── FormatError (ValueError)            bytes that are not what they claim to be
    │   ├── TarError                        a tar header or its place in the stream
    │   ├── CompressedDataError             a gzip member or zstd frame
    │   ├── DigestSyntaxError               a digest string
    │   ├── DocumentError                   a JSON document: manifest, index, config, layout header
    │   ├── ReferenceSyntaxError            what a person typed to name an image
    │   ├── TreeError                       a file that cannot be in a layer, or changed meanwhile
    │   └── StoreError                      a folder or archive that should hold an image
    ├── VerificationError                   well-formed, but not the expected bytes
    │   ├── DigestMismatch
    │   ├── DiffIdMismatch
    │   └── SizeMismatch
    ├── LimitExceeded                       a cap of `Limits` was reached
    ├── UnsupportedError
    │   ├── UnknownCodec
    │   ├── UnknownRecipe                   a way to compress that there is not
    │   └── KernelUnavailable
    ├── ImageNotFound                       the store is there, the image in it is not
    ├── AmbiguousImage                      a reference that means several images
    ├── PlatformMismatch                    two images that are for different platforms
    ├── StateError (RuntimeError)           the call came at the wrong time
    └── WorkerError (RuntimeError)
        └── WorkerCrashed                   a worker process died

OSError, MemoryError and KeyboardInterrupt pass through untouched. Invariant: every class keeps its
constructor arguments in `args`, so an error survives pickling and the engine's JSON messages.
`exit_code` is what the command line returns for it.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AmbiguousImage",
    "CompressedDataError",
    "DiffIdMismatch",
    "DigestMismatch",
    "DigestSyntaxError",
    "DocumentError",
    "FormatError",
    "ImageNotFound",
    "KernelUnavailable",
    "LimitExceeded",
    "OcifastError",
    "PlatformMismatch",
    "ReferenceSyntaxError",
    "SizeMismatch",
    "StateError",
    "StoreError",
    "TarError",
    "TreeError",
    "UnknownCodec",
    "UnknownRecipe",
    "UnsupportedError",
    "VerificationError",
    "WorkerCrashed",
    "WorkerError",
]


class OcifastError(Exception):
    """Base of all errors of this package."""

    exit_code: ClassVar[int] = 4


class FormatError(OcifastError, ValueError):
    """Bytes do not follow the format they claim."""


class TarError(FormatError):
    """A tar stream is malformed, or refused by the profile.

    `offset` counts bytes of the uncompressed tar; `code` is the stable name of the rule, such as
    ``checksum`` or ``truncated``; `reason` is the sentence for a person.
    """

    def __init__(self, code: str, offset: int, reason: str) -> None:
        super().__init__(code, offset, reason)
        self.code, self.offset, self.reason = code, offset, reason

    def __str__(self) -> str:
        return f"tar offset {self.offset}: {self.reason}"


class CompressedDataError(FormatError):
    """A compressed stream is corrupt, truncated, or followed by bytes that do not belong to it.

    `offset` counts bytes of the blob as stored.
    """

    def __init__(self, codec: str, offset: int, reason: str) -> None:
        super().__init__(codec, offset, reason)
        self.codec, self.offset, self.reason = codec, offset, reason

    def __str__(self) -> str:
        return f"{self.codec} offset {self.offset}: {self.reason}"


class DigestSyntaxError(FormatError):
    """A string is not a digest of a known algorithm (image-spec, descriptor.md, "Digests")."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text, self.reason = text, reason

    def __str__(self) -> str:
        return f"{self.text[:80]!r} is not a digest: {self.reason}"


class DocumentError(FormatError):
    """A JSON document is malformed, ambiguous, or not what its media type says.

    `document` names it (a file name or a digest), `where` is the place in it, such as
    ``layers[2].size``, empty for the document as a whole.
    """

    def __init__(self, document: str, where: str, reason: str) -> None:
        super().__init__(document, where, reason)
        self.document, self.where, self.reason = document, where, reason

    def __str__(self) -> str:
        place = f"{self.document}: {self.where}" if self.where else self.document
        return f"{place}: {self.reason}"


class ReferenceSyntaxError(FormatError):
    """A reference or image name cannot be read; `reason` says what would be right."""

    exit_code: ClassVar[int] = 2

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text, self.reason = text, reason

    def __str__(self) -> str:
        return f"{self.text[:200]!r} is not a reference: {self.reason}"


class StoreError(FormatError):
    """A folder or archive does not hold what an image in it needs, or holds it in a refused form.

    `store` is the path, `name` the file in it that is missing or wrong.
    """

    def __init__(self, store: str, name: str, reason: str) -> None:
        super().__init__(store, name, reason)
        self.store, self.name, self.reason = store, name, reason

    def __str__(self) -> str:
        return (
            f"{self.store}: {self.name}: {self.reason}"
            if self.name
            else (f"{self.store}: {self.reason}")
        )


class TreeError(FormatError):
    """A file of a tree cannot be packed: its name, or what happened to it since it was listed.

    `path` is relative to the tree, as a str with surrogateescape.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class VerificationError(OcifastError):
    """Bytes are well-formed but are not the ones that were expected."""

    exit_code: ClassVar[int] = 1


class DigestMismatch(VerificationError):
    """The digest of the bytes as stored differs from the expected one."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(expected, actual)
        self.expected, self.actual = expected, actual

    def __str__(self) -> str:
        return f"digest is {self.actual}, expected {self.expected}"


class DiffIdMismatch(VerificationError):
    """The digest of the tar inside a layer is not the diff_id the config promises."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(expected, actual)
        self.expected, self.actual = expected, actual

    def __str__(self) -> str:
        return f"diff_id is {self.actual}, the config says {self.expected}"


class SizeMismatch(VerificationError):
    """The blob is longer or shorter than expected; `actual` is what had been seen by then."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(expected, actual)
        self.expected, self.actual = expected, actual

    def __str__(self) -> str:
        return f"size is {self.actual} bytes, expected {self.expected}"


class LimitExceeded(OcifastError):
    """A cap of `ocifast.Limits` was reached; `name` is the field of `Limits`.

    `offset` counts bytes of `stream`: ``tar`` for the uncompressed one, a codec for the blob as
    stored; both are empty where no place can be named.
    """

    def __init__(
        self, name: str, limit: int, actual: int, stream: str = "", offset: int = 0
    ) -> None:
        super().__init__(name, limit, actual, stream, offset)
        self.name, self.limit, self.actual = name, limit, actual
        self.stream, self.offset = stream, offset

    def __str__(self) -> str:
        place = f"{self.stream} offset {self.offset}: " if self.stream else ""
        return f"{place}limit {self.name} is {self.limit}, reached {self.actual}"

    def at(self, stream: str, offset: int) -> LimitExceeded:
        """Give the same error with its place, unless it has one."""
        place = (self.stream, self.offset) if self.stream else (stream, offset)
        return LimitExceeded(self.name, self.limit, self.actual, *place)


class UnsupportedError(OcifastError):
    """A known thing this build or this machine cannot do."""


class UnknownCodec(UnsupportedError):
    """The layer is compressed with something ocifast does not read, such as xz or bzip2."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"compression {self.name} is not supported (gzip, zstd and none are)"


class UnknownRecipe(UnsupportedError):
    """No way to compress has that name or level; `valid` lists those there are."""

    exit_code: ClassVar[int] = 2

    def __init__(self, wanted: str, valid: str) -> None:
        super().__init__(wanted, valid)
        self.wanted, self.valid = wanted, valid

    def __str__(self) -> str:
        return f"there is no recipe {self.wanted} (valid: {self.valid})"


class KernelUnavailable(UnsupportedError):
    """A kernel was demanded by name and cannot run here; `valid` lists those that can."""

    exit_code: ClassVar[int] = 2

    def __init__(self, name: str, reason: str, valid: str) -> None:
        super().__init__(name, reason, valid)
        self.name, self.reason, self.valid = name, reason, valid

    def __str__(self) -> str:
        return f"kernel {self.name!r} is not available: {self.reason} (valid here: {self.valid})"


class ImageNotFound(OcifastError):
    """The store holds no image of that name, number or platform; `known` lists what it holds."""

    exit_code: ClassVar[int] = 3

    def __init__(self, store: str, wanted: str, known: str) -> None:
        super().__init__(store, wanted, known)
        self.store, self.wanted, self.known = store, wanted, known

    def __str__(self) -> str:
        return f"{self.store} holds no image {self.wanted} (it holds: {self.known or 'none'})"


class PlatformMismatch(OcifastError):
    """Two images to be compared are for different platforms."""

    exit_code: ClassVar[int] = 2

    def __init__(self, a: str, platform_a: str, b: str, platform_b: str) -> None:
        super().__init__(a, platform_a, b, platform_b)
        self.a, self.platform_a, self.b, self.platform_b = a, platform_a, b, platform_b

    def __str__(self) -> str:
        return (
            f"{self.a} is for {self.platform_a}, {self.b} for {self.platform_b}: choose with "
            f"--platform, or say --platform {self.platform_a},{self.platform_b} to compare them"
        )


class AmbiguousImage(OcifastError):
    """The reference means several images where one is needed; `known` lists them."""

    exit_code: ClassVar[int] = 2

    def __init__(self, store: str, known: str) -> None:
        super().__init__(store, known)
        self.store, self.known = store, known

    def __str__(self) -> str:
        return f"{self.store} holds several images, name one of them: {self.known}"


class StateError(OcifastError, RuntimeError):
    """A method was called before its time or after the object was finished."""


class WorkerError(OcifastError, RuntimeError):
    """The engine's worker processes could not do the work."""

    exit_code: ClassVar[int] = 6


class WorkerCrashed(WorkerError):
    """A worker process died: `exit_code_or_signal` is negative for a signal, as in subprocess."""

    def __init__(self, pid: int, exit_code_or_signal: int) -> None:
        super().__init__(pid, exit_code_or_signal)
        self.pid, self.exit_code_or_signal = pid, exit_code_or_signal

    def __str__(self) -> str:
        status = self.exit_code_or_signal
        how = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
        return f"worker process {self.pid} {how}; no result of this run is complete"
