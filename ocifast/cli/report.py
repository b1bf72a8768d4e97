"""``--report FILE``: what a conversion did, as JSON, or as a page when FILE ends in .html."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ocifast.cli.whole_file import write_whole

if TYPE_CHECKING:
    from ocifast.ops.conversion import ConvertReport

__all__ = ["write_report"]

PAGE_SUFFIXES: Final = (".html", ".htm")


def write_report(report: ConvertReport, path: str) -> None:
    """Write the report to a file, replacing an older one.

    Raises:
        OSError: It cannot be written; `filename` is the path.
    """
    if path.lower().endswith(PAGE_SUFFIXES):
        from ocifast.cli.report_page import report_page

        text = report_page(report)
    else:
        text = json.dumps(report.to_dict(), indent=2) + "\n"
    write_whole(path, [text.encode()])
