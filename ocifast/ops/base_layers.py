"""The layers a tree is packed on top of, as one table of what they come to.

A base is an image, or a layer alone; every layer of it is read and verified once. Invariant: what a
base is said to be is checked before anything is compared with it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocifast.codecs import SNIFF_BYTES, sniff
from ocifast.errors import DiffIdMismatch, StoreError
from ocifast.ops.hash import hash_layers
from ocifast.ops.image import open_image
from ocifast.ops.pack_base import Lower, effective
from ocifast.ops.source import Window
from ocifast.transports.reference import TRANSPORT_NAMES

if TYPE_CHECKING:
    from ocifast.layer import LayerReport
    from ocifast.limits import Limits
    from ocifast.transports.base import Image

__all__ = ["lower_of"]


def lower_of(base: str, limits: Limits) -> Lower:
    """Give what the layers of a base come to.

    Raises:
        StoreError: A layer of the image is not there.
        OcifastError: A layer is malformed, or not what is promised of it.
        OSError: It cannot be read.
    """
    image = _image(base, limits)
    reports = hash_layers([base], limits=limits) if image is None else _layers(image, limits)
    return effective(report.table or () for report in reports)


def _image(base: str, limits: Limits) -> Image | None:
    """The image a base is; None where it is a layer."""
    named = base.partition(":")[0] in TRANSPORT_NAMES
    if not named and os.path.isfile(base):
        with open(base, "rb") as file:
            if sniff(file.read(SNIFF_BYTES)) != "identity":
                return None
        try:
            return open_image(base, limits=limits)
        except StoreError:  # a tar that holds no image is a layer
            return None
    return open_image(base, limits=limits)


def _layers(image: Image, limits: Limits) -> list[LayerReport]:
    windows = []
    for layer in image.layers:
        location = layer.location
        if location is None or location.open is None:
            raise StoreError(image.store, layer.name, "this layer is not there to be read")
        windows.append(Window(layer.name, location.open, location.offset, location.size))
    expected = [layer.descriptor for layer in image.layers]
    reports = hash_layers(windows, limits=limits, expected=expected)
    for layer, report in zip(image.layers, reports, strict=True):
        if layer.diff_id is not None and layer.diff_id != report.diff_id:
            raise DiffIdMismatch(layer.diff_id, report.diff_id)
    return reports
