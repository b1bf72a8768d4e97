"""Config and manifest of an image some of whose layers have become others.

Pure: documents in, documents out, and what they say besides is kept. Invariant: diff_ids, layers
and history are in step: as many of each, in the same order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ocifast.ops.rebuild import Rebuilt, RebuiltImage
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest
from ocifast.spec.document import CONFIG_BYTES, encode_json, parse_json
from ocifast.spec.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.ops.splice_run import SplicedLayer
    from ocifast.transports.base import Image

__all__ = ["made_over", "merged_steps"]

BASE: Final = ("org.opencontainers.image.base.digest", "org.opencontainers.image.base.name")
"""Annotations that name an image with which this one shares its first layers."""
STEP_CHARS: Final = 100
COMMENT_CHARS: Final = 2000


def made_over(
    image: Image,
    old: RebuiltImage,
    first: int,
    new: Sequence[SplicedLayer],
    steps: list[dict[str, Any]],
) -> Rebuilt:
    """Give the documents of an image whose layers from `first` on have become `new`.

    `old` are its documents as they were; `steps` are what its history says of the new layers.
    """
    config_raw = _config(old.config_raw, first, new, steps)
    config = replace(
        old.manifest.config, digest=Digest.of_content(config_raw), size=len(config_raw), data=None
    )
    described = [
        Descriptor(layer.media_type, layer.digest, layer.size, annotations=dict(layer.annotations))
        for layer in new
    ]
    manifest = Manifest.build(
        config,
        [*old.manifest.layers[:first], *described],
        media_type=old.manifest.media_type,
        annotations={
            key: value
            for key, value in old.manifest.annotations.items()
            if first or key not in BASE
        },
        subject=old.manifest.subject,
        artifact_type=old.manifest.artifact_type,
        extra=old.manifest.extra,
    )
    top = manifest.descriptor
    if image.descriptor is not None:
        top = replace(
            image.descriptor,
            media_type=top.media_type,
            digest=top.digest,
            size=top.size,
            data=None,
            urls=(),
        )
    diff_ids = (*(old.diff_ids or ())[:first], *(layer.diff_id for layer in new))
    return Rebuilt(
        top=top,
        documents=[config_raw, manifest.raw],
        images=[RebuiltImage(manifest, config_raw, diff_ids)],
    )


def _config(
    raw: bytes, first: int, new: Sequence[SplicedLayer], steps: list[dict[str, Any]]
) -> bytes:
    value: Any = parse_json(raw, what="config", limit=CONFIG_BYTES)
    before = value["rootfs"]["diff_ids"]
    diff_ids = [*before[:first], *(layer.diff_id for layer in new)]
    value["rootfs"] = {**value["rootfs"], "diff_ids": diff_ids}
    if "history" in value:
        value["history"] = _history(value["history"], first, len(before), steps)
        if not value["history"]:
            del value["history"]
    return encode_json(value)


def _filled(history: Sequence[dict[str, Any]]) -> list[int]:
    """Which steps made a layer."""
    return [number for number, step in enumerate(history) if not step.get("empty_layer")]


def _history(
    history: list[dict[str, Any]], first: int, layers: int, steps: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Put the new steps where the last of the old ones was; none, where it was out of step."""
    filled = _filled(history)
    if len(filled) != layers:
        return []
    gone, last = set(filled[first:]), filled[-1]
    return [
        *(step for number, step in enumerate(history[:last]) if number not in gone),
        *steps,
        *history[last + 1 :],
    ]


def merged_steps(raw: bytes, first: int, created_by: str, count: int = 1) -> list[dict[str, Any]]:
    """What is said of `count` layers that stand for those from `first` on.

    Example:
        >>> config = {"rootfs": {"diff_ids": ["a", "b"]}, "history": [{"created_by": "x"}, {}]}
        >>> merged_steps(encode_json(config), 0, "ocifast squash")
        [{'created_by': 'ocifast squash', 'comment': '2 layers: x; (unknown)'}]
    """
    value: Any = parse_json(raw, what="config", limit=CONFIG_BYTES)
    history = value.get("history", [])
    old = [history[number] for number in _filled(history)[first:]]
    layers = len(value["rootfs"]["diff_ids"]) - first
    texts = [str(step.get("created_by") or "(unknown)") for step in old]
    told = "; ".join(text[:STEP_CHARS] for text in texts)[:COMMENT_CHARS]
    comment = f"{layers} layer{'s' * (layers != 1)}: {told}"
    created = [str(step["created"]) for step in old if step.get("created")]
    return [
        {
            **({"created": created[-1]} if created else {}),
            "created_by": created_by,
            "comment": comment if count == 1 else f"{number + 1} of {count}, made of {comment}",
        }
        for number in range(count)
    ]
