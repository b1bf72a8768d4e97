"""One image or index on its way through a conversion: what it needs, and what became of it.

It opens and writes nothing. Invariant: a unit is ready exactly when every layer it needs is done.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ocifast.errors import OcifastError, StoreError
from ocifast.ops.conversion import ConvertedImage
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.media_type import is_foreign
from ocifast.transports.base import Image, ImageIndex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.conversion import ConvertedLayer
    from ocifast.ops.layer_work import LayerWork, Works
    from ocifast.ops.rebuild import Rebuilt
    from ocifast.transports.base import Stored, StoredLayer

__all__ = ["ConvertUnit", "images_of"]


@dataclass(eq=False, slots=True)
class ConvertUnit:
    """An image or index and the distinct layers it needs; `stored` is None when opening failed."""

    source: str
    names: tuple[str, ...]
    stored: Stored | None
    destination: str
    number: int = 0
    """Its place among the units of the run: outputs are in this order, whatever is done first."""
    works: list[LayerWork] = field(default_factory=list)
    by_layer: dict[int, LayerWork] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    rebuilt: Rebuilt | None = None
    result: ConvertedImage | None = None
    findings: list[str] = field(default_factory=list)
    """Sentences about what was tolerated or left out."""

    def note(self, works: Works) -> None:
        """Add what it needs to the works of the run.

        Raises:
            StoreError: A layer is missing that is none of those which are fetched from elsewhere.
            OSError: A layer cannot be looked at.
        """
        assert self.stored is not None
        for image in images_of(self.stored):
            for layer in image.layers:
                work = works.add(layer, image)
                if work is not None:
                    self.by_layer[id(layer)] = work
                    self.works.append(work)
                elif not is_foreign(layer.descriptor.media_type or ""):
                    raise StoreError(image.store, layer.name, "the blob of a layer is missing")

    @property
    def ready(self) -> bool:
        """Whether all its layers are done."""
        return all(work.done is not None for work in self.works)

    @property
    def failure(self) -> BaseException | None:
        """Why it can never be ready, if so."""
        return next((work.error for work in self.works if work.error is not None), None)

    def new_layer(self, layer: StoredLayer) -> Descriptor:
        """What a layer has become; one that is fetched from elsewhere stays what it was."""
        work = self.by_layer.get(id(layer))
        if work is None:
            return layer.descriptor
        done = work.done
        assert done is not None
        return Descriptor(done.media_type, done.digest, done.size, annotations=done.annotations)

    def diff_id(self, layer: StoredLayer) -> str:
        """What the tar of a layer was found to be, or is said to be where it is not here."""
        work = self.by_layer.get(id(layer))
        return str(layer.diff_id) if work is None or work.done is None else work.done.diff_id

    @property
    def identity(self) -> str:
        """What tells it from other images: its config, or all of an index."""
        stored = self.stored
        if isinstance(stored, Image):
            return f"{stored.config_descriptor.digest} {hash(stored.legacy)}"
        return str(stored.index.digest) if isinstance(stored, ImageIndex) else ""

    def resumed(self, digest: str) -> ConvertedImage:
        """Say that an earlier run has finished it."""
        self.result = self._result(digest=digest)
        return self.result

    def succeeded(self, rebuilt: Rebuilt) -> ConvertedImage:
        """Say what became of it."""
        images = rebuilt.images
        assert self.stored is not None
        for image in images_of(self.stored):
            self.findings += image.findings
        self.findings += rebuilt.findings
        self.result = self._result(
            digest=str(rebuilt.top.digest),
            image_id=str(images[0].image_id) if len(images) == 1 else None,
            layers=self._layers(),
            findings=tuple(dict.fromkeys(self.findings)),
        )
        return self.result

    def failed(self, error: BaseException) -> ConvertedImage:
        """Say that it was given up, and why."""
        notes = getattr(error, "__notes__", [])
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        named = error.filename if isinstance(error, OSError) else None
        where = f"{named}: " if named and str(named) not in self.source else ""
        if isinstance(error, StoreError) and error.store in self.source:
            words = words.removeprefix(f"{error.store}: ")  # whoever shows it names the source
        self.result = self._result(
            error="; ".join([where + (words or type(error).__name__), *notes[:1]]),
            error_type=type(error).__name__,
            exit_code=exit_code_of(error),
        )
        return self.result

    def _result(self, **what: Any) -> ConvertedImage:
        return ConvertedImage(
            source=self.source,
            names=self.names,
            platform=self._platform(),
            destination=self.destination,
            seconds=time.monotonic() - self.began,
            **{"digest": None, "image_id": None, "layers": (), **what},
        )

    def _platform(self) -> str | None:
        image = self.stored
        if not isinstance(image, Image) or image.config is None:
            return None
        return str(image.config.platform)

    def _layers(self) -> tuple[ConvertedLayer, ...]:
        """Its layers; of a layer that several images need, the first one did the work."""
        layers: list[ConvertedLayer] = []
        for work in self.works:
            assert work.done is not None
            if work.claimed is None:
                work.claimed = self
            shared = work.claimed is not self or any(work.done is done for done in layers)
            layers.append(work.done)
            if shared:
                layers[-1] = replace(work.done, how="shared", seconds=0.0)
        return tuple(layers)


def images_of(stored: Stored) -> Iterator[Image]:
    """All images of a tree of indexes."""
    if isinstance(stored, Image):
        yield stored
    elif isinstance(stored, ImageIndex):
        for child in stored.children:
            yield from images_of(child)


def exit_code_of(error: BaseException) -> int:
    """The exit code of an error, as the command line has it."""
    if isinstance(error, OcifastError):
        return error.exit_code
    return 3 if isinstance(error, (FileNotFoundError, NotADirectoryError)) else 6
