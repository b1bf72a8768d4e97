"""A diff as lines of JSON: one for each change, one for each field of a document, one for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.cli.ls import entry_facts
from ocifast.cli.output import encode, json_line, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.difference import Diff
    from ocifast.tree.change import Change
    from ocifast.tree.entry import Entry

__all__ = ["json_lines"]


def json_lines(diff: Diff) -> Iterator[str]:
    """Give all lines, what it comes to last."""
    for change in diff:
        yield _change_line(change)
    for each in diff.documents:
        line = {"schema": "ocifast.diff-document/1", **each._asdict()}
        yield json_line(line).decode()
    yield json_line(diff.to_dict()).decode()


def _change_line(change: Change) -> str:
    """Describe a change as `ocifast.diff-change/1`: always the same keys.

    Joined by hand, as entries are: a dict and its encoding take twice as long.
    """
    old_path = encode(text_of(change.old_path)) if change.old_path else "null"
    return (
        f'{{"schema":"ocifast.diff-change/1","change":"{change.kind.name.lower()}",'
        f'"path":{encode(text_of(change.path))},"old_path":{old_path},'
        f'"fields":{encode(change.fields)},"growth":{change.growth},'
        f'"layer":{encode(change.layer)},'
        f'"old":{_entry(change.old, change.old_digest)},'
        f'"new":{_entry(change.new, change.new_digest)}}}\n'
    )


def _entry(entry: Entry | None, digest: str | None) -> str:
    if entry is None:
        return "null"
    return f'{{{entry_facts(entry)},"digest":{encode(digest)}}}'
