"""A diff as a person reads it: a line for each change, totals, and where it grew.

Invariant: a line is one line, whatever is in a name; colour says nothing that a letter does not.
"""

from __future__ import annotations

from stat import filemode
from typing import TYPE_CHECKING, Final

from ocifast.cli.output import shown, text_of
from ocifast.cli.quantity import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.difference import Diff
    from ocifast.ops.document_diff import DocumentChange
    from ocifast.tree.change import Change
    from ocifast.tree.entry import Entry

__all__ = ["change_lines", "names", "summary_lines"]

COLOURS: Final = {"A": "32", "D": "31", "M": "33", "R": "36"}
MOST_VALUE: Final = 60


def change_lines(diff: Diff, *, colour: bool) -> Iterator[str]:
    """Give a line for each change, and for each field of config and manifest."""
    layer = None
    for change in diff:
        if change.layer != layer:
            layer = change.layer
            yield f"layer {layer}:\n"
        yield f"{_mark(change.kind.value, colour=colour)} {_what(change)}\n"
    for each in diff.documents:
        yield f"{_mark(_document_mark(each), colour=colour)} {_document(each)}\n"


def _mark(mark: str, *, colour: bool) -> str:
    return f"\033[{COLOURS[mark]}m{mark}\033[0m" if colour else mark


def _what(change: Change) -> str:
    path = shown(text_of(change.path))
    if change.old_path:
        path = f"{shown(text_of(change.old_path))} => {path}"
    growth = f"  {_signed(change.growth)}" if change.growth else ""
    fields = f"  ({', '.join(_field(change, name) for name in change.fields)})"
    return f"{path}{growth}{fields if change.fields else ''}"


def _field(change: Change, name: str) -> str:
    """A field that differs, with both values where they are short."""
    old, new = change.old, change.new
    assert old is not None
    assert new is not None
    if name == "type":
        return f"{old.kind.value} -> {new.kind.value}"
    if name == "mode":
        return f"{filemode(old.mode)[1:]} -> {filemode(new.mode)[1:]}"
    if name == "owner":
        return f"owner {old.uid}:{old.gid} -> {new.uid}:{new.gid}"
    if name == "link":
        return f"link {_target(old)} -> {_target(new)}"
    return name


def _target(entry: Entry) -> str:
    return _short(shown(text_of(entry.link_target)))


def _document_mark(each: DocumentChange) -> str:
    if each.old is None:
        return "A"
    return "D" if each.new is None else "M"


def _document(each: DocumentChange) -> str:
    values = [_short(shown(value)) for value in (each.old, each.new) if value is not None]
    return f"{each.document}{shown(each.pointer)}  {' -> '.join(values)}"


def _short(text: str) -> str:
    return text if len(text) <= MOST_VALUE else f"{text[: MOST_VALUE - 2]}.."


def _signed(growth: int) -> str:
    return f"{'-' if growth < 0 else '+'}{size_text(abs(growth))}"


def names(diff: Diff) -> Iterator[bytes]:
    """Give the paths that differ, as they are; a rename is two of them."""
    for change in diff:
        if change.old_path:
            yield change.old_path
        yield change.path


def summary_lines(diff: Diff) -> Iterator[str]:
    """Give totals and the folders that grew or shrank most."""
    totals = diff.totals
    if not diff:
        yield f"no difference ({totals.same} entries)\n" if totals.same else "no difference\n"
        return
    yield (
        f"{totals.added} added, {totals.modified} modified, {totals.deleted} deleted, "
        f"{totals.renamed} renamed, {totals.same} the same; "
        f"+{size_text(totals.bytes_grown)} -{size_text(totals.bytes_shrunk)}"
        f"{f'; {len(diff.documents)} fields of documents' if diff.documents else ''}\n"
    )
    for each in diff.growth():
        yield f"  {_signed(each.net):>10}  {shown(text_of(each.path))}/\n"
