"""A blob that is verified: what is promised of it, what is true of it, and where the two differ.

Pure values and comparisons; the pass that establishes the truth is `VerifyPass`. *Invariant:* a
blob is held against every promise made of it, by whichever image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast.errors import DiffIdMismatch, DigestMismatch, SizeMismatch, WorkerError
from ocifast.ops.stored_toc import toc_digest_of
from ocifast.spec.digest import Digest
from ocifast.spec.media_type import codec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.ops.verify_notes import Notes
    from ocifast.spec.descriptor import Descriptor
    from ocifast.transports.base import Location

__all__ = ["Blob", "BlobFacts", "Claim", "judge"]

LAYER_FILE: Final = re.compile(
    r"(?:.*/)?(?:sha256:)?([a-f0-9]{64})(?:\.tar(?:\.gz|\.zst)?)?", re.DOTALL
)
"""Names of layers in a docker-archive that say what is in them: the digest, or the diff_id."""


class Claim(NamedTuple):
    """What is promised of a blob; `image` is who promises it, empty when the blob's name does."""

    descriptor: Descriptor
    image: str = ""
    layer: bool = False
    diff_id: Digest | None = None


class BlobFacts(NamedTuple):
    """What is true of a blob; digests by algorithm, diff_ids only of a tar that came out whole."""

    digests: Mapping[str, str]
    diff_ids: Mapping[str, str]
    size: int
    codec: str
    errors: tuple[tuple[str, str], ...]
    """What is wrong with it as a layer: a code and a sentence each."""
    findings: tuple[str, ...]
    toc: str | None
    """The digest of its table of contents, where one is promised and could be looked at."""

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> BlobFacts:
        """Look at what a worker sent, which has read hostile bytes.

        Raises:
            WorkerError: It is no proper report.
        """
        try:
            return cls(
                digests={str(k): str(Digest.parse(v)) for k, v in payload["digests"].items()},
                diff_ids={str(k): str(Digest.parse(v)) for k, v in payload["diff_ids"].items()},
                size=int(payload["size"]),
                codec=str(payload["codec"]),
                errors=tuple((str(code), str(text)) for code, text in payload["errors"]),
                findings=tuple(str(text) for text in payload["findings"]),
                toc=None if payload["toc"] is None else str(Digest.parse(payload["toc"])),
            )
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise WorkerError(f"a worker sent no proper report: {error!r}") from None


@dataclass(eq=False, slots=True)
class Blob:
    """One file of a store, read once; `data` has its bytes where they are at hand."""

    name: str
    location: Location | None
    data: bytes | None = field(default=None, repr=False)
    claims: list[Claim] = field(default_factory=list)
    facts: BlobFacts | None = None
    error: BaseException | None = None
    """Why it could not be read."""

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        if self.data is not None:
            return len(self.data)
        return 0 if self.location is None else self.location.size

    @property
    def is_layer(self) -> bool:
        """Whether anybody takes it for a layer."""
        return any(claim.layer for claim in self.claims)

    @property
    def has_toc(self) -> bool:
        """Whether anybody says that it has a table of contents."""
        return any(toc_digest_of(claim.descriptor.annotations) for claim in self.claims)

    @property
    def algorithms(self) -> list[str]:
        """Of digests that are promised, beside sha256."""
        promised = [claim.descriptor.digest for claim in self.claims]
        promised += [claim.diff_id for claim in self.claims]
        return sorted({Digest(each).algorithm for each in promised if each} - {"sha256"})

    @property
    def images(self) -> tuple[str, ...]:
        """The images that need it."""
        return tuple(dict.fromkeys(claim.image for claim in self.claims if claim.image))


def judge(blob: Blob, notes: Notes) -> None:
    """Hold a blob against all that is promised of it."""
    if blob.error is not None:
        notes.error(blob.name, blob.error, blob.images)
    if blob.facts is None:
        return
    for claim in blob.claims:
        _judge_bytes(blob.name, blob.facts, claim, notes)
        if claim.layer:
            _judge_layer(blob.name, blob.facts, claim, notes)


def _judge_bytes(name: str, facts: BlobFacts, claim: Claim, notes: Notes) -> None:
    size, digest = claim.descriptor.size, claim.descriptor.digest
    images = (claim.image,) if claim.image else ()
    if size is not None and size != facts.size:
        notes.error(name, SizeMismatch(size, facts.size), images)
    if digest is None:
        return
    actual = facts.digests.get(Digest(digest).algorithm)
    if actual is None:
        notes.wrong("unsupported", name, f"{digest[:6]} is not computed in a stream", images)
    elif actual != digest:
        notes.error(name, DigestMismatch(digest, actual), images)


def _judge_layer(name: str, facts: BlobFacts, claim: Claim, notes: Notes) -> None:
    images = (claim.image,) if claim.image else ()
    for code, text in facts.errors:
        notes.wrong(code, name, text, images)
    for text in facts.findings:
        notes.finding("layer", name, text, images)
    media_type = claim.descriptor.media_type or ""
    promised = codec_of(media_type)
    if promised not in (None, facts.codec):
        text = f"the media type {media_type} promises {promised}, the bytes are {facts.codec}"
        notes.odd("media_type", name, text, images)
    if claim.diff_id is not None and facts.diff_ids:
        actual = facts.diff_ids.get(claim.diff_id.algorithm, "not computed in a stream")
        if actual != claim.diff_id:
            notes.error(name, DiffIdMismatch(claim.diff_id, actual), images)
    _judge_toc(name, facts, claim, notes)
    _judge_name(name, facts, claim, notes)


def _judge_toc(name: str, facts: BlobFacts, claim: Claim, notes: Notes) -> None:
    promised = toc_digest_of(claim.descriptor.annotations)
    if promised in (None, facts.toc) or any(code == "toc" for code, _ in facts.errors):
        return
    found = "it has none that can be read here" if facts.toc is None else f"it has {facts.toc}"
    text = f"its annotations promise the TOC {promised}, {found}"
    notes.odd("toc", name, text, (claim.image,) if claim.image else ())


def _judge_name(name: str, facts: BlobFacts, claim: Claim, notes: Notes) -> None:
    """Hold a layer against its name, where nothing else says what its bytes are."""
    named = LAYER_FILE.fullmatch(name) if claim.descriptor.digest is None else None
    true = {facts.digests.get("sha256"), facts.diff_ids.get("sha256")}
    if named and f"sha256:{named[1]}" not in true:
        text = f"its digest is {facts.digests.get('sha256')}, which is not what its name says"
        notes.odd("name", name, text, (claim.image,) if claim.image else ())
