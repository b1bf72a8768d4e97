"""Sizes, times and ratios as a person reads them, and how wide a text is on a terminal.

Units are decimal, as disks, networks and other tools of containers count. Nothing here is meant to
be read back: JSON has the exact numbers. Invariant: results are short ASCII.
"""

from __future__ import annotations

from typing import Final
from unicodedata import category, east_asian_width

__all__ = ["cells", "clipped", "duration_text", "ratio_text", "size_text"]

UNITS: Final = ("kB", "MB", "GB", "TB", "PB")


def size_text(size: float) -> str:
    """Say how many bytes.

    Example:
        >>> size_text(0), size_text(999), size_text(120_300_000), size_text(999_960)
        ('0 B', '999 B', '120.3 MB', '1.0 MB')
    """
    if size < 1000:
        return f"{size:.0f} B"
    for unit in UNITS[:-1]:
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} {UNITS[-1]}"


def duration_text(seconds: float) -> str:
    """Say how long.

    Example:
        >>> [duration_text(seconds) for seconds in (0.0123, 3.21, 245, 3725)]
        ['12 ms', '3.2 s', '4m05s', '1h02m']
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def ratio_text(ratio: float | None) -> str:
    """Say what part of the old size the new one is.

    Example:
        >>> ratio_text(0.8213), ratio_text(None)
        ('82.1 %', '-')
    """
    return "-" if ratio is None else f"{ratio * 100:.1f} %"


def cells(text: str) -> int:
    """Count the columns that printable text takes on a terminal.

    Example:
        >>> cells("abc"), cells("日本"), cells("e\u0301")
        (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_cell(char) for char in text)


def clipped(text: str, width: int) -> str:
    """Cut the middle out of what is too wide: names differ at either end.

    Example:
        >>> clipped("registry/team/app:1.2.3", 13), clipped("app:1", 13)
        ('regist..1.2.3', 'app:1')
    """
    if cells(text) <= width:
        return text
    head, tail = "", ""
    room = max(width, 4) - 2
    while cells(head) + _cell(text[len(head)]) <= (room + 1) // 2:
        head += text[len(head)]
    while cells(tail) + _cell(text[-1 - len(tail)]) <= room - cells(head):
        tail = text[-1 - len(tail)] + tail
    return f"{head}..{tail}"


def _cell(char: str) -> int:
    if east_asian_width(char) in "WF":
        return 2
    return 0 if category(char) in {"Mn", "Me"} else 1
