"""`manifest.json` and `repositories`: which images an archive of `docker save` holds.

Names of files in it are keys into the archive's own table, and are not looked at here. It reads no
configs and no layers. *Invariant:* what `build_save_manifest` writes, `parse_save_manifest` reads
as the same values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ocifast.errors import DocumentError, ReferenceSyntaxError
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.document import KEYS, LAYERS, SAVE_MANIFEST_BYTES, encode_json, parse_json
from ocifast.spec.fields import Fields
from ocifast.spec.reference import ImageName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "SavedImage",
    "build_repositories",
    "build_save_manifest",
    "parse_repositories",
    "parse_save_manifest",
]

KNOWN: Final = ("Config", "RepoTags", "Layers", "Parent", "LayerSources")
IDENTIFIER: Final = re.compile(r"(?:sha256:)?[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image of the archive: names of the files it is made of, layers from the base up."""

    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] = ()
    parent: str = ""
    layer_sources: Mapping[str, Descriptor] = field(default_factory=dict, hash=False)
    """By diff_id, what Docker 25 and later know of the layers where they came from."""
    extra: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Unknown fields, kept as they were."""

    def to_json(self) -> dict[str, object]:
        """Give the fields in the order Docker writes them."""
        sources = {key: value.to_json() for key, value in self.layer_sources.items()}
        return {
            "Config": self.config,
            "RepoTags": list(self.repo_tags) or None,
            "Layers": list(self.layers),
            **({"Parent": self.parent} if self.parent else {}),
            **({"LayerSources": sources} if sources else {}),
            **self.extra,
        }


def parse_save_manifest(raw: bytes, *, document: str = "manifest.json") -> tuple[SavedImage, ...]:
    """Read `manifest.json`.

    Raises:
        DocumentError: It is malformed, or holds a name that is none.
    """
    value = parse_json(raw, what=document, limit=SAVE_MANIFEST_BYTES)
    if not isinstance(value, list):
        raise DocumentError(document, "", "it must be an array of images")
    return tuple(_image(item, document, f"[{number}]") for number, item in enumerate(value))


def build_save_manifest(images: Iterable[SavedImage]) -> bytes:
    """Write `manifest.json` in its one form: the same images give the same bytes."""
    return encode_json([image.to_json() for image in images])


def parse_repositories(raw: bytes, *, document: str = "repositories") -> dict[str, dict[str, str]]:
    """Read `repositories`: for each repository its tags, and the legacy id each stands for.

    Raises:
        DocumentError: It is malformed, or an id is not one.
    """
    value = parse_json(raw, what=document, limit=SAVE_MANIFEST_BYTES)
    fields = Fields(value, (), document)
    names = list(fields.rest())
    found = {name: fields.text_map(name, SAVE_MANIFEST_BYTES) for name in names}
    for name, tags in found.items():
        for tag, identifier in tags.items():
            if not IDENTIFIER.fullmatch(identifier):
                reason = f"it must be 64 hexadecimal digits, not {identifier[:80]!r}"
                raise DocumentError(document, f"{name}.{tag}", reason)
    return found


def build_repositories(repositories: Mapping[str, Mapping[str, str]]) -> bytes:
    """Write `repositories` in its one form: sorted, as Docker does."""
    return encode_json(
        {name: dict(sorted(tags.items())) for name, tags in sorted(repositories.items())}
    )


def _image(value: object, document: str, where: str) -> SavedImage:
    fields = Fields(value, KNOWN, document, where)
    config = fields.text("Config", required=True)
    if not config:
        fields.fail("Config", "it must not be empty")
    return SavedImage(
        config=config,
        layers=_layers(fields),
        repo_tags=_repo_tags(fields),
        parent=fields.text("Parent"),
        layer_sources=_sources(fields),
        extra=fields.rest(),
    )


def _repo_tags(fields: Fields) -> tuple[str, ...]:
    """Take the names, each of which must be one with a tag (D06)."""
    repo_tags = fields.texts("RepoTags")
    for text in repo_tags:
        try:
            tag = ImageName.parse_normalized(text).tag
        except ReferenceSyntaxError as error:
            fields.fail("RepoTags", str(error))
        if not tag:
            fields.fail("RepoTags", f"{text!r} has no tag")
    return repo_tags


def _layers(fields: Fields) -> tuple[str, ...]:
    layers = fields.texts("Layers")
    if len(layers) > LAYERS:
        fields.fail("Layers", f"it has {len(layers)} elements, at most {LAYERS} are read")
    if not all(layers):
        fields.fail("Layers", "it must not hold an empty name")
    return layers


def _sources(fields: Fields) -> dict[str, Descriptor]:
    where = fields.place("LayerSources")
    value = fields.take("LayerSources")
    if value is None:
        return {}
    inner = Fields(value, (), fields.document, where)
    if len(inner.rest()) > KEYS:
        fields.fail("LayerSources", f"it has more than {KEYS} keys")
    return {
        key: Descriptor.from_json(item, f"{where}.{key}", fields.document)
        for key, item in inner.rest().items()
    }
