"""`ocifast squash`: several layers of an image become one.

The work is `ocifast.ops.squash`'s; this reads arguments, shows progress, prints what was made. It
also has what `flatten` and `rechunk` have in common with it. Invariant: stdout has one JSON object
or one table; all else goes to stderr.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from ocifast.cli.arguments import (
    UsageError,
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.output import emit, json_line, printable, say
from ocifast.cli.progress import open_progress
from ocifast.cli.quantity import duration_text, size_text
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.ops.output_names import FORMATS

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Callable

    from ocifast.ops.squashing import SquashReport

__all__ = ["add_arguments", "add_image_arguments", "make_over", "run"]

DESCRIPTION: Final = """\
Make one layer of the upper layers of an image, or of all, without unpacking them: their entries are
merged, and what they hide is left out. The layers below stay what they are, byte for byte; config,
history and diff_ids are made to fit. Every layer is verified first.
"""

EPILOG: Final = """\
examples:
  ocifast squash oci:images:app -o oci:images:app-small            all layers into one
  ocifast squash oci:images:app --last 3 -o oci:images:app         the three on top
  ocifast squash app.tar --from 1 -o docker-archive:small.tar      all but the base, which is 0
"""

DOING: Final = {"squash": "squashing", "flatten": "flattening", "rechunk": "rechunking"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--from",
        metavar="N",
        type=int,
        dest="from_layer",
        help="merge layer N (the base is 0) and all above it",
    )
    which.add_argument("--last", metavar="N", type=int, help="merge the N layers on top")
    which.add_argument("--all", action="store_true", help="merge all layers (the default)")
    add_image_arguments(parser)


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every verb takes that makes an image over."""
    parser.add_argument("image", metavar="REF", help="an image, as ocifast convert takes it")
    parser.add_argument("-o", "--output", metavar="DEST", required=True, help="where to write")
    parser.add_argument("--to", choices=FORMATS, help="what to write, unless DEST begins with it")
    parser.add_argument(
        "--compress",
        choices=("gzip", "zstd", "zstd:chunked", "estargz", "none"),
        help="how new layers are compressed (default: gzip; docker-archive: none)",
    )
    parser.add_argument(
        "--level", metavar="N", type=int, help="of gzip and estargz 1..12, of zstd 1..19"
    )
    parser.add_argument("--recipe", metavar="NAME", help="by name: ocifast doctor lists them")
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="of an image for several platforms take this one"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an archive or folder that exists"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no table")
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.squash import squash

    return make_over(arguments, squash, from_layer=arguments.from_layer, last=arguments.last)


def make_over(arguments: Namespace, verb: Callable[..., SquashReport], **more: Any) -> int:
    """Call what does the work, and print what came of it."""
    with (
        open_progress(sys.stderr, quiet=arguments.quiet, doing=DOING[arguments.verb]) as progress,
        engine_of(arguments, BLOCK_SLOT_BYTES) as engine,
    ):
        try:
            report = verb(
                arguments.image,
                arguments.output,
                engine=engine,
                progress=progress,
                to=arguments.to,
                compress=arguments.compress,
                level=arguments.level,
                recipe=arguments.recipe,
                platform=arguments.platform,
                overwrite=arguments.overwrite,
                profile=arguments.profile,
                limits=limits_of(arguments),
                **more,
            )
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise UsageError(f"ocifast {arguments.verb}", str(error)) from None
    show(report, arguments)
    return 0


def show(report: SquashReport, arguments: Namespace) -> None:
    """Print what was made, and say what was tolerated."""
    if arguments.json:
        emit(json_line(report.to_dict()))
    elif not arguments.quiet:
        emit("".join(f"{printable(line)}\n" for line in lines(report)).encode())
    for finding in report.findings:
        say(f"{report.source}: warning: {finding}")


def lines(report: SquashReport) -> list[str]:
    """The summary, for a person: an image, and a line for each of its layers."""
    before, after = size_text(report.size_before), size_text(report.size_after)
    count = len(report.layers)
    found = [
        f"image    {report.destination}",
        f"digest   {report.digest}",
        f"layers   {count} of {report.layers_before}, {report.kept} kept as they were",
        f"size     {after} of {before}, in {duration_text(report.seconds)}",
    ]
    for number, layer in enumerate(report.layers):
        what = "new" if layer.is_new else "kept"
        size = f"{size_text(layer.size):>9}"
        found.append(f"{number:>5}  {what:<4} {size} {layer.entries:>8} entries  {layer.digest}")
    return found
