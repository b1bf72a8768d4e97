"""A diff as a notebook shows it: totals, and the changes that grew or shrank most.

It is a fragment, for `_repr_html_`; the page with treemap and search is the command line's.
Invariant: names become text, whatever is in them.
"""

from __future__ import annotations

import heapq
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ocifast.ops.difference import Diff
    from ocifast.tree.change import Change

__all__ = ["as_html"]

SHOWN: Final = 50
LOOKED_AT: Final = 100_000
"""A notebook shows a result at every turn: of more changes than this, the first ones are ranked."""
_HEAD: Final = "<tr><th></th><th>path</th><th>bytes</th><th>differs</th></tr>"


def as_html(diff: Diff) -> str:
    """Give the fragment.

    Example:
        >>> import ocifast
        >>> "no difference" in as_html(ocifast.diff(bytes(1024), bytes(1024)))
        True
    """
    totals = diff.totals
    title = f"<b>{_text(diff.a.name)} → {_text(diff.b.name)}</b>"
    if not diff:
        return f"<div>{title}: no difference</div>"
    counts = (
        f"{totals.added} added, {totals.modified} modified, {totals.deleted} deleted, "
        f"{totals.renamed} renamed; +{totals.bytes_grown} −{totals.bytes_shrunk} bytes"  # noqa: RUF001 - a minus
    )
    top = heapq.nlargest(SHOWN, islice(diff, LOOKED_AT), key=lambda change: abs(change.growth))
    rows = "".join(map(_row, top))
    more = totals.changes - len(top)
    rest = f"<p>… and {more} more: iterate over the result</p>" if more > 0 else ""
    documents = "".join(
        f"<li>{_text(each.document)} {_text(each.pointer)}</li>" for each in diff.documents[:SHOWN]
    )
    listed = f"<ul>{documents}</ul>" if documents else ""
    return f"<div>{title}<p>{counts}</p>{listed}<table>{_HEAD}{rows}</table>{rest}</div>"


def _row(change: Change) -> str:
    cells = (change.kind.value, change.name, f"{change.growth:+}", ", ".join(change.fields))
    return "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"


def _text(text: str) -> str:
    """Escape a name; what is no Unicode is shown by its bytes."""
    return escape(text.encode("utf-8", "backslashreplace").decode())
