"""Readers of tar: ours in one call, and three of others, all telling the same four things."""

import io
import os
import re
import subprocess
import tarfile
from typing import NamedTuple

from ocifast._native.tar import TarParser
from ocifast.errors import LimitExceeded, TarError
from ocifast.formats.tar import EntryTable
from ocifast.limits import Limits
from ocifast.tree import Entry, EntryKind

LIMITS = Limits()
ARROWS = {EntryKind.SYMLINK: b" -> ", EntryKind.HARDLINK: b" link to "}
KINDS = dict(zip("-hlcbdp", EntryKind, strict=True))


class Read(NamedTuple):
    table: EntryTable
    findings: list[tuple[str, int]]

    @property
    def entries(self) -> list[Entry]:
        return list(self.table)

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.findings]


class Seen(NamedTuple):
    """What all readers must agree on; `text` is the path, of a link with its target."""

    text: bytes
    kind: EntryKind
    size: int


def feed(parser: TarParser, data: bytes, step: int = 0) -> None:
    view = memoryview(data)
    for at in range(0, len(data), step or len(data) or 1):
        parser.feed(view[at : at + (step or len(data))])
    parser.finish()


def read(data: bytes, *, strict: bool = False, limits: Limits = LIMITS, step: int = 0) -> Read:
    parser = TarParser(limits, strict=strict)
    feed(parser, data, step)
    findings = [(code, offset) for code, offset, _ in parser.findings()]
    return Read(EntryTable(*parser.take_table()), findings)


def judge(data: bytes, *, strict: bool = False, limits: Limits = LIMITS, step: int = 0) -> str:
    """ "ok", the code of the refusal, or "limit <name>"."""
    try:
        read(data, strict=strict, limits=limits, step=step)
    except TarError as error:
        return error.code if 0 <= error.offset <= len(data) else f"{error.code} nowhere"
    except LimitExceeded as error:
        return f"limit {error.name}" if error.actual > error.limit else f"{error} wrongly"
    return "ok"


def both(data: bytes, limits: Limits = LIMITS) -> tuple[str, str]:
    """The verdicts of (strict, compat)."""
    return judge(data, strict=True, limits=limits), judge(data, limits=limits)


def seen(path: bytes, kind: EntryKind, size: int, target: bytes = b"") -> Seen:
    arrow = ARROWS.get(kind)
    text = path + arrow + target if arrow else path.rstrip(b"/") or path[:1]
    return Seen(text, kind, size if kind is EntryKind.FILE else 0)


def ours(data: bytes, *, strict: bool = False) -> list[Seen]:
    table = read(data, strict=strict).table
    return [seen(e.path, e.kind, e.size, e.link_target) for e in table]


def by_tarfile(data: bytes) -> list[Seen] | None:
    kinds = {
        tarfile.LNKTYPE: EntryKind.HARDLINK,
        tarfile.SYMTYPE: EntryKind.SYMLINK,
        tarfile.CHRTYPE: EntryKind.CHAR_DEVICE,
        tarfile.BLKTYPE: EntryKind.BLOCK_DEVICE,
        tarfile.DIRTYPE: EntryKind.DIRECTORY,
        tarfile.FIFOTYPE: EntryKind.FIFO,
    }
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8") as tar:
            members = tar.getmembers()
    except (tarfile.TarError, ValueError, OverflowError, EOFError):
        return None
    return [
        seen(
            os.fsencode(m.name), kinds.get(m.type, EntryKind.FILE), m.size, os.fsencode(m.linkname)
        )
        for m in members
    ]


LISTED = {
    "tar": re.compile(
        rb"([-hlcbdpCSVMD])[rwxsStT-]{9} \d+/\d+ +(\d+)(?:,\d+)? -?\d+-\d\d-\d\d \d\d:\d\d (.*)"
    ),
    "bsdtar": re.compile(
        rb"([-hlcbdp?])[rwxsStT-]{9}[ +@]* +-?\d+ -?\d+ +-?\d+ +(\d+)(?:,\d+)? "
        rb"[A-Z][a-z]{2} [ \d]\d +[\d:-]+ (.*)"
    ),
}
COMMANDS = {
    "tar": ["-P", "-tv", "--numeric-owner", "--quoting-style=escape", "-f", "-"],
    "bsdtar": ["--numeric-owner", "-tvf", "-"],
}


def unescape(text: bytes) -> bytes:
    letters = dict(zip(b"abfnrtv\\", b"\a\b\f\n\r\t\v\\", strict=True))

    def one(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8) & 255 if len(code) == 3 else letters[code[0]]])

    return re.sub(rb"\\([0-7]{3}|[abfnrtv\\])", one, text)


def by_tool(tool: str, path: str, data: bytes) -> list[Seen] | None:
    """What `tool` lists, None when it refuses the archive or any part of it."""
    done = subprocess.run(
        [path, *COMMANDS[tool]],
        input=data,
        capture_output=True,
        env={"LC_ALL": "C", "TZ": "UTC0"},
        check=False,
    )
    if done.returncode or done.stderr:
        return None
    found = []
    for line in done.stdout.splitlines():
        match = LISTED[tool].fullmatch(line)
        assert match, line
        kind = KINDS.get(match[1].decode(), EntryKind.FILE)
        if match[1] == b"?" or ARROWS.get(kind, b"") not in match[3]:
            return None  # libarchive 3.6 loses a linkpath record when the header has no link name
        size = int(match[2]) if kind is EntryKind.FILE else 0
        text = unescape(match[3])
        found.append(Seen(text if kind in ARROWS else text.rstrip(b"/") or text[:1], kind, size))
    return found
