"""What index.json becomes when images are added to a layout, and names with them.

Pure functions of values. *Invariant:* a name means one entry at most, and is of the image that was
added last; entries of other images keep everything else they had.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ocifast.errors import ReferenceSyntaxError
from ocifast.spec.index import LayoutIndex
from ocifast.spec.reference import ImageName, is_layout_name
from ocifast.transports.layout import IMAGE_NAME, REF_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ocifast.spec.descriptor import Descriptor

__all__ = ["add_entries", "arrange_entries", "name_annotations"]


def add_entries(
    index: LayoutIndex | None, additions: Iterable[tuple[Descriptor, Sequence[str]]]
) -> LayoutIndex:
    """Give the index with these images in it, an entry for each name, or one without any.

    An entry that loses its last name to another image is dropped.

    Raises:
        DocumentError: There would be more entries than are read.
    """
    entries = list(index.manifests) if index is not None else []
    for descriptor, names in additions:
        entries = _add(entries, _unnamed(descriptor), names)
    return _rebuilt(index, entries)


def arrange_entries(
    index: LayoutIndex, images: Iterable[tuple[Descriptor, Sequence[str]]]
) -> LayoutIndex:
    """Give the index with the entries of these images last, in the order they are given.

    Entries that are not there are not added: another process may have moved a name meanwhile.
    """
    places: dict[tuple[str, str], int] = {}
    for descriptor, names in images:
        for name in names or ("",):
            places.setdefault((str(descriptor.digest), _key(name)), len(places))

    def place(entry: Descriptor) -> int:
        full, typed = (entry.annotations.get(key, "") for key in (IMAGE_NAME, REF_NAME))
        return places.get((str(entry.digest), full or typed), -1)

    return _rebuilt(index, sorted(index.manifests, key=place))


def _key(name: str) -> str:
    taken = name_annotations(name) if name else {}
    return taken.get(IMAGE_NAME) or taken.get(REF_NAME, "")


def _rebuilt(index: LayoutIndex | None, entries: Sequence[Descriptor]) -> LayoutIndex:
    """The index with other entries, and everything else it had."""
    if index is None:
        return LayoutIndex.build(entries)
    return LayoutIndex.build(
        entries,
        annotations=index.annotations,
        subject=index.subject,
        artifact_type=index.artifact_type,
        extra=index.extra,
    )


def name_annotations(name: str) -> dict[str, str]:
    """How a name stands in an entry: as it is typed, and in full when it has a tag.

    What OCI's grammar does not allow, such as ``a__b:1``, stands in full only.

    Example:
        >>> name_annotations("debian:12")["io.containerd.image.name"]
        'docker.io/library/debian:12'
        >>> name_annotations("v1.0")
        {'org.opencontainers.image.ref.name': 'v1.0'}
    """
    found = {IMAGE_NAME: str(full)} if (full := _tagged(name)) is not None else {}
    if is_layout_name(name) or not found:
        found[REF_NAME] = name
    return found


def _tagged(name: str) -> ImageName | None:
    try:
        full = ImageName.parse_normalized(name)
    except ReferenceSyntaxError:
        return None
    return full if full.tag and full.digest is None else None


def _add(
    entries: list[Descriptor], descriptor: Descriptor, names: Sequence[str]
) -> list[Descriptor]:
    for name in dict.fromkeys(names):
        taken = name_annotations(name)
        kept = [_without_name(entry, taken, descriptor) for entry in entries]
        entries = [entry for entry in kept if entry is not None]
        annotations = {**descriptor.annotations, **taken}
        entries.append(replace(descriptor, annotations=annotations))
    if not names and all(entry.digest != descriptor.digest for entry in entries):
        entries.append(descriptor)
    return entries


def _without_name(entry: Descriptor, taken: dict[str, str], new: Descriptor) -> Descriptor | None:
    """Take a name from an entry; None when nothing is left that tells it from others."""
    before = {
        key: entry.annotations[key] for key in (IMAGE_NAME, REF_NAME) if key in entry.annotations
    }
    if not before:
        return None if entry.digest == new.digest else entry
    left = dict(before)
    if IMAGE_NAME in taken and left.get(IMAGE_NAME) == taken[IMAGE_NAME]:
        left.clear()  # the other annotation of such an entry is the tag of the same name
    elif REF_NAME in taken and left.get(REF_NAME) == taken[REF_NAME]:
        del left[REF_NAME]
    if left == before:
        return entry
    return replace(entry, annotations={**_unnamed(entry).annotations, **left}) if left else None


def _unnamed(entry: Descriptor) -> Descriptor:
    kept = {
        key: text for key, text in entry.annotations.items() if key not in (IMAGE_NAME, REF_NAME)
    }
    return replace(entry, annotations=kept)
