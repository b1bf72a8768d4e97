"""What a conversion gives back: what became of each image and layer, as values.

Nothing here reads or writes; `ocifast.ops.convert` fills these in. Invariant: sums count each
blob once, however many images or layers point to it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ConvertReport", "ConvertedImage", "ConvertedLayer"]

SHARED: Final = "shared"


@dataclass(frozen=True, slots=True)
class ConvertedLayer:
    """A layer of a converted image: what it was, and what it is now.

    `source_digest` and `source_size` are of the blob that was read, `digest` and `size` of the one
    that stands for it now, and so is `diff_id`: eStargz puts entries into a tar, so it has another
    one than `source_diff_id`. `annotations` are what its descriptor has to say: of a seekable layer
    where its TOC is. `recipe` names how it was compressed, if that was done here; `how` is
    ``compressed``, ``copied``, ``reflinked``, ``hardlinked``, ``shared`` (another image has done
    the work) or ``resumed`` (an earlier run has). `findings` are oddities that were tolerated.
    """

    diff_id: str
    source_digest: str | None
    source_size: int
    uncompressed_size: int
    media_type: str
    digest: str
    size: int
    recipe: str | None
    how: str
    seconds: float
    findings: tuple[str, ...] = ()
    source_diff_id: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ConvertedImage:
    """An image or index: where it came from, where it is now, or why it is not.

    `destination` is a reference that `open_image` takes, `digest` that of the manifest or index
    written, `image_id` that of the config. `findings` are oddities of its documents, and what was
    left out. Of an image that failed, `error` is a sentence and `exit_code` what the command line
    ends with.

    Example:
        >>> image = ConvertedImage("a.tar", ("a:1",), None, "oci:out:a:1", None, None, (), 1.0)
        >>> image.size_after, image.ratio, image.exit_code
        (0, None, 0)
    """

    source: str
    names: tuple[str, ...]
    platform: str | None
    destination: str
    digest: str | None
    image_id: str | None
    layers: tuple[ConvertedLayer, ...]
    seconds: float
    error: str | None = None
    error_type: str | None = None
    exit_code: int = 0
    findings: tuple[str, ...] = ()

    @property
    def size_before(self) -> int:
        """Stored bytes of its layers at the source, each distinct one once."""
        return _size_before(self.layers)

    @property
    def size_after(self) -> int:
        """Stored bytes of its layers now, each distinct one once."""
        return _size_after(self.layers)

    @property
    def ratio(self) -> float | None:
        """Size after as a part of the size before; None where there was nothing."""
        return _ratio(self.size_before, self.size_after)

    @property
    def shared_layers(self) -> int:
        """How many of its layers needed no work because another has done it."""
        return sum(layer.how == SHARED for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can carry it."""
        return {
            **asdict(self),
            "names": list(self.names),
            "findings": list(self.findings),
            "layers": [
                {**asdict(layer), "findings": list(layer.findings)} for layer in self.layers
            ],
            "size_before": self.size_before,
            "size_after": self.size_after,
            "ratio": self.ratio,
            "shared_layers": self.shared_layers,
        }


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What one run of `convert` has done; `images` are in the order of the sources.

    Example:
        >>> report = ConvertReport((), 0.5, 2, "keep", bytes_read=0, bytes_written=0)
        >>> report.ok, report.to_dict()["schema"]
        (True, 'ocifast.convert/1')
    """

    images: tuple[ConvertedImage, ...]
    seconds: float
    workers: int
    recipe: str
    bytes_read: int
    bytes_written: int

    @property
    def ok(self) -> bool:
        """Whether every image is there."""
        return not self.failed

    @property
    def failed(self) -> tuple[ConvertedImage, ...]:
        """The images that were given up."""
        return tuple(image for image in self.images if image.error is not None)

    @property
    def layers(self) -> tuple[ConvertedLayer, ...]:
        """The layers of all images, as often as they are used."""
        return tuple(layer for image in self.images for layer in image.layers)

    @property
    def layers_distinct(self) -> int:
        """How many blobs the layers of all images are now."""
        return len({layer.digest for layer in self.layers})

    @property
    def layers_shared(self) -> int:
        """How many layers needed no work because another image has done it."""
        return sum(image.shared_layers for image in self.images)

    @property
    def size_before(self) -> int:
        """Stored bytes of all layers at their sources, each distinct one once."""
        return _size_before(self.layers)

    @property
    def size_after(self) -> int:
        """Stored bytes of all layers now, each distinct one once."""
        return _size_after(self.layers)

    @property
    def ratio(self) -> float | None:
        """Size after as a part of the size before; None where there was nothing."""
        return _ratio(self.size_before, self.size_after)

    def to_dict(self) -> dict[str, Any]:
        """Give what ``--json`` and ``--report`` write."""
        return {
            "schema": "ocifast.convert/1",
            "ok": self.ok,
            "images": [image.to_dict() for image in self.images],
            "failed": len(self.failed),
            "seconds": self.seconds,
            "workers": self.workers,
            "recipe": self.recipe,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "layers_distinct": self.layers_distinct,
            "layers_shared": self.layers_shared,
            "size_before": self.size_before,
            "size_after": self.size_after,
            "ratio": self.ratio,
        }


def _size_before(layers: Iterable[ConvertedLayer]) -> int:
    blobs = {layer.source_digest or layer.diff_id: layer.source_size for layer in layers}
    return sum(blobs.values())


def _size_after(layers: Iterable[ConvertedLayer]) -> int:
    return sum({layer.digest: layer.size for layer in layers}.values())


def _ratio(before: int, after: int) -> float | None:
    return after / before if before else None
