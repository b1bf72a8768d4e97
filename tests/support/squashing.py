"""Images to squash, from what their layers hold, and what squashed ones come to.

A layer is a list of members; `shown` unpacks an image and tells what is on disk. Invariant: the
tars are made by tarfile.
"""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from ocifast.ops.image import open_image
from ocifast.ops.unpack import unpack
from support.images import Sample
from support.layers import LAYER, SUFFIX, Layer, sha256, squeeze
from support.packing import mtree

if TYPE_CHECKING:
    from pathlib import Path

    from ocifast.transports.base import Image

WHEN = 1_700_000_000
XATTR = "SCHILY.xattr."
Member = tuple[tarfile.TarInfo, bytes]


def file(path: str, data: bytes | str = b"", **fields: Any) -> Member:
    """A file, or by other fields of TarInfo something else."""
    content = data.encode() if isinstance(data, str) else data
    info = tarfile.TarInfo(path)
    info.mtime, info.mode = WHEN, 0o644
    xattrs = fields.pop("xattrs", {})
    for key, value in fields.items():
        setattr(info, key, value)
    info.pax_headers = {XATTR + name: value for name, value in xattrs.items()}
    if info.type in (tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE):
        info.size = len(content)
    return info, content


def folder(path: str, **fields: Any) -> Member:
    return file(path, type=tarfile.DIRTYPE, **({"mode": 0o755} | fields))


def symlink(path: str, target: str) -> Member:
    return file(path, type=tarfile.SYMTYPE, linkname=target, mode=0o777)


def hard(path: str, target: str) -> Member:
    return file(path, type=tarfile.LNKTYPE, linkname=target)


def tar_of(*members: Member) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layer_of(plain: bytes, codec: str = "gzip") -> Layer:
    blob = squeeze(plain, codec)
    return Layer(blob, LAYER + SUFFIX[codec], sha256(blob), sha256(plain), len(plain), 0)


def image_of(*layers: list[Member] | bytes, codec: str = "gzip", name: str = "app:1") -> Sample:
    """An image of layers, which are members or whole tars."""
    tars = [each if isinstance(each, bytes) else tar_of(*each) for each in layers]
    return Sample(tuple(layer_of(tar, codec) for tar in tars), (name,))


def opened(reference: str) -> Image:
    return open_image(reference, profile="strict")


def config_of(reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(opened(reference).config_raw)
    return found


def tars_of(reference: str) -> list[bytes]:
    """The tars of the layers of an image."""
    from support.layers import zstd

    found = []
    for layer in opened(reference).layers:
        location = layer.location
        assert location is not None
        assert location.open is not None
        with open(location.open(), "rb") as stream:
            stream.seek(location.offset)
            blob = stream.read(location.size)
        if blob[:2] == b"\x1f\x8b":
            import gzip

            blob = gzip.decompress(blob)
        elif blob[:4] == b"\x28\xb5\x2f\xfd":
            blob = zstd.decompress(blob)
        found.append(blob)
    return found


def members_of(reference: str, number: int = -1) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tars_of(reference)[number])) as tar:
        return tar.getmembers()


def shown(reference: str, at: Path) -> dict[str, tuple[object, ...]]:
    """What an image comes to on disk: with root, owners and devices too."""
    unpack(reference, at, workers=0, devices="create")
    return mtree(at)
