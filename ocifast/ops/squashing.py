"""What `squash`, `flatten` and `rechunk` give back, as values.

Nothing here reads or writes. Invariant: `layers` are all layers of the new image, from the base up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocifast.layer import LayerReport
    from ocifast.ops.splice_run import SplicedLayer

__all__ = ["SquashReport", "SquashedLayer", "described"]


@dataclass(frozen=True, slots=True)
class SquashedLayer:
    """A layer of the new image: one that was kept as it is, or one that was made.

    `recipe` says how it was compressed; None where its bytes are the old ones, or plain.
    """

    media_type: str
    digest: str
    size: int
    diff_id: str
    uncompressed_size: int
    entries: int
    recipe: str | None
    is_new: bool
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class SquashReport:
    """What has become of an image; `verb` is what was asked for.

    `destination` is a reference that `open_image` takes, `digest` that of the manifest written,
    `image_id` that of the config. `layers_before` and `size_before` are those of the old image.

    Example:
        >>> report = SquashReport("squash", "a.tar", ("a:1",), "oci:out:a:1", "", "", (), 3, 9, 0.5)
        >>> report.size_after, report.to_dict()["schema"]
        (0, 'ocifast.squash/1')
    """

    verb: str
    source: str
    names: tuple[str, ...]
    destination: str
    digest: str
    image_id: str
    layers: tuple[SquashedLayer, ...]
    layers_before: int
    size_before: int
    seconds: float
    workers: int = 0
    findings: tuple[str, ...] = ()

    @property
    def size_after(self) -> int:
        """Stored bytes of all layers now."""
        return sum(layer.size for layer in self.layers)

    @property
    def kept(self) -> int:
        """How many layers are what they were."""
        return sum(not layer.is_new for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Give what ``--json`` prints."""
        return {
            "schema": f"ocifast.{self.verb}/1",
            **{key: value for key, value in asdict(self).items() if key != "verb"},
            "names": list(self.names),
            "findings": list(self.findings),
            "layers": [asdict(layer) for layer in self.layers],
            "layers_kept": self.kept,
            "size_after": self.size_after,
            "seconds": round(self.seconds, 3),
        }


def described(
    kept: Sequence[LayerReport], made: Sequence[SplicedLayer]
) -> tuple[SquashedLayer, ...]:
    """All layers of the new image."""
    old = [
        SquashedLayer(
            media_type=layer.media_type,
            digest=str(layer.digest),
            size=layer.size,
            diff_id=str(layer.diff_id),
            uncompressed_size=layer.uncompressed_size,
            entries=layer.entries,
            recipe=None,
            is_new=False,
        )
        for layer in kept
    ]
    new = [
        SquashedLayer(
            media_type=layer.media_type,
            digest=layer.digest,
            size=layer.size,
            diff_id=layer.diff_id,
            uncompressed_size=layer.uncompressed_size,
            entries=layer.entries,
            recipe=layer.recipe,
            is_new=True,
            annotations=layer.annotations,
        )
        for layer in made
    ]
    return (*old, *new)
