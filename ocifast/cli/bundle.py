"""`ocifast bundle`: an image becomes a folder that runc and its like start.

The work is `ocifast.ops.bundle`'s; this reads arguments, shows progress, prints what was made.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import add_engine_arguments, add_reading_arguments
from ocifast.cli.output import say
from ocifast.cli.quantity import duration_text, size_text
from ocifast.cli.unpack import add_unpack_arguments, make_folder, say_findings

if TYPE_CHECKING:
    from argparse import Namespace

    from ocifast.ops.bundling import BundleReport

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Make an OCI runtime bundle of an image: rootfs and config.json, in a folder that is there when it is
complete. What runs, as whom and where is the image's; mounts, namespaces and capabilities are the
same for all images, and no image can change them.
"""

EPILOG: Final = """\
examples:
  ocifast bundle oci:images:app app && runc run -b app app
  ocifast bundle app.tar app --platform linux/arm64
  ocifast bundle oci:images:app app --rootless         for who is not root
  ocifast bundle oci:images:app app --cmd ls -l /      instead of the image's Cmd: all that follows
  ocifast bundle oci:images:app app --uid-map 0:100000:65536 --gid-map 0:100000:65536
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("ref", metavar="REF", help="an image")
    parser.add_argument("dest", metavar="DIR", help="the folder to make")
    parser.add_argument("--force", action="store_true", help="replace what is in DIR")
    parser.add_argument(
        "--cmd",
        metavar="WORD",
        nargs=argparse.REMAINDER,
        help="what stands for the image's Cmd, behind its Entrypoint; the last option, as it takes "
        "all words behind it",
    )
    parser.add_argument(
        "--user", metavar="USER[:GROUP]", help="who runs it, instead of the image's User"
    )
    add_unpack_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print what was made as one object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary")
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.bundle import bundle

    return make_folder(
        arguments,
        bundle,
        _summarise,
        args=arguments.cmd,
        user=arguments.user,
        replace=arguments.force,
    )


def _summarise(report: BundleReport) -> None:
    say_findings([*report.findings, *report.rootfs.findings])
    size, seconds = size_text(report.rootfs.size), duration_text(report.seconds)
    say(f"{report.path}: {report.rootfs.entries} entries, {size}, in {seconds}")
    say(f"start it: runc run -b {shlex.quote(report.path)} {container_name(report.path)}")


def container_name(path: str) -> str:
    """Give a name that runtimes take, like that of the folder.

    Example:
        >>> container_name("bundles/my app/"), container_name("/")
        ('my-app', 'container')
    """
    name = os.path.basename(os.path.abspath(path))
    return re.sub(r"[^A-Za-z0-9_.+-]", "-", name).lstrip(".-") or "container"
