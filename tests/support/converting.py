"""Runs of `convert` in this process, and what is true of the images that come out of them."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING, Any

from ocifast.ops.convert import convert
from ocifast.ops.image import open_store
from ocifast.ops.progress import LayerFinished, LayerStarted
from ocifast.ops.verify import verify
from ocifast.transports.base import Image, ImageIndex
from support.images import (
    directory_files,
    docker_files,
    layout_files,
    plain_tar,
    write_folder,
    write_tar,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocifast.ops.conversion import ConvertReport
    from ocifast.ops.progress import Event
    from ocifast.transports.base import Stored
    from support.images import Sample
    from support.layers import Layer

FORMATS = ("oci", "oci-archive", "docker-archive", "dir")
SOURCES = (*FORMATS, *(f"docker-archive-{letter}" for letter in "ACDEF"))


def write_source(folder: Path, kind: str, *samples: Sample) -> str:
    """Write images as a source of some kind; gives a reference."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind
    if kind == "oci":
        return f"oci:{write_folder(path, layout_files(*samples))}"
    if kind == "dir":
        return f"dir:{write_folder(path, directory_files(*samples))}"
    if kind == "oci-archive":
        return f"oci-archive:{write_tar(path, layout_files(*samples))}"
    variant = kind.removeprefix("docker-archive").lstrip("-") or "B"
    return f"docker-archive:{write_tar(path, docker_files(*samples, variant=variant))}"


def run(sources: object, dest: str, **options: Any) -> ConvertReport:
    """Convert in this process."""
    return convert(sources, dest, workers=0, **options)  # type: ignore[arg-type]


def watched(sources: object, dest: str, **options: Any) -> tuple[ConvertReport, list[Event]]:
    """Convert in this process, and give what was told of it."""
    events: list[Event] = []
    report = run(sources, dest, progress=events.append, **options)
    return report, events


def read_keys(events: list[Event]) -> list[str]:
    """Which layers were begun, as often as they were."""
    return [event.key for event in events if isinstance(event, LayerStarted)]


def read_bytes(events: list[Event]) -> int:
    """How many stored bytes the layers had that were done."""
    return sum(event.size for event in events if isinstance(event, LayerFinished))


def images(reference: str) -> list[Image]:
    """All images of a store that can be run."""
    return [image for root in open_store(reference) for image in _runnable(root)]


def _runnable(stored: Stored) -> Iterator[Image]:
    if isinstance(stored, Image) and stored.config is not None:
        yield stored
    elif isinstance(stored, ImageIndex):
        for child in stored.children:
            yield from _runnable(child)


def truths(reference: str) -> dict[str, tuple[tuple[str, ...], list[str]]]:
    """Names and diff_ids of the images of a store, by image ID."""
    return {
        str(image.config_descriptor.digest): (
            image.names,
            [str(layer.diff_id) for layer in image.layers],
        )
        for image in images(reference)
    }


def truth(*samples: Sample, names: bool = True) -> dict[str, tuple[tuple[str, ...], list[str]]]:
    """What `truths` has to be of samples."""
    return {
        sample.image_id: (
            sample.names if names else (),
            [layer.diff_id for layer in sample.layers],
        )
        for sample in samples
    }


def media_types(reference: str) -> set[str]:
    """How layers are compressed: the ends of their media types."""
    return {
        str(layer.descriptor.media_type).rpartition("tar")[2]
        for image in images(reference)
        for layer in image.layers
    }


def sound(reference: str) -> bool:
    """Whether every digest, size and diff_id of a store is right."""
    report = verify(reference, workers=0, profile="strict")
    assert report.ok, report
    return report.ok


def snapshot(path: str | Path) -> dict[str, bytes]:
    """Contents by name of a file or folder."""
    path = str(path)
    if os.path.isfile(path):
        return {"": _bytes(path)}
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            found[os.path.relpath(full, path)] = _bytes(full)
    return found


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def spoil(path: str, layer: Layer) -> str:
    """Turn over a bit of a file in a plain layer of a plain archive; gives the path."""
    tar = plain_tar(layer)
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        within = next(member.offset_data for member in members if member.size)
    with open(path, "r+b") as file:
        whole = file.read()
        at = whole.index(tar) + within
        file.seek(at)
        file.write(bytes([whole[at] ^ 1]))
    return path


def left_over(folder: Path) -> list[str]:
    """What runs have left in a folder besides their results."""
    return sorted(name for name in os.listdir(folder) if ".ocifast" in name)
