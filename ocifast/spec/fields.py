"""Taking the known keys out of a JSON object, each with its type; what is left are unknown fields.

It reads values that are already parsed (`document`) and does not know which document they are of.
*Invariant:* a key that differs only in case from a known one is refused, as other readers would
take it for that one (hardening J02); null is the same as absent; unknown keys are never lost.
"""

from __future__ import annotations

import functools
import re
from typing import Final, NoReturn

from ocifast.errors import DigestSyntaxError, DocumentError, UnsupportedError
from ocifast.spec.digest import ENCODED, Digest
from ocifast.spec.document import ANNOTATION_BYTES, INTEGER_MAX

__all__ = ["Fields"]

DIGEST: Final = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):[a-zA-Z0-9=_-]+")

NAMES: Final = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a fraction",
    type(None): "null",
}


@functools.cache
def _folded(known: tuple[str, ...]) -> dict[str, str]:
    return {key.casefold(): key for key in known}


class Fields:
    """The fields of one object, at `where` in a document; each method takes one out.

    All methods raise DocumentError, naming the place, when the value has another type than asked
    for; with `required`, also when there is none.

    Example:
        >>> fields = Fields({"size": 7, "x": 1}, ("size",), "manifest", "config")
        >>> fields.size("size"), fields.rest()
        (7, {'x': 1})
    """

    __slots__ = ("_left", "_where", "document")

    def __init__(
        self, value: object, known: tuple[str, ...], document: str, where: str = ""
    ) -> None:
        self.document = document
        self._where = where
        if not isinstance(value, dict):
            raise DocumentError(document, where, f"it must be an object, not {_name(value)}")
        folded = _folded(known)
        for key in value:
            meant = folded.get(key.casefold())
            if meant is not None and meant != key:
                raise DocumentError(document, where, f"the key {key!r} must be spelt {meant!r}")
        self._left = dict(value)

    def __contains__(self, key: str) -> bool:
        return self._left.get(key) is not None

    def holds(self, key: str) -> bool:
        """Whether the key is there at all, be its value null."""
        return key in self._left

    def place(self, key: str) -> str:
        """Where the value of a key stands, for errors."""
        return f"{self._where}.{key}" if self._where else key

    def fail(self, key: str, reason: str) -> NoReturn:
        """Raise DocumentError for the value of a key."""
        raise DocumentError(self.document, self.place(key), reason)

    def take(self, key: str, *, required: bool = False) -> object:
        """Any value; None when it is absent."""
        value = self._left.pop(key, None)
        if value is None and required:
            self.fail(key, "it is required")
        return value

    def rest(self) -> dict[str, object]:
        """What was not taken: the unknown fields, in their order."""
        return self._left

    def text(self, key: str, *, required: bool = False) -> str:
        """A string; empty when it is absent."""
        value = self.take(key, required=required)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.fail(key, f"it must be a string, not {_name(value)}")
        return value

    def flag(self, key: str) -> bool:
        """A boolean; False when it is absent."""
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            self.fail(key, f"it must be a boolean, not {_name(value)}")
        return bool(value)

    def size(self, key: str) -> int:
        """A required count of bytes."""
        value = self.take(key, required=True)
        if type(value) is not int:
            self.fail(key, f"it must be an integer, not {_name(value)}")
        if not 0 <= value <= INTEGER_MAX:
            self.fail(key, f"it must be in 0..2^63-1, not {value}")
        return value

    def digest(self, key: str) -> Digest:
        """A required digest (J07).

        Raises:
            UnsupportedError: It is one, of an algorithm that is neither sha256 nor sha512.
        """
        return self._digest(self.take(key, required=True), self.place(key))

    def digests(self, key: str, limit: int) -> tuple[Digest, ...]:
        """An array of digests; empty when it is absent. Raises as `digest`."""
        return tuple(self._digest(value, where) for value, where in self.items(key, limit))

    def _digest(self, text: object, where: str) -> Digest:
        if not isinstance(text, str):
            raise DocumentError(self.document, where, f"it must be a string, not {_name(text)}")
        try:
            return Digest.parse(text)
        except DigestSyntaxError as error:
            grammatical = DIGEST.fullmatch(text)
            if grammatical and grammatical[1] not in ENCODED:
                raise UnsupportedError(
                    f"{self.document}: {where}: digests of the algorithm {grammatical[1][:40]} "
                    "are not supported (sha256 and sha512 are)"
                ) from None
            raise DocumentError(self.document, where, str(error)) from None

    def items(self, key: str, limit: int) -> list[tuple[object, str]]:
        """The elements of an array, each with its place; empty when it is absent."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fail(key, f"it must be an array, not {_name(value)}")
        if len(value) > limit:
            self.fail(key, f"it has {len(value)} elements, at most {limit} are read")
        return [(item, f"{self.place(key)}[{index}]") for index, item in enumerate(value)]

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings; empty when it is absent."""
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fail(key, "it must be an array of strings")
        return tuple(value)

    def text_map(self, key: str, limit: int = ANNOTATION_BYTES) -> dict[str, str]:
        """An object of strings, such as annotations: at most `limit` bytes of them (J04)."""
        value = self.take(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            self.fail(key, "it must be an object whose values are strings")
        size = sum(len(name.encode()) + len(text.encode()) for name, text in value.items())
        if size > limit:
            self.fail(key, f"it holds {size} bytes, at most {limit} are read")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """The keys of an object that is used as a set, such as Volumes; empty when absent."""
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, dict):
            self.fail(key, f"it must be an object, not {_name(value)}")
        return tuple(value)


def _name(value: object) -> str:
    return NAMES.get(type(value), type(value).__name__)
