"""Archives of Docker before 1.10: a folder for each layer with its JSON, and `repositories`.

There is no config and no list of layers: each layer names its parent. *Invariant:* an id is only
ever compared and looked up; it is neither trusted to be a digest nor recomputed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ocifast.errors import DocumentError, StoreError
from ocifast.spec.config import ImageConfig
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.document import CONFIG_BYTES, LAYERS, SAVE_MANIFEST_BYTES
from ocifast.spec.legacy import config_from_v1, parent_of
from ocifast.spec.media_type import DOCKER_CONFIG
from ocifast.spec.save_manifest import parse_repositories
from ocifast.transports.base import Image, StoredLayer

if TYPE_CHECKING:
    from ocifast.transports.base import Files

__all__ = ["read_legacy"]

REPOSITORIES: Final = "repositories"
LAYER_JSON: Final = re.compile(r"([a-f0-9]{64})/json")
UNKNOWN: Final = "sha256:" + "0" * 64


def read_legacy(files: Files) -> tuple[Image, ...]:
    """Give the images: one for each layer that is tagged, or that no other one is built on.

    Raises:
        StoreError: It is no such archive, or a layer's JSON is not there.
        DocumentError: A document is malformed, or layers are their own ancestors.
    """
    tags = _tags(files)
    jsons: dict[str, bytes] = {}
    tops = list(tags) if tags else _untagged_tops(files, jsons)
    if not tops:
        raise StoreError(
            files.path, "", "it holds no image: neither manifest.json nor index.json is there"
        )
    return tuple(_image(files, top, tags.get(top, ()), jsons) for top in tops)


def _tags(files: Files) -> dict[str, tuple[str, ...]]:
    """The ids that have names, in the order of the document."""
    if files.find(REPOSITORIES) is None:
        return {}
    raw = files.read(REPOSITORIES, SAVE_MANIFEST_BYTES)
    found: dict[str, tuple[str, ...]] = {}
    for repository, tags in parse_repositories(raw, document=REPOSITORIES).items():
        for tag, written in tags.items():
            identifier = written.removeprefix("sha256:")
            found[identifier] = (*found.get(identifier, ()), f"{repository}:{tag}")
    return found


def _untagged_tops(files: Files, jsons: dict[str, bytes]) -> list[str]:
    """The layers nothing is built on, when nothing is tagged."""
    found = [match[1] for name in files.names() if (match := LAYER_JSON.fullmatch(name))]
    if len(found) > LAYERS:
        raise StoreError(files.path, "", f"it has more than {LAYERS} layers, and none is tagged")
    parents = {_parent(files, identifier, jsons) for identifier in found}
    return sorted(set(found) - parents)


def _json(files: Files, identifier: str, jsons: dict[str, bytes]) -> bytes:
    if identifier not in jsons:
        jsons[identifier] = files.read(f"{identifier}/json", CONFIG_BYTES)
    return jsons[identifier]


def _parent(files: Files, identifier: str, jsons: dict[str, bytes]) -> str:
    return parent_of(_json(files, identifier, jsons), document=f"{identifier}/json")


def _image(files: Files, top: str, names: tuple[str, ...], jsons: dict[str, bytes]) -> Image:
    chain: dict[str, bytes] = {}
    identifier = top
    while identifier:
        if identifier in chain or len(chain) >= LAYERS:
            reason = "its layers are their own ancestors, or too many"
            raise DocumentError(f"{top}/json", "parent", reason)
        chain[identifier] = _json(files, identifier, jsons)
        identifier = _parent(files, identifier, jsons)
    upwards = tuple(reversed(chain))
    legacy = tuple(chain[identifier] for identifier in upwards)
    # Their number is known, themselves only when the layers are read.
    raw = config_from_v1(legacy, [UNKNOWN] * len(legacy))
    config = replace(ImageConfig.parse(raw, document=f"{top}/json"), raw=b"", diff_ids=())
    layers = tuple(
        StoredLayer(name, Descriptor(), None, files.find(name))
        for name in (f"{identifier}/layer.tar" for identifier in upwards)
    )
    return Image(
        store=files.path,
        names=names,
        manifest=None,
        config_descriptor=Descriptor(DOCKER_CONFIG),
        config_raw=b"",
        config=config,
        layers=layers,
        findings=tuple(files.findings),
        legacy=legacy,
    )
