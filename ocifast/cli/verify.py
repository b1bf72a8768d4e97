"""`ocifast verify`: is an image what it says it is, down to the last byte?

The work is `ocifast.ops.verify`'s; this reads arguments, shows progress, prints what is wrong.
Invariant: exit code 0 means that everything was read and nothing is wrong.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import (
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.failure import EXIT_DIFFERS, about, error_object, exit_code
from ocifast.cli.output import emit, json_line, printable, say
from ocifast.cli.progress import open_progress
from ocifast.cli.quantity import duration_text, size_text
from ocifast.errors import OcifastError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from ocifast.ops.verification import Verification

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Verify images: recompute the digest and size of every blob and the diff_id of every layer, in one
pass over all cores, and hold manifests, configs and indexes against each other. All that is wrong
is listed, not only the first thing. Without a name, everything in the store is verified, blobs that
no image needs included.
"""

EPILOG: Final = """\
images:
  oci:FOLDER[:NAME]   oci-archive:FILE[:NAME]   docker-archive:FILE[:NAME|:@N]   dir:FOLDER
  a bare path is looked at; - is an archive on standard input

examples:
  ocifast verify oci:images                    a whole layout
  ocifast verify app.tar                       what docker save wrote
  ocifast verify --profile compat old.tar      tolerate what Docker and containerd accept
  curl -s "$url" | ocifast verify -            from a pipe, in one pass
  ocifast verify --json oci:images:app | jq .problems

exit codes:
  0 all is well   1 something is wrong   3 not found   4 it cannot be read as an image at all
"""

LISTED: Final = 10
"""Unreachable files that are named; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("image", metavar="REF", help="an image, or a store of images")
    parser.add_argument("--json", action="store_true", help="one object")
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="of an image for several platforms only this one"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress, findings and summary"
    )
    add_reading_arguments(parser, profile="strict")
    add_engine_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    try:
        verification = _verified(arguments)
    except (OcifastError, OSError) as error:
        if arguments.json:
            emit(json_line(error_object(arguments.image, error)))
        say(about(arguments.image, error))
        return exit_code(error)
    if arguments.json:
        emit(json_line(verification.to_dict()))
    else:
        _show(verification, quiet=arguments.quiet)
    return 0 if verification.ok else EXIT_DIFFERS


def _verified(arguments: Namespace) -> Verification:
    from ocifast.ops.verify import verify

    with (
        open_progress(quiet=arguments.quiet, doing="verifying", stream=sys.stderr) as progress,
        engine_of(arguments) as engine,
    ):
        return verify(
            arguments.image,
            profile=arguments.profile,
            platform=arguments.platform,
            engine=engine,
            limits=limits_of(arguments),
            progress=progress,
        )


def _show(verification: Verification, *, quiet: bool) -> None:
    """Print a line for each problem and one for all; what is merely odd goes to stderr."""
    lines = [str(problem) + _needed_by(problem.images) for problem in verification.problems]
    if not quiet:
        for finding in verification.findings:
            say(f"{finding} (tolerated)")
        for name in verification.unreachable[:LISTED]:
            say(f"{name}: no image needs it")
        if len(verification.unreachable) > LISTED:
            say(f"{len(verification.unreachable) - LISTED} more files that no image needs")
        lines.append(_summary(verification))
    emit("".join(f"{printable(line)}\n" for line in lines).encode())


def _needed_by(images: tuple[str, ...]) -> str:
    if not images:
        return ""
    more = f" and {len(images) - 1} more" if len(images) > 1 else ""
    return f" (in {images[0]}{more})"


def _summary(verification: Verification) -> str:
    images, layers = len(verification.images), verification.layers
    problems = len(verification.problems)
    return (
        f"{_many(images, 'image')}, {_many(layers, 'layer')}, {size_text(verification.bytes)} "
        f"verified in {duration_text(verification.seconds)}: "
        + ("OK" if verification.ok else f"FAILED: {_many(problems, 'problem')}")
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
