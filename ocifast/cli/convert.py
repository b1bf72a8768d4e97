"""`ocifast convert`: images from anywhere on disk to anywhere on disk.

The work is `ocifast.ops.convert`'s; this reads arguments, shows progress, prints what became of
each image. Invariant: stdout has one JSON report or one table; all else goes to stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import (
    UsageError,
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.convert_table import table_lines
from ocifast.cli.failure import overall
from ocifast.cli.output import emit, is_terminal, json_line, say
from ocifast.cli.progress import open_progress
from ocifast.cli.report import write_report
from ocifast.cli.whole_file import check_path
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.ops.output_names import FORMATS

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from ocifast.ops.conversion import ConvertedImage, ConvertReport
    from ocifast.ops.convert import Conversion
    from ocifast.ops.convert_options import ConvertOptions

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Convert images: docker-archives, OCI layouts and archives, skopeo's dir: into one another. Every
layer is read once, verified against its digest and diff_id, and compressed on all cores; layers
that images share are done once for all. A run that was interrupted goes on when started again.
"""

EPILOG: Final = """\
sources:
  oci:PATH[:NAME]   oci-archive:FILE[:NAME]   docker-archive:FILE[:NAME|:@N]   dir:PATH
  a bare path is looked at; a folder stands for the images and archives in it; globs may be quoted;
  - is an archive on standard input

examples:
  ocifast convert app.tar -o images --to oci                 docker save, as an OCI layout (gzip)
  ocifast convert *.tar -o oci:images --compress zstd        a thousand of them, into one layout
  ocifast convert saved/ -o out/ --to oci-archive --each     an archive for each
  find /saved -name '*.tar' -print0 | ocifast convert --files-from - -0 -o oci:images
  ocifast convert oci:images:app -o docker-archive:app.tar   back, for docker load
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("sources", metavar="SRC", nargs="*", help="an image, archive, glob, folder")
    parser.add_argument("-o", "--output", metavar="DEST", required=True, help="where to write")
    parser.add_argument("--to", choices=FORMATS, help="what to write, unless DEST begins with it")
    parser.add_argument(
        "--compress",
        choices=("gzip", "zstd", "zstd:chunked", "estargz", "none", "keep"),
        help="how layers are compressed (default: gzip; docker-archive: none; dir: keep)",
    )
    parser.add_argument(
        "--level", metavar="N", type=int, help="of gzip and estargz 1..12, of zstd 1..19"
    )
    parser.add_argument("--recipe", metavar="NAME", help="by name: ocifast doctor lists them")
    parser.add_argument(
        "--force", action="store_true", help="recompress layers that have the format already"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--platform", metavar="OS/ARCH", help="of an image for several platforms take this one"
    )
    which.add_argument(
        "--all", action="store_true", help="all platforms, and an error where DEST cannot hold them"
    )
    parser.add_argument(
        "--each", action="store_true", help="an output for each source, in the folder DEST"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an archive or folder that exists"
    )
    parser.add_argument(
        "-k", "--keep-going", action="store_true", help="finish the good ones, report the bad"
    )
    parser.add_argument(
        "--files-from", metavar="FILE", help="read sources from FILE, one a line; - is stdin"
    )
    parser.add_argument(
        "-0", "--null", action="store_true", help="in that list, sources end with a NUL"
    )
    parser.add_argument(
        "--report", metavar="FILE", help="write what was done as JSON, or as a page if it is .html"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no table")
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.convert import Conversion

    sources = sources_of(arguments)
    if arguments.report is not None:
        check_path(arguments.report)
    with (
        open_progress(sys.stderr, quiet=arguments.quiet) as progress,
        engine_of(arguments, BLOCK_SLOT_BYTES) as engine,
    ):
        options = options_of(arguments)
        conversion = Conversion(sources, arguments.output, options, engine, progress)
        report = conversion.run()
    show(report, arguments)
    if report.failed and not arguments.quiet:
        hint(conversion, keep_going=arguments.keep_going)
    return overall(image.exit_code for image in report.images)


def options_of(arguments: Namespace) -> ConvertOptions:
    """What the arguments ask for."""
    from ocifast.ops.convert_options import ConvertOptions

    return ConvertOptions(
        to=arguments.to,
        compress=arguments.compress,
        level=arguments.level,
        recipe=arguments.recipe,
        platform=arguments.platform,
        every_platform=arguments.all,
        force=arguments.force,
        each=arguments.each,
        overwrite=arguments.overwrite,
        keep_going=arguments.keep_going,
        profile=arguments.profile,
        limits=limits_of(arguments),
    )


def show(report: ConvertReport, arguments: Namespace) -> None:
    """Print the report, and write it where it was asked for."""
    if arguments.json:
        emit(json_line(report.to_dict()))
    elif not arguments.quiet:
        width = shutil.get_terminal_size().columns if is_terminal() else None
        emit("".join(f"{line}\n" for line in table_lines(report, width)).encode())
    for image in report.images:
        if image.error is not None and (arguments.json or arguments.quiet):
            say(f"{image.source}: {image.error}")
        elif not arguments.quiet:
            warn(image)
    if arguments.report is not None:
        write_report(report, arguments.report)


def hint(conversion: Conversion, *, keep_going: bool) -> None:
    """Say what can be done about images that failed."""
    if not keep_going and conversion.unfinished:
        say(f"stopped, {conversion.unfinished} more to do: --keep-going goes on past failures")
    if conversion.kept is not None:
        kept = min(conversion.kept, os.path.relpath(conversion.kept), key=len)
        say(f"the same command goes on from what is finished, which is noted in {kept}")


def warn(image: ConvertedImage) -> None:
    """Say what was tolerated in an image and its layers, made up for, or left out."""
    for finding in image.findings:
        say(f"{image.source}: warning: {finding}")
    for layer in image.layers:
        if layer.how != "shared":
            for finding in layer.findings:
                say(f"{image.source}: warning: layer {layer.diff_id[:19]}: {finding}")


def sources_of(arguments: Namespace) -> list[str]:
    """The sources of the command line and of the list."""
    sources = list(arguments.sources)
    if arguments.files_from is not None:
        if arguments.files_from == "-" and "-" in sources:
            raise UsageError("ocifast convert", "standard input (-) can be read only once")
        with open(0 if arguments.files_from == "-" else arguments.files_from, "rb") as file:
            listed = file.read().split(b"\0" if arguments.null else b"\n")
        sources += [os.fsdecode(name) for name in listed if name]
    if not sources:
        raise UsageError("ocifast convert", "which images? name at least one SRC")
    return sources
