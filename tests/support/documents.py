"""Documents of images for tests: small, valid, and plain values, so that one can be broken."""

import hashlib
import json
from typing import Any

from ocifast.spec import media_type as types
from ocifast.spec.descriptor import Descriptor

MINIMAL_CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": []},
}


def digest_of(content: bytes | str) -> str:
    raw = content.encode() if isinstance(content, str) else content
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def to_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def descriptor(content: str = "layer", media_type: str = types.LAYER + "+gzip") -> Descriptor:
    return Descriptor(media_type, digest_of(content), len(content))


def raw_descriptor(content: str = "layer", **changes: object) -> dict[str, Any]:
    return {**descriptor(content).to_json(), **changes}


def raw_manifest(**changes: object) -> dict[str, Any]:
    """A manifest of two layers; a change to None takes the key out."""
    value = {
        "schemaVersion": 2,
        "mediaType": types.MANIFEST,
        "config": raw_descriptor("config", mediaType=types.CONFIG),
        "layers": [raw_descriptor("base"), raw_descriptor("top")],
        **changes,
    }
    return {key: inner for key, inner in value.items() if inner is not None}


def raw_index(**changes: object) -> dict[str, Any]:
    """An index of two platforms; a change to None takes the key out."""
    manifests = [
        raw_descriptor(
            name, mediaType=types.MANIFEST, platform={"architecture": name, "os": "linux"}
        )
        for name in ("amd64", "arm64")
    ]
    value = {"schemaVersion": 2, "mediaType": types.INDEX, "manifests": manifests, **changes}
    return {key: inner for key, inner in value.items() if inner is not None}
