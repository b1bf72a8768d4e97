"""`ocifast rechunk`: the files of an image in layers of about one size.

The work is `ocifast.ops.rechunk`'s. Invariant: as that of `ocifast.cli.squash`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import parse_size
from ocifast.cli.squash import add_image_arguments, make_over

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Put the files of an image into layers of about one size, without unpacking them; large files each
into a layer of their own. A file goes where its path says, so of the next version of the image only
those layers are others in which something is: the rest need not be pulled again.
"""

EPILOG: Final = """\
examples:
  ocifast rechunk oci:images:app -o oci:images:app-chunked --layers 20
  ocifast rechunk app.tar -o docker-archive:chunked.tar --max-size 100MB
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--layers", metavar="N", type=int, help="at most so many layers")
    how.add_argument(
        "--max-size",
        metavar="SIZE",
        type=parse_size,
        help="layers of at most so many bytes, uncompressed",
    )
    add_image_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.rechunk import rechunk

    return make_over(arguments, rechunk, layers=arguments.layers, max_size=arguments.max_size)
