"""What `verify` gives: images, what is wrong with them, and what was looked at.

Plain frozen values; nothing here reads. *Invariant:* a verification is ok exactly when it has no
problems, and each problem is in it once, with all the images it is one of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ocifast.limits import Profile

__all__ = ["Problem", "Verification", "VerifiedImage"]

SCHEMA: Final = "ocifast.verify/1"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or a finding: one that is odd and was tolerated.

    `code` is its stable name, `subject` the file in `store` (or the image) it is about, `images`
    those that need that file. `expected` and `actual` are there where there are two to compare.

    Example:
        >>> str(Problem("missing", "blobs/sha256/0a", "images", "there is no such file"))
        'blobs/sha256/0a: there is no such file'
    """

    code: str
    subject: str
    store: str
    text: str
    expected: str | int | None = None
    actual: str | int | None = None
    images: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" if self.subject else self.text

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON."""
        return {
            "code": self.code,
            "subject": self.subject,
            "store": self.store,
            "message": self.text,
            "expected": self.expected,
            "actual": self.actual,
            "images": list(self.images),
        }


@dataclass(frozen=True, slots=True)
class VerifiedImage:
    """An image that was looked at; `digest` is of its manifest, where there is one.

    `layers` counts its layers and `size` their stored bytes; it is `ok` when no problem is its own.
    """

    names: tuple[str, ...]
    digest: str | None
    image_id: str | None
    platform: str | None
    layers: int
    size: int
    ok: bool

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.names[0] if self.names else self.digest or self.image_id or "an image"

    def to_dict(self) -> dict[str, Any]:
        """Give it as it stands in JSON."""
        return {
            "names": list(self.names),
            "digest": self.digest,
            "image_id": self.image_id,
            "platform": self.platform,
            "layers": self.layers,
            "size": self.size,
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a verification.

    `blobs` counts files that were read, each once, `layers` those of them that are layers, `bytes`
    what they hold as stored. `unreachable` names files that no image needs; blobs among them were
    read as well. It is empty when only some images of a store were asked for.
    """

    ref: str
    profile: Profile
    images: tuple[VerifiedImage, ...]
    problems: tuple[Problem, ...]
    findings: tuple[Problem, ...]
    blobs: int
    layers: int
    bytes: int
    unreachable: tuple[str, ...]
    seconds: float
    workers: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Give it as the command line prints it as JSON."""
        return {
            "schema": SCHEMA,
            "ref": self.ref,
            "ok": self.ok,
            "profile": self.profile,
            "images": [image.to_dict() for image in self.images],
            "problems": [problem.to_dict() for problem in self.problems],
            "findings": [finding.to_dict() for finding in self.findings],
            "blobs": self.blobs,
            "layers": self.layers,
            "bytes": self.bytes,
            "unreachable": list(self.unreachable),
            "seconds": round(self.seconds, 3),
            "workers": self.workers,
        }
