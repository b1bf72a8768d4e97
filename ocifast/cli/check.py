"""`ocifast hash -c`: layers held against a list of digests; prints what `sha256sum -c` prints.

A layer is OK when its bytes are the listed ones and it can be read as a layer. Invariant: a verdict
about bytes is a verdict about all of them: where reading stopped early, the digest is taken again.
"""

from __future__ import annotations

import contextlib
import sys
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from ocifast.cli.failure import EXIT_DIFFERS, EXIT_REFUSED, exit_code, overall, words
from ocifast.cli.hash import ordered, warn
from ocifast.cli.output import emit, is_terminal, json_line, say, text_of
from ocifast.cli.sums import Listed, escaped, read_list
from ocifast.errors import DigestMismatch, FormatError, OcifastError, VerificationError
from ocifast.layer import LayerReport
from ocifast.spec.descriptor import Descriptor
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

__all__ = ["check"]

READ_BYTES: Final = 1 << 20


class Verdict(NamedTuple):
    """What became of one line: its word, its exit code and, if it is not OK, why."""

    word: str
    code: int
    reason: str = ""


def check(arguments: Namespace) -> int:
    """Check all layers of a list; returns the exit code."""
    listed = _read(arguments.check)
    expected = [Descriptor(digest=line.digest, size=line.size) for line in listed]
    verdicts = []
    for index, result in ordered(
        [line.path for line in listed], arguments, table=False, expected=expected
    ):
        verdict = _judge(listed[index], result)
        verdicts.append(verdict)
        _print(listed[index].path, verdict, arguments)
        if isinstance(result, LayerReport) and not arguments.quiet:
            warn(listed[index].path, result)
    _summarise(verdicts)
    return overall(verdict.code for verdict in verdicts)


def _read(path: str) -> list[Listed]:
    """Read the whole list before anything is hashed: a malformed one is found at once."""
    try:
        with _opened(path) as file:
            listed = list(read_list(file, path))
    except OSError as error:
        error.strerror = f"{path}: {words(error)}"
        raise
    if not listed:
        raise FormatError(f"{path}: no layer is listed")
    return listed


def _opened(path: str) -> AbstractContextManager[IO[bytes]]:
    if path == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    return open(path, "rb")


def _judge(line: Listed, result: LayerReport | BaseException) -> Verdict:
    if isinstance(result, LayerReport):
        if line.diff_id is not None and line.diff_id != result.diff_id:
            reason = f"diff_id is {result.diff_id}, expected {line.diff_id}"
            return Verdict("FAILED", EXIT_DIFFERS, reason)
        return Verdict("OK", 0)
    if isinstance(result, VerificationError):
        return Verdict("FAILED", EXIT_DIFFERS, words(result))
    if isinstance(result, OcifastError) and exit_code(result) == EXIT_REFUSED:
        return _judge_refused(line, result)
    return Verdict("FAILED open or read", exit_code(result), words(result))


def _judge_refused(line: Listed, error: OcifastError) -> Verdict:
    """A layer that could not be read to its end has no digest yet; look whether it is the bytes."""
    if line.path != b"-":
        try:
            digest = _digest(line.path)
        except OSError as gone:
            return Verdict("FAILED open or read", exit_code(gone), words(gone))
        if digest != line.digest:
            mismatch = DigestMismatch(line.digest, digest)
            return Verdict("FAILED", EXIT_DIFFERS, f"{mismatch}; {words(error)}")
        return Verdict("FAILED", EXIT_REFUSED, f"digest is as listed, but {words(error)}")
    return Verdict("FAILED", EXIT_REFUSED, words(error))


def _digest(path: bytes) -> Digest:
    from ocifast._native.sha256 import Sha256

    hasher, piece = Sha256(), memoryview(bytearray(READ_BYTES))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(piece):
            hasher.update(piece[:count])
    return Digest.of_sha256(hasher.digest())


def _print(name: bytes, verdict: Verdict, arguments: Namespace) -> None:
    if verdict.code or not arguments.quiet:
        if arguments.json:
            emit(
                json_line(
                    {
                        "schema": "ocifast.check/1",
                        "path": text_of(name),
                        "ok": verdict.code == 0,
                        "message": verdict.reason,
                        "exit_code": verdict.code,
                    }
                )
            )
        else:
            mark, path = escaped(name, terminal=is_terminal())
            emit(b"%s%s: %s\n" % (mark, path, verdict.word.encode()))
    if verdict.reason:
        say(f"{text_of(name)}: {verdict.reason}")


def _summarise(verdicts: Sequence[Verdict]) -> None:
    failed = [verdict.code for verdict in verdicts if verdict.code]
    if failed:
        parts = {
            "differ": failed.count(EXIT_DIFFERS),
            "refused": failed.count(EXIT_REFUSED),
            "could not be read": len([code for code in failed if code not in (1, 4)]),
        }
        found = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
        say(f"of {len(verdicts)} listed layers {found}")
