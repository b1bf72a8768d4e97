"""`ocifast index`: what a diff needs of a layer, saved, so that the layer is not read again."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import (
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.failure import about, error_object, exit_code
from ocifast.cli.output import emit, json_line, say
from ocifast.cli.progress import open_progress
from ocifast.cli.quantity import size_text
from ocifast.cli.whole_file import check_path
from ocifast.errors import OcifastError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Read a layer once, and save its entry table with the digest of every file. `ocifast diff` takes such
an index in the place of the layer, and is done in a moment. The file is an .npz whose arrays are
stored: numpy.load() opens it.
"""

EPILOG: Final = """\
examples:
  ocifast index layer.tar.gz -o layer.npz
  ocifast diff old.npz new.npz
  ocifast diff layer.npz rootfs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("layer", metavar="LAYER", help="a layer blob; - is standard input")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the index")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    parser.add_argument("--json", action="store_true", help="print what the layer is as one object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no summary")
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.index_file import save_index
    from ocifast.ops.layer_index import index_layer

    path = arguments.output
    check_path(path)
    if os.path.lexists(path) and not arguments.overwrite:
        raise FileExistsError(errno.EEXIST, "it is there already (see --overwrite)", path)
    try:
        with (
            open_progress(quiet=arguments.quiet, doing="indexing", plan=False) as progress,
            engine_of(arguments) as engine,
        ):
            index = index_layer(
                0 if arguments.layer == "-" else arguments.layer,
                profile=arguments.profile,
                limits=limits_of(arguments),
                engine=engine,
                progress=progress,
            )
    except OcifastError as error:
        if arguments.json:
            emit(json_line(error_object(arguments.layer, error)))
        say(about(arguments.layer, error))
        return exit_code(error)
    save_index(index, path, overwrite=arguments.overwrite)
    if arguments.json:
        emit(json_line({"schema": "ocifast.index/1", **index.to_dict(), "index": path}))
    elif not arguments.quiet:
        size = size_text(os.stat(path).st_size)
        say(f"{path}: {index.entries} entries of {index.digest}, {size}")
    return 0
