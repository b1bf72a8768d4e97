"""`ocifast pack`: a folder becomes a layer.

The work is `ocifast.ops.pack`'s; this reads arguments, shows progress, prints what was made.
Invariant: when the layer goes to stdout, nothing else does.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from ocifast.cli.arguments import UsageError, add_engine_arguments, engine_of, parse_size
from ocifast.cli.output import emit, json_line, printable, say
from ocifast.cli.progress import open_progress
from ocifast.cli.quantity import duration_text, size_text
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.limits import Limits

if TYPE_CHECKING:
    from argparse import Namespace

    from ocifast.ops.packing import PackedLayer

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Pack a folder into a layer: tar, diff_id, compression and digest in one pass, on all cores. The same
folder gives the same layer on every machine; header for header it is what Docker, BuildKit and
umoci write.
"""

EPILOG: Final = """\
examples:
  ocifast pack rootfs -o layer.tar.gz                        gzip, smaller than pigz -6
  ocifast pack rootfs -o layer.tar.zst --compress zstd       and faster
  ocifast pack app --prefix opt/app --owner 0:0 --append-to oci:images:app
  ocifast pack . -o /tmp/src.tar.gz --exclude .git --exclude '*.pyc'
  ocifast pack rootfs --base oci:images:debian -o diff.tar.gz  only what differs, whiteouts included
  SOURCE_DATE_EPOCH=0 ocifast pack rootfs -o - --compress none | sha256sum
"""

LISTED: Final = 10
"""Findings that are printed; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("tree", metavar="DIR", help="the folder to pack")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="a file, - for stdout, or oci:FOLDER:NAME for an image of this one layer",
    )
    where.add_argument(
        "--append-to", metavar="oci:FOLDER:NAME", help="put the layer on top of this image"
    )
    parser.add_argument(
        "--compress",
        choices=("gzip", "zstd", "zstd:chunked", "estargz", "none"),
        help="how (default: gzip)",
    )
    parser.add_argument("--level", metavar="N", type=int, help="of gzip 1..12, of zstd 1..19")
    parser.add_argument("--recipe", metavar="NAME", help="by name: ocifast doctor lists them")
    _add_metadata(parser)
    _add_selection(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    parser.add_argument(
        "--max-output",
        metavar="SIZE",
        type=parse_size,
        default=Limits().output_bytes,
        help="most bytes of the tar (default 64GiB)",
    )
    parser.add_argument("--json", action="store_true", help="print what was made as one object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary")
    add_engine_arguments(parser)


def _add_metadata(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source-date-epoch",
        metavar="SECONDS",
        type=_epoch,
        help="nothing is younger than this (default: $SOURCE_DATE_EPOCH, if set)",
    )
    parser.add_argument("--owner", metavar="UID:GID", type=_owner, help="of everything")
    parser.add_argument(
        "--map-owner",
        metavar="UID:GID=UID:GID",
        action="append",
        default=[],
        help="who owns as on the left gets what is on the right; an empty part matches, or keeps, "
        "any; the first rule that matches decides",
    )
    parser.add_argument("--prefix", metavar="PATH", default="", help="where it is in the image")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave this out; a pattern as in a .gitignore",
    )
    parser.add_argument(
        "--files-from",
        metavar="FILE",
        help="pack only these paths of DIR and what is below them, one a line; - is stdin",
    )
    parser.add_argument("-0", "--null", action="store_true", help="in that list, paths end in NUL")
    parser.add_argument(
        "--base", metavar="LAYER|REF", help="pack only what differs from this layer or image"
    )
    parser.add_argument(
        "--sort",
        choices=("name", "extension"),
        default="name",
        help="extension puts files of a kind side by side, which compresses better",
    )


def _epoch(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds since 1970")
    return int(text)


def _owner(text: str) -> tuple[int, int]:
    uid, colon, gid = text.partition(":")
    if not (colon and uid.isdigit() and gid.isdigit() and text.isascii()):
        raise argparse.ArgumentTypeError(f"{text!r} is not UID:GID, two numbers")
    if max(int(uid), int(gid)) > 2**32 - 2:
        raise argparse.ArgumentTypeError(f"{text!r}: a UID or GID is at most {2**32 - 2}")
    return int(uid), int(gid)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.pack import pack_layer

    to_stdout = arguments.output == "-"
    if to_stdout and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("ocifast pack", "a layer is nothing to look at: send it to a file or pipe")
    if to_stdout and arguments.json:
        raise UsageError("ocifast pack", "--json and the layer cannot both go to stdout")
    with (
        open_progress(quiet=arguments.quiet, doing="packing", stream=sys.stderr) as progress,
        engine_of(arguments, BLOCK_SLOT_BYTES) as engine,
    ):
        try:
            layer = pack_layer(
                arguments.tree,
                arguments.append_to or arguments.output,
                append=arguments.append_to is not None,
                engine=engine,
                progress=progress,
                **options_of(arguments),
            )
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise UsageError("ocifast pack", str(error)) from None
    show(layer, arguments)
    return 0


def options_of(arguments: Namespace) -> dict[str, Any]:
    """What the arguments, and the environment, ask for."""
    from ocifast.ops.pack_options import OwnerRule

    epoch = arguments.source_date_epoch
    variable = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None and variable:
        try:
            epoch = _epoch(variable)
        except argparse.ArgumentTypeError as error:
            raise UsageError("ocifast pack", f"SOURCE_DATE_EPOCH: {error}") from None
    return {
        "compress": arguments.compress,
        "level": arguments.level,
        "recipe": arguments.recipe,
        "source_date_epoch": epoch,
        "owner": arguments.owner,
        "map_owner": tuple(map(OwnerRule.parse, arguments.map_owner)),
        "exclude": tuple(arguments.exclude),
        "files_from": _listed(arguments),
        "prefix": arguments.prefix,
        "base": arguments.base,
        "sort": arguments.sort,
        "overwrite": arguments.overwrite,
        "limits": Limits(output_bytes=arguments.max_output),
    }


def _listed(arguments: Namespace) -> tuple[bytes, ...] | None:
    if arguments.files_from is None:
        return None
    with open(0 if arguments.files_from == "-" else arguments.files_from, "rb") as file:
        listed = file.read().split(b"\0" if arguments.null else b"\n")
    return tuple(path for path in listed if path)


def show(layer: PackedLayer, arguments: Namespace) -> None:
    """Print what was made, and say what was left out."""
    for finding in layer.findings[:LISTED]:
        say(f"{arguments.tree}: left out {finding}")
    if len(layer.findings) > LISTED:
        say(f"{arguments.tree}: left out {len(layer.findings) - LISTED} more")
    if arguments.json:
        emit(json_line(layer.to_dict()))
    elif not arguments.quiet and arguments.output != "-":
        emit("".join(f"{printable(line)}\n" for line in lines(layer)).encode())


def lines(layer: PackedLayer) -> list[str]:
    """The summary, for a person."""
    rows = {
        "layer": layer.path,
        "digest": str(layer.digest),
        "diff_id": str(layer.diff_id),
        "image": "" if layer.image is None else str(layer.image),
        "entries": str(layer.entries),
        "size": f"{size_text(layer.size)} of {size_text(layer.uncompressed_size)}, "
        f"in {duration_text(layer.seconds)}",
        "recipe": layer.recipe or "",
    }
    return [f"{name:<8} {value}" for name, value in rows.items() if value]
