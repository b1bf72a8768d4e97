"""``--content``: how small text files differ, as unified diffs.

Invariant: what is printed is printable, and what is no text or too long is named, not shown.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

from ocifast.cli.output import printable, shown, text_of
from ocifast.ops.small_files import MOST_BYTES, read_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.difference import Diff, TreeDiff

__all__ = ["text_diffs"]


def text_diffs(diff: Diff) -> Iterator[str]:
    """Give the unified diffs of files whose content differs and that are small and text.

    Raises:
        StateError: A side can be read only once.
        OSError: A file cannot be read.
    """
    for part in diff.parts:
        pairs = part.files_of_other_content()
        number = part.layer
        at = slice(None) if number is None else slice(number, number + 1)
        old = read_small(part.a, [a for a, _ in pairs], diff.a.layers[at], diff.options)
        new = read_small(part.b, [b for _, b in pairs], diff.b.layers[at], diff.options)
        for row_a, row_b in pairs:
            yield from _compared(part, row_a, row_b, old.pop(row_a, None), new.pop(row_b, None))


def _compared(
    part: TreeDiff, row_a: int, row_b: int, old: bytes | None, new: bytes | None
) -> Iterator[str]:
    name = shown(text_of(part.b.table[row_b].path))
    left, right = _lines(old), _lines(new)
    if left is None or right is None:
        sizes = part.a.table[row_a].size, part.b.table[row_b].size
        why = "is not text"
        if max(sizes) > MOST_BYTES:
            why = "is too long to be shown"
        elif old is None or new is None:
            why = "is not at hand to be shown"
        yield f"{name} {why}\n"
        return
    for line in unified_diff(left, right, f"a/{name}", f"b/{name}"):
        body = line.removesuffix("\n")
        yield f"{body[:1]}{printable(body[1:].expandtabs())}\n"
        if body == line:
            yield "\\ No newline at end of file\n"


def _lines(content: bytes | None) -> list[str] | None:
    if content is None or b"\0" in content:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    *lines, last = text.split("\n")  # nothing else ends a line
    return [f"{line}\n" for line in lines] + ([last] if last else [])
