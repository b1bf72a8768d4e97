"""Archives that are an OCI layout and the output of `docker save` at once: do both say the same?

Docker 25 and later write such, as do containerd and BuildKit. Engines differ in which of the two
they read. *Invariant:* what passes here is the same image whichever is read (hardening D04).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.errors import StoreError
from ocifast.transports.base import Image, ImageIndex
from ocifast.transports.layout import full_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocifast.limits import Profile
    from ocifast.transports.base import Files, Stored

__all__ = ["check_agreement"]


def check_agreement(
    files: Files, saved: Sequence[Image], stored: Sequence[Stored], profile: Profile
) -> tuple[Image, ...]:
    """Hold the images of manifest.json against those of index.json.

    Gives those that only manifest.json has: Docker 25 and later leave an image that was saved by
    its ID, and so has no name, out of index.json.

    Raises:
        StoreError: One that manifest.json lists is not in the index, has other layers there, or a
            tag means another one; in the strict profile, also when it lists fewer, or other tags.
    """
    by_config: dict[str, Image] = {}
    for root in stored:
        for image in _images(root):
            by_config.setdefault(str(image.config_descriptor.digest), image)
    unnamed = []
    for image in saved:
        if image.names or str(image.config_descriptor.digest) in by_config:
            _check_image(files, image, by_config)
        else:
            unnamed.append(image)
    _check_tags(files, saved, stored, profile)
    listed = {str(image.config_descriptor.digest) for image in saved}
    for root in stored:
        runnable = [str(image.config_descriptor.digest) for image in _images(root) if image.config]
        if runnable and listed.isdisjoint(runnable):
            reason = f"it does not list an image that index.json names, {runnable[0]}"
            if profile == "strict":
                raise StoreError(files.path, "manifest.json", reason)
            files.findings.append(f"manifest.json: {reason}")
    return tuple(unnamed)


def _images(stored: Stored) -> Iterator[Image]:
    if isinstance(stored, Image):
        yield stored
    elif isinstance(stored, ImageIndex):
        for child in stored.children:
            yield from _images(child)


def _check_image(files: Files, saved: Image, by_config: dict[str, Image]) -> None:
    digest = str(saved.config_descriptor.digest)
    other = by_config.get(digest)
    if other is None:
        reason = f"it lists an image that index.json does not name, {digest}"
        raise StoreError(files.path, "manifest.json", reason)
    ours, theirs = ([layer.name for layer in image.layers] for image in (saved, other))
    if ours != theirs:
        raise StoreError(
            files.path, "manifest.json", f"image {digest} has other layers than in index.json"
        )


def _check_tags(
    files: Files, saved: Sequence[Image], stored: Sequence[Stored], profile: Profile
) -> None:
    meant: dict[str, set[str]] = {}
    for root in stored:
        digests = {str(image.config_descriptor.digest) for image in _images(root)}
        for name in root.names:
            meant.setdefault(full_name(name) or name, set()).update(digests)
    for image in saved:
        for name in image.names:
            others = meant.get(full_name(name) or name)
            if others is not None and str(image.config_descriptor.digest) not in others:
                reason = f"{name} is another image there than in index.json"
                raise StoreError(files.path, "manifest.json", reason)
            if others is None and meant and profile == "strict":
                reason = f"{name} is a name there, and none in index.json"
                raise StoreError(files.path, "manifest.json", reason)
