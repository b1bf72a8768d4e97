"""Config and manifest of two images, field by field: which differ, and what they say on each side.

Documents are compared as JSON, unknown fields included; the environment by names. Invariant: order
counts in lists, but not in objects.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast.spec.document import CONFIG_BYTES, MANIFEST_BYTES, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.diff_options import DiffOptions
    from ocifast.transports.base import Image

__all__ = ["DocumentChange", "compare_documents"]

REBUILT: Final = (
    "/created",
    "/container",
    "/container_config",
    "/docker_version",
    "/history",
    "/rootfs/diff_ids",
    "/config/Image",
    "/config/Hostname",
)
"""Of a config, what a rebuild of the same recipe changes."""
REBUILT_MANIFEST: Final = ("/config", "/layers", "/annotations/org.opencontainers.image.created")


class DocumentChange(NamedTuple):
    """A field that differs: a JSON pointer into the document, and what JSON it has there."""

    document: str
    """``config`` or ``manifest``."""
    pointer: str
    old: str | None
    """None where there is no such field."""
    new: str | None


def compare_documents(a: Image, b: Image, options: DiffOptions) -> Iterator[DocumentChange]:
    """Give the fields of config and manifest that differ, in the order of their pointers.

    A manifest is compared when both sides have one: archives of Docker have none.

    Raises:
        DocumentError: A document is malformed.
    """
    if "config" not in options.ignore:
        left, right = _config(a), _config(b)
        yield from _changes("config", left, right, REBUILT if options.semantic else ())
    both = a.manifest is not None and b.manifest is not None
    if both and "manifest" not in options.ignore:
        left, right = _manifest(a), _manifest(b)
        yield from _changes("manifest", left, right, REBUILT_MANIFEST if options.semantic else ())


def _config(image: Image) -> object:
    if not image.config_raw:
        return {}
    return parse_json(image.config_raw, what="config", limit=CONFIG_BYTES)


def _manifest(image: Image) -> object:
    assert image.manifest is not None
    return parse_json(image.manifest.raw, what="manifest", limit=MANIFEST_BYTES)


def _changes(
    document: str, left: object, right: object, ignored: tuple[str, ...]
) -> Iterator[DocumentChange]:
    old, new = dict(_leaves(left)), dict(_leaves(right))
    for pointer in sorted(old.keys() | new.keys()):
        if old.get(pointer) == new.get(pointer):
            continue
        if any(pointer == each or pointer.startswith(each + "/") for each in ignored):
            continue
        yield DocumentChange(document, pointer, old.get(pointer), new.get(pointer))


def _leaves(value: object, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Flatten a document; `parse_json` has bounded its depth."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(child, f"{pointer}/{_escaped(key)}")
    elif isinstance(value, list) and value:
        for key, child in _numbered(value, pointer):
            yield from _leaves(child, f"{pointer}/{key}")
    else:
        yield pointer or "/", json.dumps(value, sort_keys=True)


def _numbered(values: list[Any], pointer: str) -> Iterator[tuple[str, object]]:
    """The items of a list by number; of an environment by name, where names are distinct."""
    if pointer.endswith("/Env") and all(isinstance(value, str) for value in values):
        named = {value.partition("=")[0]: value.partition("=")[2] for value in values}
        if len(named) == len(values):
            yield from ((_escaped(name), value) for name, value in named.items())
            return
    yield from ((str(number), value) for number, value in enumerate(values))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
