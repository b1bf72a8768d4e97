"""`ocifast diff`: what changed between two trees, layers or images.

The work is `ocifast.ops.diff`'s; this reads arguments and prints. Invariant: the exit code is 0 for
no difference, 1 for some, and above that for trouble.
"""

from __future__ import annotations

import errno
import os
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import (
    UsageError,
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.failure import EXIT_DIFFERS, EXIT_REFUSED, about, error_object, exit_code
from ocifast.cli.output import emit, is_terminal, json_line, say, shown, text_of
from ocifast.cli.progress import open_progress
from ocifast.cli.quantity import size_text
from ocifast.cli.whole_file import check_path, write_whole
from ocifast.errors import OcifastError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Iterator

    from ocifast.cli.diff_page import PageRow
    from ocifast.ops.difference import Diff

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Say what changed from A to B: each a folder, a layer (however compressed), an index saved by
`ocifast index`, an image (oci: oci-archive: docker-archive: dir:, or an archive), or - for a layer
on standard input. Of images, what their layers come to is compared, whiteouts applied, entry by
entry and byte by byte; and their configs and manifests.
"""

EPILOG: Final = """\
examples:
  ocifast diff oci:images:app-1.0 oci:images:app-1.1
  ocifast diff rootfs layer.tar.gz --ignore owner,mtime --exclude '*.pyc'
  ocifast diff old.tar new.tar --semantic            were they built from the same?
  ocifast diff old.tar new.tar --html growth.html    where did it grow?
  ocifast diff oci:images:1.0 rootfs --layer-out update.tar.gz
  ocifast diff --name-only -z old new | xargs -0 ls -ld

Letters: A added, M modified, D deleted, R renamed. Exit code: 0 same, 1 different, else trouble.
Fields to --ignore: type mode owner size mtime link device xattrs links content config manifest;
`links` are hard links: which names are one file.
"""

BATCH: Final = 2048


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("a", metavar="A", help="what it was")
    parser.add_argument("b", metavar="B", help="what it is now")
    parser.add_argument("--layers", action="store_true", help="compare layer by layer")
    parser.add_argument("--platform", metavar="P[,P]", help="which image of an index, on each side")
    _add_what_counts(parser)
    _add_output(parser)
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def _add_what_counts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ignore", metavar="FIELDS", action="append", default=[], help="what does not count"
    )
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="paths that do not count; a pattern as in a .gitignore",
    )
    parser.add_argument("--ignore-file", metavar="FILE", help="such patterns, one a line")
    parser.add_argument(
        "--semantic",
        action="store_true",
        help="leave out what every rebuild changes: times, caches, logs, bytecode",
    )
    parser.add_argument(
        "--quick", action="store_true", help="read no content: size and time stand for it"
    )
    parser.add_argument(
        "--renames", action="store_true", help="show files that moved with the same content"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--stat", action="store_true", help="only totals, and where it grew")
    how.add_argument("--name-only", action="store_true", help="only paths")
    how.add_argument("--json", action="store_true", help="an object for each change, and for all")
    parser.add_argument("-z", "--null", action="store_true", help="paths as they are, NUL behind")
    parser.add_argument("--content", action="store_true", help="show how small text files differ")
    parser.add_argument("--html", metavar="FILE", help="write a page: treemap and table, offline")
    parser.add_argument(
        "--layer-out", metavar="FILE", help="write the layer that makes B of A, whiteouts included"
    )
    parser.add_argument(
        "--compress",
        choices=("gzip", "zstd", "zstd:chunked", "estargz", "none"),
        help="of that layer (default: gzip)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace that layer if it exists")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but data")


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    _check(arguments)
    try:
        return _compare(arguments)
    except OcifastError as error:
        return _failed(error, as_json=arguments.json)


def _failed(error: OcifastError, *, as_json: bool) -> int:
    """Say what is wrong, and with which layer; 1 would say that there is a difference."""
    code = EXIT_REFUSED if exit_code(error) == EXIT_DIFFERS else exit_code(error)
    message = about("", error)
    if as_json:
        emit(json_line({**error_object(None, error), "message": message, "exit_code": code}))
    say(message)
    return code


def _compare(arguments: Namespace) -> int:
    from ocifast.ops.diff import diff

    options = {
        "ignore": _fields(arguments.ignore),
        "exclude": (*arguments.exclude, *_patterns(arguments.ignore_file)),
        "quick": arguments.quick,
        "semantic": arguments.semantic,
        "renames": arguments.renames,
        "layers": arguments.layers,
        "platform": arguments.platform,
        "profile": arguments.profile,
        "limits": limits_of(arguments),
    }
    with engine_of(arguments) as engine:
        try:
            with open_progress(quiet=arguments.quiet, doing="comparing", plan=False) as progress:
                found = diff(arguments.a, arguments.b, engine=engine, progress=progress, **options)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise UsageError("ocifast diff", str(error)) from None
        with found:
            _show(found, arguments)
            if arguments.html is not None:
                write_whole(arguments.html, _page(found))
            if arguments.layer_out is not None:
                _write_layer(found, arguments)
            return EXIT_DIFFERS if found else 0


def _check(arguments: Namespace) -> None:
    """Refuse what makes no sense before anything is read."""
    if arguments.null and not arguments.name_only:
        raise UsageError("ocifast diff", "-z goes with --name-only")
    if arguments.json and arguments.content:
        raise UsageError("ocifast diff", "--content is for people: leave out --json")
    if arguments.layers and arguments.layer_out is not None:
        raise UsageError("ocifast diff", "a layer is made of whole trees: leave out --layers")
    if arguments.layer_out == "-":
        raise UsageError("ocifast diff", "--layer-out needs a file: stdout is for what changed")
    if arguments.compress is not None and arguments.layer_out is None:
        raise UsageError("ocifast diff", "--compress goes with --layer-out")
    reread = [name for name in ("content", "layer_out") if getattr(arguments, name)]
    if reread and "-" in (arguments.a, arguments.b):
        option = "--" + reread[0].replace("_", "-")
        raise UsageError("ocifast diff", f"{option} reads twice: save standard input to a file")
    for path in (arguments.html, arguments.layer_out):
        if path is not None:
            check_path(path)
    layer = arguments.layer_out
    if layer is not None and os.path.lexists(layer) and not arguments.overwrite:
        raise FileExistsError(errno.EEXIST, "it is there already (see --overwrite)", layer)


def _fields(given: list[str]) -> tuple[str, ...]:
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())


def _patterns(path: str | None) -> list[str]:
    if path is None:
        return []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().splitlines()


def _show(found: Diff, arguments: Namespace) -> None:
    if arguments.json:
        from ocifast.cli.diff_json import json_lines

        _emit(json_lines(found))
    elif arguments.name_only:
        _emit_names(found, raw=arguments.null)
    else:
        _emit(_lines(found, arguments))
    if not arguments.quiet:
        for note in found.notes:
            say(f"note: {note}")


def _lines(found: Diff, arguments: Namespace) -> Iterator[str]:
    from ocifast.cli.diff_lines import change_lines, summary_lines

    if not arguments.stat:
        yield from change_lines(found, colour=_wants_colour())
    if arguments.content:
        from ocifast.cli.diff_text import text_diffs

        yield from text_diffs(found)
    if not arguments.quiet:
        yield from summary_lines(found)


def _wants_colour() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _emit(lines: Iterator[str]) -> None:
    while batch := "".join(islice(lines, BATCH)):
        emit(batch.encode("utf-8", "backslashreplace"))


def _emit_names(found: Diff, *, raw: bool) -> None:
    from ocifast.cli.diff_lines import names

    paths = names(found)
    while batch := list(islice(paths, BATCH)):
        if raw:
            emit(b"".join(path + b"\0" for path in batch))
        else:
            emit("".join(f"{shown(text_of(path))}\n" for path in batch).encode())


def _page(found: Diff) -> Iterator[bytes]:
    from ocifast.cli.diff_page import page

    for piece in page(found.a.name, found.b.name, _page_rows(found), found.notes):
        yield piece.encode()


def _page_rows(found: Diff) -> Iterator[PageRow]:
    from ocifast.cli.diff_page import PageRow

    for change in found:
        old, new = change.old, change.new
        yield PageRow(
            mark=change.kind.value,
            path=text_of(change.path),
            old_path=text_of(change.old_path),
            old_size=0 if old is None else old.size,
            new_size=0 if new is None else new.size,
            fields=change.fields,
        )


def _write_layer(found: Diff, arguments: Namespace) -> None:
    layer = found.write_layer(
        arguments.layer_out,
        compress=arguments.compress,
        overwrite=arguments.overwrite,
        workers=arguments.workers,
        limits=limits_of(arguments),
    )
    if arguments.json:
        emit(json_line({"schema": "ocifast.pack/1", **layer.to_dict()}))
    elif not arguments.quiet:
        text = f"{layer.entries} entries, {size_text(layer.size)}, {layer.digest}"
        sys.stdout.flush()
        say(f"{arguments.layer_out}: {text}")
