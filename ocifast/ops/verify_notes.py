"""What is found wrong or odd during a verification, each thing once.

It keeps, and reads nothing. *Invariant:* the order is that in which things were found first, and
the same thing told again only adds the image it concerns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocifast.errors import (
    DiffIdMismatch,
    DigestMismatch,
    DocumentError,
    OcifastError,
    SizeMismatch,
    StoreError,
    UnsupportedError,
)
from ocifast.ops.verification import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocifast.limits import Profile

    Key = tuple[object, ...]

__all__ = ["Notes"]

CODES: Final = {
    DigestMismatch: "digest",
    DiffIdMismatch: "diff_id",
    SizeMismatch: "size",
    DocumentError: "document",
    StoreError: "store",
    UnsupportedError: "unsupported",
}


class Notes:
    """The problems and findings of one store; the profile decides what an oddity is."""

    def __init__(self, store: str, profile: Profile) -> None:
        self.store = store
        self._strict = profile == "strict"
        self._problems: dict[Key, Problem] = {}
        self._findings: dict[Key, Problem] = {}
        self._images: dict[Key, dict[str, None]] = {}
        self._of_subject: dict[str, set[Key]] = {}
        self._of_image: dict[str, set[Key]] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong."""
        return self._listed(self._problems)

    @property
    def findings(self) -> tuple[Problem, ...]:
        """What is odd and was tolerated."""
        return self._listed(self._findings)

    def wrong(self, code: str, subject: str, text: str, images: Iterable[str] = ()) -> None:
        """Note a problem."""
        self._add_problem(Problem(code, subject, self.store, text), images)

    def finding(self, code: str, subject: str, text: str, images: Iterable[str] = ()) -> None:
        """Note an oddity that was tolerated."""
        key = ("finding", code, subject, text)
        self._findings.setdefault(key, Problem(code, subject, self.store, text))
        self._images.setdefault(key, {}).update(dict.fromkeys(images))

    def odd(self, code: str, subject: str, text: str, images: Iterable[str] = ()) -> None:
        """Note an oddity: a problem in the strict profile, a finding in the other."""
        (self.wrong if self._strict else self.finding)(code, subject, text, images)

    def error(
        self, subject: str, error: BaseException, images: Iterable[str] = (), code: str = ""
    ) -> None:
        """Note as a problem what was raised about a file."""
        expected = getattr(error, "expected", None)
        actual = None if expected is None else getattr(error, "actual", None)
        text = _text(subject, error)
        problem = Problem(code or _code(error), subject, self.store, text, expected, actual)
        self._add_problem(problem, images)

    def is_wrong(self, subject: str) -> bool:
        """Whether there is a problem with a file."""
        return subject in self._of_subject

    def blame(self, subject: str, image: str) -> None:
        """Note that an image needs a file; if there are problems with it, they are its own."""
        for key in self._of_subject.get(subject, ()):
            self._concern(key, (image,))

    def concerns(self, image: str) -> int:
        """How many problems are those of an image."""
        return len(self._of_image.get(image, ()))

    def _add_problem(self, problem: Problem, images: Iterable[str]) -> None:
        compared = (str(problem.expected), str(problem.actual))
        same = compared if problem.expected is not None else (problem.text,)
        key: Key = (problem.code, problem.subject, *same)
        self._problems.setdefault(key, problem)
        self._of_subject.setdefault(problem.subject, set()).add(key)
        self._concern(key, images)

    def _concern(self, key: Key, images: Iterable[str]) -> None:
        for image in images:
            self._images.setdefault(key, {})[image] = None
            self._of_image.setdefault(image, set()).add(key)

    def _listed(self, notes: dict[Key, Problem]) -> tuple[Problem, ...]:
        return tuple(
            replace(problem, images=tuple(self._images.get(key, ())))
            for key, problem in notes.items()
        )


def _code(error: BaseException) -> str:
    for kind, code in CODES.items():
        if isinstance(error, kind):
            return code
    return "malformed" if isinstance(error, OcifastError) else "unreadable"


def _text(subject: str, error: BaseException) -> str:
    """Say what is wrong, without the name of the file it is wrong with."""
    if isinstance(error, DocumentError):
        own = error.document == subject or error.document.partition(":")[2] in subject
        place = "" if own else error.document
        return ": ".join(filter(None, (place, error.where, error.reason)))
    if isinstance(error, StoreError):
        return error.reason if error.name in ("", subject) else f"{error.name}: {error.reason}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
