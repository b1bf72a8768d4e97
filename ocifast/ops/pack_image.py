"""A packed layer put into an image of an OCI layout: config and manifest anew, the name moved last.

What the documents say besides is kept. Invariant: index.json changes once, when layer, config and
manifest are on disk; whoever reads the name meanwhile gets the image as it was.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ocifast.errors import ImageNotFound
from ocifast.ops.image import open_image
from ocifast.spec.config_conversion import to_oci
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.document import CONFIG_BYTES, encode_json, parse_json
from ocifast.spec.manifest import Manifest
from ocifast.spec.media_type import CONFIG, codec_of, layer_media_type
from ocifast.spec.platform import host_platform
from ocifast.transports.layout_writer import add_to_layout

if TYPE_CHECKING:
    from ocifast.ops.output_names import OutputName
    from ocifast.ops.packing import PackedLayer
    from ocifast.transports.base import Image
    from ocifast.transports.blob_store import BlobStore

__all__ = ["add_layer", "find_base"]

CREATED_BY = "ocifast pack"


def find_base(name: OutputName) -> Image:
    """Open the image a layer is to be put on.

    Raises:
        ImageNotFound: The layout, or the image in it, is not there.
        OcifastError, OSError: As `open_image`.
    """
    try:
        return open_image(str(name))
    except FileNotFoundError:
        raise ImageNotFound(name.path, name.name or "at all", "") from None


def add_layer(
    store: BlobStore, name: OutputName, base: Image | None, layer: PackedLayer, epoch: int | None
) -> Digest:
    """Put a layer, whose blob is in the store, on top of an image, or into one of its own.

    Gives the digest of the manifest the name means now.

    Raises:
        DocumentError: The documents of the image would not be read back.
        OSError: They cannot be written.
    """
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    config = encode_json(_config(base, layer, when))
    described = Descriptor(
        layer.media_type, layer.digest, layer.size, annotations=dict(layer.annotations)
    )
    head = Descriptor(CONFIG, Digest.of_content(config), len(config))
    if base is None:
        manifest = Manifest.build(head, [described])
    else:
        old = base.manifest
        below = [_oci(stored.descriptor) for stored in base.layers]
        manifest = Manifest.build(
            head,
            [*below, described],
            annotations=old.annotations if old else {},
            subject=old.subject if old else None,
            artifact_type=old.artifact_type if old else None,
            extra=old.extra if old else None,
        )
    store.put(config)
    digest = store.put(manifest.raw)
    top = manifest.descriptor
    if base is not None and base.descriptor is not None:
        top = replace(
            base.descriptor, media_type=top.media_type, digest=top.digest, size=top.size, data=None
        )
    add_to_layout(name.path, [(top, [name.name] if name.name else [])])
    return digest


def _oci(descriptor: Descriptor) -> Descriptor:
    """Say in OCI's words what Docker calls otherwise."""
    codec = codec_of(descriptor.media_type or "")
    return descriptor if codec is None else replace(descriptor, media_type=layer_media_type(codec))


def _config(base: Image | None, layer: PackedLayer, when: str) -> dict[str, Any]:
    step = {"created": when, "created_by": CREATED_BY}
    if base is None:
        platform = host_platform()
        value: dict[str, Any] = {
            "created": when,
            "architecture": platform.architecture,
            "os": platform.os,
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [],
        }
        if platform.variant:
            value["variant"] = platform.variant
    else:
        value = parse_json(to_oci(base.config_raw), what="config", limit=CONFIG_BYTES)  # type: ignore[assignment]
        value["created"] = when
    rootfs = value["rootfs"]
    value["rootfs"] = {**rootfs, "diff_ids": [*rootfs["diff_ids"], str(layer.diff_id)]}
    if base is None or "history" in value or not rootfs["diff_ids"]:
        value["history"] = [*value.get("history", ()), step]
    return value
