"""The one pass over a blob that is verified: everything is established, nothing is expected.

A task of the engine. What is wrong with a layer does not end the pass: a blob whose compression is
broken is hashed to its end all the same, and so is a tar that is refused. *Invariant:* the digest
is of every byte there is; a diff_id is given only of a stream that came out whole.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

from ocifast.errors import (
    CompressedDataError,
    FormatError,
    LimitExceeded,
    OcifastError,
    TarError,
    UnsupportedError,
)
from ocifast.formats.tar import EntryTable
from ocifast.ops.hash_pass import HashPass
from ocifast.ops.seekable_layer import open_seekable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast._native.arena import Arena
    from ocifast.codecs.base import Decoder
    from ocifast.ops.source import Reader

__all__ = ["VerifyPass"]

REFUSALS: Final = (FormatError, LimitExceeded, UnsupportedError)
"""What is wrong with the bytes; other errors are of this machine, and end the pass."""


class VerifyPass(HashPass):
    """Establish digest, size and, of a layer, diff_id and whether it is a sound tar.

    The spec has, besides ``limits`` and ``profile``, ``layer`` (else the blob is not looked into),
    ``algorithms`` (of digests beside sha256), ``window``, and ``toc``: whether a table of contents
    is promised, which is then held against the tar.
    """

    def __init__(self, spec: Mapping[str, Any], source: int | Reader, arena: Arena) -> None:
        self._layer: bool = spec["layer"]
        self._parsing = self._whole = self._layer
        self._errors: list[tuple[str, str]] = []
        self._of_blob = {name: hashlib.new(name) for name in spec["algorithms"]}
        self._of_tar = {name: hashlib.new(name) for name in spec["algorithms"]}
        self._toc_of = -1
        self._window: list[int] | None = spec["window"]
        has_toc = self._layer and spec["toc"] and isinstance(source, int)
        super().__init__({**spec, "expected": {}, "table": has_toc}, source, arena)
        if has_toc and isinstance(source, int):
            self._toc_of = os.dup(source)

    def _check_size(self, size: int, *, final: bool) -> None:
        """Any size will do: it is compared afterwards."""

    def _begin(self, head: memoryview) -> None:
        if not self._layer:
            return
        try:
            super()._begin(head)
        except REFUSALS as error:
            self._give_up(error)

    def _take_stored(self, stored: memoryview) -> None:
        for hasher in self._of_blob.values():
            hasher.update(stored)

    def _take_tar(self, slot: int, tar: memoryview) -> None:
        if not self._whole:
            return
        for hasher in self._of_tar.values():
            hasher.update(tar)
        if self._parsing:
            try:
                super()._take_tar(slot, tar)
            except REFUSALS as error:
                self._note(error)

    def _inflate(self, slot: int, decoder: Decoder) -> None:
        try:
            super()._inflate(slot, decoder)
        except REFUSALS as error:
            self._give_up(error)
            for held in self._slots[:]:  # what it was reading, and what it was to fill
                self._free(held)

    def _give_up(self, error: OcifastError) -> None:
        """Look into the blob no further; what is left of it is only hashed."""
        self._note(error)
        self._whole = False
        self._decoder = None

    def _note(self, error: OcifastError) -> None:
        self._errors.append((code_of(error), str(error)))
        self._parsing = False

    def _end(self) -> None:
        self._done = True
        self._codec = self._codec or "identity"
        try:
            if self._decoder is not None:
                self._decoder.finish()
        except REFUSALS as error:
            self._give_up(error)
        try:
            if self._parsing and not self._size:
                raise TarError("empty", 0, "no bytes at all; a tar ends with two zero blocks")
            if self._parsing:
                self._tar.finish()
        except REFUSALS as error:
            self._note(error)
        self._reader.close()

    def result(self) -> tuple[dict[str, Any], list[int]]:
        """Give what was established, as JSON."""
        lanes = self._close_lanes()
        findings, total = self._found()
        told = [finding.text for finding in findings[: self._limits.findings]]
        told += [f"{total - len(told)} more findings"] if total > len(told) else []
        blob = {"sha256": str(lanes[self._blob_lane])}
        tar = {"sha256": str(lanes[self._tar_lane])}
        blob |= {name: f"{name}:{made.hexdigest()}" for name, made in self._of_blob.items()}
        tar |= {name: f"{name}:{made.hexdigest()}" for name, made in self._of_tar.items()}
        toc = self._toc()
        return {
            "digests": blob,
            "diff_ids": tar if self._whole else {},
            "size": self._size,
            "codec": self._codec,
            "errors": self._errors,
            "findings": told,
            "toc": toc,
        }, []

    def _toc(self) -> str | None:
        """The digest of its table of contents, which is held against the tar (H25)."""
        if self._toc_of < 0:
            return None
        try:
            layer = open_seekable(self._toc_of, *(self._window or ()))
            if layer is not None and self._parsing:
                layer.check(EntryTable(*self._tar.take_table()))
            return None if layer is None else str(layer.toc_digest)
        except REFUSALS as error:
            self._errors.append(("toc", str(error)))
            return None
        finally:
            self._let_go()

    def _let_go(self) -> None:
        descriptor, self._toc_of = self._toc_of, -1
        if descriptor >= 0:
            os.close(descriptor)

    def abandon(self) -> bool:
        """Give everything back; False while a lane is still being hashed by another worker."""
        self._let_go()
        return super().abandon()


def code_of(error: BaseException) -> str:
    """Give the stable name of what is wrong with a layer."""
    if isinstance(error, TarError):
        return "tar"
    if isinstance(error, CompressedDataError):
        return "compression"
    if isinstance(error, LimitExceeded):
        return "limit"
    return "unsupported" if isinstance(error, UnsupportedError) else "malformed"
