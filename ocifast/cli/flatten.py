"""`ocifast flatten`: all layers of an image become one.

It is `ocifast squash --all` by another name. Invariant: as that of `ocifast.cli.squash`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.cli.squash import add_image_arguments, make_over

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Make one layer of all layers of an image, without unpacking them: their entries are merged, and what
they hide is left out. Config, history and diff_ids are made to fit. Every layer is verified first.
"""

EPILOG: Final = """\
examples:
  ocifast flatten app.tar -o docker-archive:flat.tar
  ocifast flatten oci:images:app -o oci:images:flat --compress zstd
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_image_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.squash import flatten

    return make_over(arguments, flatten)
