"""`ocifast cat`: the content of one file of a layer."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import (
    add_engine_arguments,
    add_reading_arguments,
    engine_of,
    limits_of,
)
from ocifast.cli.output import emit, json_line

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Iterable

__all__ = ["add_arguments", "run"]

DESCRIPTION: Final = """\
Print the content of one file of a layer. Of a zstd:chunked or eStargz layer only that file is read,
and every chunk of it is verified; any other layer is read and verified whole first.
"""

EPILOG: Final = """\
examples:
  ocifast cat layer.tar.zst etc/os-release
  ocifast cat layer.tar.gz usr/share/app/data.bin > data.bin
  ocifast cat --json layer.tar.gz etc/passwd | jq -r .digest
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("layer", metavar="LAYER", help="a layer blob")
    parser.add_argument("path", metavar="PATH", help="a file in it")
    parser.add_argument(
        "--json", action="store_true", help="print size and digest of the content instead of it"
    )
    add_reading_arguments(parser)
    add_engine_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.cat import read_file

    with engine_of(arguments) as engine:
        pieces = read_file(
            arguments.layer,
            os.fsencode(arguments.path),
            profile=arguments.profile,
            limits=limits_of(arguments),
            engine=engine,
        )
        if arguments.json:
            emit(json_line(_described(arguments.path, pieces)))
        else:
            for piece in pieces:
                emit(piece)
    return 0


def _described(path: str, pieces: Iterable[bytes]) -> dict[str, object]:
    size, hasher = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        hasher.update(piece)
    digest = f"sha256:{hasher.hexdigest()}"
    return {"schema": "ocifast.cat/1", "path": path, "size": size, "digest": digest}
