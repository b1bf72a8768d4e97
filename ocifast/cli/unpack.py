"""`ocifast unpack`: layers become a folder.

The work is `ocifast.ops.unpack`'s; this reads arguments, shows progress, prints what was made.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ocifast.cli.arguments import (
    UsageError,
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.failure import about, error_object, exit_code
from ocifast.cli.output import emit, json_line, printable, say
from ocifast.cli.progress import open_progress
from ocifast.cli.quantity import duration_text, size_text
from ocifast.engine.plan import BLOCK_SLOT_BYTES
from ocifast.errors import OcifastError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from ocifast.ops.bundling import BundleReport
    from ocifast.ops.unpacking import UnpackReport

    Report = TypeVar("Report", BundleReport, UnpackReport)

__all__ = [
    "add_arguments",
    "add_unpack_arguments",
    "id_range",
    "make_folder",
    "run",
    "say_findings",
]

DESCRIPTION: Final = """\
Unpack an image, or a layer, into a folder. Every layer is read once; nothing gets its name before
all digests and diff_ids are right, and DIR is there when it is complete. Paths lead through links
of the image only inside the folder.
"""

EPILOG: Final = """\
examples:
  ocifast unpack oci:images:app rootfs
  ocifast unpack app.tar rootfs --platform linux/arm64
  ocifast unpack layer.tar.gz rootfs --keep            over what is there
  ocifast unpack oci:images:app rootfs --rootless      owners are recorded, not set
  ocifast unpack oci:images:app rootfs --uid-map 0:100000:65536 --gid-map 0:100000:65536
  ocifast unpack oci:images:app layers --overlay       a folder for each layer
"""

LISTED: Final = 10
"""Findings that are printed; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("ref", metavar="REF", help="an image or a layer")
    parser.add_argument("dest", metavar="DIR", help="the folder to make")
    there = parser.add_mutually_exclusive_group()
    there.add_argument("--force", action="store_true", help="replace what is in DIR")
    there.add_argument(
        "--keep", action="store_true", help="unpack over what is in DIR; changes it in place"
    )
    parser.add_argument(
        "--overlay",
        action="store_true",
        help="a folder for each layer (0 is the base), with whiteouts as overlayfs has them",
    )
    add_unpack_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print what was made as one object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary")
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def add_unpack_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every verb has that unpacks."""
    parser.add_argument("--platform", metavar="OS/ARCH", help="which image of an index")
    parser.add_argument(
        "--rootless",
        action="store_true",
        help="set no owners and make no devices, but record them (user.rootlesscontainers)",
    )
    for kind in ("uid", "gid"):
        parser.add_argument(
            f"--{kind}-map",
            metavar="ID:HOST:COUNT",
            action="append",
            default=[],
            type=id_range,
            help=f"{kind}s from ID on become those from HOST on; may be repeated",
        )
    parser.add_argument(
        "--devices",
        choices=("create", "record", "deny"),
        help="what becomes of devices (default: created; strict denies, rootless records)",
    )
    parser.add_argument("--sync", action="store_true", help="have it on disk before it is shown")


def id_range(text: str) -> tuple[int, int, int]:
    """Read a range of ids.

    Example:
        >>> id_range("0:100000:65536")
        (0, 100000, 65536)
    """
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no range such as 0:100000:65536")
    container, host, size = (int(part[:12]) for part in parts)
    return container, host, size


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.unpack import unpack

    return make_folder(
        arguments,
        unpack,
        _summarise,
        replace=arguments.force,
        keep=arguments.keep,
        overlay=arguments.overlay,
    )


def make_folder(
    arguments: Namespace,
    verb: Callable[..., Report],
    summarise: Callable[[Report], None],
    **more: object,
) -> int:
    """Call what makes a folder of a reference, and print what came of it."""
    if not arguments.dest:
        raise UsageError(f"ocifast {arguments.verb}", "the name of the folder is empty")
    try:
        with (
            open_progress(quiet=arguments.quiet, doing="unpacking", plan=False) as progress,
            engine_of(arguments, BLOCK_SLOT_BYTES) as engine,
        ):
            options = options_of(arguments) | more
            report = verb(
                arguments.ref, arguments.dest, engine=engine, progress=progress, **options
            )
    except OcifastError as error:
        if arguments.json:
            emit(json_line(error_object(arguments.ref, error)))
        say(about(arguments.ref, error))
        return exit_code(error)
    except ValueError as error:
        raise UsageError(f"ocifast {arguments.verb}", str(error)) from None
    if arguments.json:
        emit(json_line(report.to_dict()))
    elif not arguments.quiet:
        summarise(report)
    return 0


def options_of(arguments: Namespace) -> dict[str, Any]:
    """Give what every verb hands on that unpacks."""
    return {
        "platform": arguments.platform,
        "profile": arguments.profile,
        "limits": limits_of(arguments),
        "rootless": arguments.rootless,
        "uid_map": tuple(arguments.uid_map),
        "gid_map": tuple(arguments.gid_map),
        "devices": arguments.devices,
        "sync": arguments.sync,
    }


def say_findings(findings: Sequence[str]) -> None:
    """Say what was tolerated or lost, the first of it."""
    for finding in findings[:LISTED]:
        say(f"note: {printable(finding)}")
    if len(findings) > LISTED:
        say(f"note: and {len(findings) - LISTED} more (--json has all)")


def _summarise(report: UnpackReport) -> None:
    say_findings(report.findings)
    layers = f"{len(report.layers)} layer{'s' * (len(report.layers) != 1)}"
    size, seconds = size_text(report.size), duration_text(report.seconds)
    say(f"{report.path}: {report.entries} entries of {layers}, {size}, in {seconds}")
