"""`ocifast hash`: what a layer is, in sha256sum's form or as JSON; `-c` is in check.py.

Results come in the order of the arguments, each as soon as all before it are there. Invariant: a
layer that fails costs one line, and the others their result nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import (
    UsageError,
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.failure import error_object, exit_code, overall, words
from ocifast.cli.output import emit, is_terminal, json_line, say, text_of
from ocifast.cli.sums import sum_line
from ocifast.layer import LayerReport
from ocifast.ops.hash import iter_layers

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from ocifast.spec.descriptor import Descriptor

__all__ = ["add_arguments", "complain", "ordered", "run", "warn"]

DESCRIPTION: Final = """\
Print the SHA-256 digest of layers, as sha256sum does, having read the whole tar inside: what is
malformed, truncated or over a limit gets an error instead of a digest. Plain tar, gzip and zstd are
told apart by their first bytes. Without a LAYER, or with -, read standard input.
"""

EPILOG: Final = """\
examples:
  ocifast hash *.tar.gz > SHA256SUMS          sha256sum -c reads it, too
  ocifast hash -c SHA256SUMS                  check that list
  ocifast hash --diff-id layer.tar.gz         the digest of the tar inside
  ocifast hash --json *.tar.zst > layers.json digest, diff_id, sizes, entries, findings
  ocifast hash -c layers.json                 check all of that
  skopeo ... | ocifast hash --profile strict -

A list (-c) holds lines of sha256sum (also --tag) or of --json. A layer that is malformed or refused
FAILED, even where its digest is the listed one: the exit code is then 4, with the reason on stderr.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "layers", metavar="LAYER", nargs="*", help="a layer blob; - is standard input"
    )
    parser.add_argument("-c", "--check", metavar="FILE", help="check the layers listed in FILE")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one object per layer")
    form.add_argument(
        "--diff-id", action="store_true", help="print the digest of the uncompressed tar instead"
    )
    parser.add_argument(
        "--entries", action="store_true", help="print the entry table of each layer below it"
    )
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="no warnings; with -c, only lines of failures",
    )
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    if arguments.check is not None:
        from ocifast.cli.check import check

        if arguments.layers or arguments.entries or arguments.diff_id:
            raise UsageError("ocifast hash", "-c goes with neither LAYER, --entries nor --diff-id")
        return check(arguments)
    names = [os.fsencode(layer) for layer in arguments.layers] or [b"-"]
    codes = []
    for index, result in ordered(names, arguments, table=arguments.entries):
        if isinstance(result, LayerReport):
            _print(names[index], result, arguments)
            codes.append(0)
        else:
            complain(names[index], result, as_json=arguments.json)
            codes.append(exit_code(result))
    return overall(codes)


def ordered(
    names: Sequence[bytes],
    arguments: Namespace,
    *,
    table: bool,
    expected: Sequence[Descriptor | None] | None = None,
) -> Iterator[tuple[int, LayerReport | BaseException]]:
    """Hash the layers and give results in their order, each as soon as it can be.

    Raises:
        UsageError: Standard input stands for more than one of them.
        WorkerCrashed: A worker died; what was finished before has been given.
    """
    if names.count(b"-") > 1:
        raise UsageError(f"ocifast {arguments.verb}", "standard input (-) can be read only once")
    waiting: dict[int, LayerReport | BaseException] = {}
    due = 0
    with engine_of(arguments) as engine:
        found = iter_layers(
            [0 if name == b"-" else os.fsdecode(name) for name in names],
            engine,
            profile=arguments.profile,
            limits=limits_of(arguments),
            expected=expected,
            table=table,
        )
        for index, result in found:
            waiting[index] = result
            while due in waiting:
                yield due, waiting.pop(due)
                due += 1


def complain(name: bytes, error: BaseException, *, as_json: bool) -> None:
    """Say that a layer failed; with --json stdout gets an object in its place as well."""
    if as_json:
        emit(json_line(error_object(text_of(name), error)))
    say(f"{text_of(name)}: {words(error)}")


def warn(name: bytes, report: LayerReport) -> None:
    """Say what the compat profile tolerated."""
    path = text_of(name)
    for finding in report.findings:
        say(f"{path}: warning: {finding.stream} offset {finding.offset}: {finding.text}")
    more = report.finding_count - len(report.findings)
    if more > 0:
        say(f"{path}: warning: {more} more findings")


def _print(name: bytes, report: LayerReport, arguments: Namespace) -> None:
    if arguments.json:
        path = text_of(name)
        emit(json_line({"schema": "ocifast.hash/1", **report.to_dict(), "path": path}))
    else:
        digest = report.diff_id if arguments.diff_id else report.digest
        emit(sum_line(digest, name, terminal=is_terminal()))
    if report.table is not None:
        from ocifast.cli.ls import print_table

        print_table(report.table, as_json=arguments.json)
    if not arguments.quiet:
        warn(name, report)
