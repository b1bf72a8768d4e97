"""Verify a store: all digests, sizes and diff_ids recomputed, documents held against each other.

Each file is read once, whatever number of images needs it, over all cores; a stream is read once,
front to back. *Invariant:* what is wrong with one file never hides what is wrong with another.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from ocifast.engine import Engine
from ocifast.errors import (
    DigestMismatch,
    DocumentError,
    ImageNotFound,
    OcifastError,
    SizeMismatch,
    StoreError,
    UnsupportedError,
)
from ocifast.limits import DEFAULT_LIMITS
from ocifast.ops.image import choose, open_files
from ocifast.ops.progress import ImageFinished, Planned
from ocifast.ops.verification import Verification
from ocifast.ops.verify_blob import judge
from ocifast.ops.verify_census import Census, Seen
from ocifast.ops.verify_notes import Notes
from ocifast.ops.verify_run import BlobRun
from ocifast.transports import TRANSPORTS
from ocifast.transports.base import Image, ImageIndex
from ocifast.transports.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.limits import Limits, Profile
    from ocifast.ops.progress import Event, Progress
    from ocifast.ops.verify_blob import Blob
    from ocifast.transports.base import Files, Stored

__all__ = ["verify"]

BROKEN = (DocumentError, DigestMismatch, SizeMismatch, UnsupportedError)
"""What is wrong with the first document of a store; blobs can be looked at without it."""


def verify(  # noqa: PLR0913 - all but the first by keyword only
    ref: str | ImageReference,
    *,
    profile: Profile = "strict",
    platform: str | None = None,
    engine: Engine | None = None,
    workers: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Verification:
    """Verify all images of a store, or the one that is named.

    Args:
        ref: What `ocifast.open_image` takes; without a name, everything in the store, blobs that
            no image needs included.
        profile: ``strict`` takes for a problem what two readers would read differently; ``compat``
            reads what exists, and reports that as findings.
        platform: Of an index, verify this image only.
        engine: Where to work; by default one is made for this call.
        workers: Worker processes of that engine; 0 works in this process.
        limits: Caps against hostile input.
        progress: Called with each `ocifast.ops.progress.Event`, in this thread.

    Raises:
        ImageNotFound, AmbiguousImage: The store is there, the image is not, or there are several.
        OcifastError: It is no store, or an archive that is malformed as such.
        OSError: It cannot be opened.
        WorkerCrashed: A worker died.
    """
    reference = ImageReference.parse(ref) if isinstance(ref, str) else ref
    with contextlib.ExitStack() as stack:
        if engine is None:
            engine = stack.enter_context(Engine(workers))
        run = Verifying(reference, profile, engine, limits, progress or (lambda _: None))
        return run.run(platform)


class Verifying:
    """One call of `verify`."""

    def __init__(
        self,
        reference: ImageReference,
        profile: Profile,
        engine: Engine,
        limits: Limits,
        tell: Callable[[Event], object],
    ) -> None:
        self._began = time.monotonic()
        self._reference = reference
        self._profile: Profile = profile
        self._engine = engine
        self._limits = limits
        self._tell = tell
        self._notes = Notes(reference.path, profile)
        self._run = BlobRun(reference.path, engine, profile, limits, tell)

    def run(self, platform: str | None) -> Verification:
        """Do it."""
        files, transport = open_files(
            self._reference,
            profile=self._profile,
            limits=self._limits,
            meet=self._run.meet,
            once=True,
        )
        roots = self._chosen(self._read(files, transport), platform)
        census = Census(files, transport, self._notes)
        for root in roots:
            census.add(root)
        unreachable: list[str] = []
        if platform is None and not self._reference.selector:
            census.check_names(roots)
            if files.find("index.json") is not None:
                unreachable = census.sweep()
        for text in dict.fromkeys(files.findings):
            self._notes.finding("store", "", text)
        self._plan(census)
        self._verify_blobs(census)
        return self._result(census, unreachable)

    def _read(self, files: Files, transport: str) -> tuple[Stored, ...]:
        """Have the transport read the documents, and note what is wrong with each."""
        try:
            return TRANSPORTS[transport].read(files, self._reference, self._profile, self._collect)
        except BROKEN as error:
            document = error.document if isinstance(error, DocumentError) else ""
            self._notes.error(document, error)
            return ()

    def _collect(self, name: str, error: OcifastError) -> None:
        missing = isinstance(error, StoreError) and error.reason.startswith("there is no such file")
        self._notes.error(name, error, code="missing" if missing else "")

    def _chosen(self, roots: tuple[Stored, ...], platform: str | None) -> tuple[Stored, ...]:
        """What is meant of each root; one without an image for the platform is left out."""
        if platform is None:
            return roots
        chosen: list[Stored] = []
        known: list[str] = []
        for root in roots:
            try:
                whole = not isinstance(root, (Image, ImageIndex))
                chosen.append(root if whole else choose(root, platform, several=True))
            except ImageNotFound as error:
                known.append(error.known)
        if known and not chosen:
            raise ImageNotFound(self._notes.store, f"for {platform}", ", ".join(known))
        return tuple(chosen)

    def _plan(self, census: Census) -> None:
        needed = [blob for seen in census.images for blob in seen.blobs]
        distinct = {id(blob): blob for blob in needed}
        again = sum(blob.size for blob in needed) - sum(blob.size for blob in distinct.values())
        self._tell(
            Planned(
                images=len(census.images),
                layers=len(census.blobs),
                size=sum(blob.size for blob in census.blobs),
                shared_layers=len(needed) - len(distinct),
                shared_size=again,
                resumed_layers=0,
            )
        )

    def _verify_blobs(self, census: Census) -> None:
        """Read the blobs, hold each against its promises, and tell of images that are through."""
        left = {id(seen): {id(blob) for blob in seen.blobs} for seen in census.images}
        users: dict[int, list[Seen]] = {}
        for seen in census.images:
            for blob in {id(blob): blob for blob in seen.blobs}.values():
                users.setdefault(id(blob), []).append(seen)
            if not seen.blobs:
                self._told(seen)
        for blob in self._run.run(census.blobs):
            judge(blob, self._notes)
            for seen in users.get(id(blob), ()):
                left[id(seen)].discard(id(blob))
                if not left[id(seen)]:
                    self._told(seen)

    def _told(self, seen: Seen) -> None:
        wrong = self._notes.concerns(seen.label)
        self._tell(
            ImageFinished(
                image=seen.label,
                layers=len(seen.image.layers),
                shared_layers=0,
                size_before=seen.size,
                size_after=seen.size,
                seconds=time.monotonic() - self._began,
                error=_count(wrong, "problem") if wrong else None,
            )
        )

    def _result(self, census: Census, unreachable: list[str]) -> Verification:
        read: list[Blob] = [blob for blob in census.blobs if blob.facts is not None]
        documents, size = census.documents
        return Verification(
            ref=str(self._reference),
            profile=self._profile,
            images=tuple(
                seen.verified(ok=not self._notes.concerns(seen.label)) for seen in census.images
            ),
            problems=self._notes.problems,
            findings=self._notes.findings,
            blobs=documents + len(read),
            layers=sum(blob.is_layer for blob in read),
            bytes=size + sum(blob.facts.size for blob in read if blob.facts is not None),
            unreachable=tuple(unreachable),
            seconds=time.monotonic() - self._began,
            workers=self._engine.workers,
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
