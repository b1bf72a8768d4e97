"""Runs of `unpack` that faults are put into: in this process, and as the command.

Invariant: whatever becomes of a command, it says one line at most and no traceback.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ocifast import unpack
from ocifast.tree.entry import EntryKind
from support.canary import IS_ROOT
from support.merging import hard, link
from support.tables import entry

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from ocifast.ops.unpacking import UnpackReport
    from ocifast.tree.entry import Entry

COMMAND = [sys.executable, "-P", "-m", "ocifast", "unpack", "-q", *["--rootless"] * (not IS_ROOT)]


def everything(count: int = 40) -> list[Entry]:
    """A tree that takes every call there is."""
    said = {"mode": 0o4750, "mtime_ns": 5, "xattrs": ((b"user.a", b"1"),)}
    parts = [entry(f"d{n % 5}/f{n}", size=3000, **said) for n in range(count)]
    parts += [entry(f"f{n}", size=10, **said) for n in range(count)]
    parts += [hard(f"d{n}/h", f"d{n}/f{n}") for n in range(3)]
    return [
        *parts,
        link("d0/l", "f0"),
        entry("d1/p", EntryKind.FIFO),
        entry("d2/", mode=0o1777),
        entry("empty/"),
    ]


def run(
    source: Any, dest: str | os.PathLike[str], *, rootless: bool = not IS_ROOT, **options: Any
) -> UnpackReport:
    """Unpack in this process."""
    return unpack(source, dest, workers=0, rootless=rootless, **options)


def command(*words: Any, prefix: Sequence[Any] = ()) -> tuple[int, str]:
    """Exit code and what was said."""
    done = subprocess.run(
        [*prefix, *COMMAND, *words], check=False, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("\n") <= 1, done.stderr
    return done.returncode, done.stderr
