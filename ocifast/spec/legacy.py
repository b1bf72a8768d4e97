"""Images as Docker knew them before 1.10: a chain of `<id>/json` documents, one for each layer.

Archives of that age are read by making a config of the chain; archives for that age are written by
making a chain of the config. Ids are names here, never checked: nobody's readers recompute them.
*Invariant:* the same config gives the same ids, and layers that images share have the same ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast.errors import DocumentError
from ocifast.spec.digest import Digest
from ocifast.spec.document import CONFIG_BYTES, encode_json, parse_json
from ocifast.spec.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.spec.config import ImageConfig

__all__ = ["V1Layer", "config_from_v1", "parent_of", "v1_layers"]

KNOWN: Final = (
    "id",
    "parent",
    "comment",
    "created",
    "container",
    "container_config",
    "docker_version",
    "author",
    "config",
    "architecture",
    "variant",
    "os",
    "throwaway",
)
"""In the order Docker writes them."""
DROPPED: Final = frozenset({"id", "parent", "parent_id", "layer_id", "throwaway", "Size"})
"""What is of one layer, and does not belong in a config."""
KEPT: Final = KNOWN[2:12]
IDENTIFIER: Final = re.compile("[a-f0-9]{64}")
GO_ESCAPES: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

EPOCH: Final = "1970-01-01T00:00:00Z"
NO_TIME: Final = "0001-01-01T00:00:00Z"
NO_CONTAINER: Final = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    **dict.fromkeys(
        ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), False
    ),
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}
"""How Docker writes the settings of a container that never was."""


class V1Layer(NamedTuple):
    """The directory of one layer in an old archive: its name, and the `json` in it."""

    id: str
    json: bytes


def parent_of(raw: bytes, *, document: str) -> str:
    """Read which layer is below; empty for the base.

    Raises:
        DocumentError: It is malformed, or the id is not one.
    """
    parent = _fields(raw, document).text("parent").removeprefix("sha256:")
    if parent and not IDENTIFIER.fullmatch(parent):
        raise DocumentError(document, "parent", f"{parent[:80]!r} is not 64 hexadecimal digits")
    return parent


def config_from_v1(chain: Sequence[bytes], diff_ids: Sequence[str]) -> bytes:
    """Make the config that Docker makes of a chain when it loads it; both are from the base up.

    There is a diff_id for each document, or for each that is not marked `throwaway`.

    Raises:
        DocumentError: A document is malformed, or the counts differ.
    """
    if not chain:
        raise DocumentError("json", "", "an image needs at least one layer")
    documents = [_fields(raw, f"layer {number} json") for number, raw in enumerate(chain)]
    steps = [_history(fields) for fields in documents]
    empty = [step.pop("empty_layer") for step in steps]
    if len(diff_ids) != len(steps):
        if len(diff_ids) != empty.count(False):
            reason = f"{len(diff_ids)} layers belong to {len(steps)} documents"
            raise DocumentError("json", "", reason)
        for step, is_empty in zip(steps, empty, strict=True):
            step.update({"empty_layer": True} if is_empty else {})
    top: Any = parse_json(chain[-1], what="json", limit=CONFIG_BYTES)
    config = {key: value for key, value in top.items() if key not in DROPPED}
    config["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]}
    config["history"] = steps
    return _encode_go(dict(sorted(config.items())))


def v1_layers(config: ImageConfig) -> list[V1Layer]:
    """Make the documents of the layers of an image, from the base up.

    Only the last one tells of the image; those below say what is the same in all that share them.
    """
    value: Any = parse_json(config.raw, what="config", limit=CONFIG_BYTES)
    real = {key: value[key] for key in KEPT if value.get(key) is not None}
    found: list[V1Layer] = []
    for chain_id in config.chain_ids():
        last = len(found) == len(config.diff_ids) - 1
        image = {"created": EPOCH, "container_config": NO_CONTAINER, **(real if last else {})}
        image = {key: image[key] for key in KEPT if key in image}
        below = {"parent": found[-1].id} if found else {}
        named = {**image, "layer_id": str(chain_id)}
        named.update({"parent": f"sha256:{found[-1].id}"} if found else {})
        identifier = Digest.of_content(_encode_go(dict(sorted(named.items())))).encoded
        system = {"os": config.os} if config.os else {}
        found.append(
            V1Layer(identifier, _encode_go({"id": identifier, **below, **image, **system}))
        )
    return found


def _fields(raw: bytes, document: str) -> Fields:
    return Fields(parse_json(raw, what=document, limit=CONFIG_BYTES), KNOWN, document)


def _history(fields: Fields) -> dict[str, Any]:
    """Give one element of a config's history, with `empty_layer` in any case."""
    settings = fields.take("container_config")
    container = Fields(
        {} if settings is None else settings, ("Cmd",), fields.document, "container_config"
    )
    step = {
        "created": fields.text("created") or NO_TIME,
        "author": fields.text("author"),
        "created_by": " ".join(container.texts("Cmd")),
        "comment": fields.text("comment"),
    }
    given: dict[str, Any] = {key: text for key, text in step.items() if text}
    return {**given, "empty_layer": fields.flag("throwaway")}


def _encode_go(value: object) -> bytes:
    """Write a document as Go does, so that ids come out as Docker's own."""
    return encode_json(value).decode().translate(GO_ESCAPES).encode()
