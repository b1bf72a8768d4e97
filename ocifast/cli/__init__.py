"""The command line: the table of verbs, and what becomes of errors.

One file a verb, loaded when it is asked for; the work itself is in `ocifast.ops`. Data goes to
stdout, words to stderr. Invariant: whatever happens, `main` returns an exit code and prints no
traceback (`python -X dev -m ocifast` shows it).
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
from typing import TYPE_CHECKING, Final

from ocifast._version import __version__
from ocifast.cli.arguments import Parser, UsageError
from ocifast.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_IO,
    EXIT_PIPE,
    EXIT_USAGE,
    error_object,
    exit_code,
    words,
)
from ocifast.cli.output import OutputFailed, emit, json_line, say
from ocifast.errors import OcifastError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["VERBS", "build_parser", "main"]

VERBS: Final = {
    "hash": "digest, diff_id, sizes and entries of layers",
    "ls": "the entry table of a layer",
    "cat": "one file of a layer",
    "inspect": "what an image is: names, platforms, config, layers",
    "verify": "recompute every digest and diff_id of an image",
    "diff": "what changed between two trees, layers or images",
    "index": "what a diff needs of a layer, saved",
    "pack": "a folder into a layer, or into an image",
    "unpack": "an image, or a layer, into a folder",
    "bundle": "an image into a folder that runc starts",
    "convert": "images into another format or compression, many at once",
    "squash": "the upper layers of an image, or all, into one",
    "flatten": "all layers of an image into one",
    "rechunk": "an image into layers of about one size",
    "doctor": "what this machine and this installation can do",
}

EPILOG: Final = """\
examples:
  ocifast hash layer.tar.gz other.tar.zst      a line per layer, as sha256sum writes it
  ocifast hash --json *.tar.gz | jq .diff_id   one object per layer
  curl -s "$url" | ocifast hash -              from a pipe
  ocifast ls layer.tar.gz                      what is in it
  ocifast inspect app.tar                      what docker save wrote
  ocifast verify oci:images                    every digest and diff_id of a layout
  ocifast convert *.tar -o oci:images          archives into one layout
  ocifast pack rootfs -o layer.tar.gz          a folder into a layer
  ocifast diff old.tar new.tar                 what changed from one image to the next
  ocifast doctor                               how fast it can be here, and why

exit codes:
  0 all is well      1 differs, or failed verification    2 usage          3 not found
  4 malformed, refused, or over a limit                   5 authentication 6 input or output failed
  130 interrupted    141 standard output was closed by its reader
  Of several layers: 1 if one differs, else the highest.
"""


def build_parser(loaded: Iterable[str] = VERBS) -> Parser:
    """Make the parser; only the verbs of `loaded` get their options, the others just their name."""
    parser = Parser(
        prog="ocifast",
        description="A fast engine for OCI container images and their layers.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, summary in VERBS.items():
        verb = verbs.add_parser(name, help=summary)
        if name in loaded:
            module = importlib.import_module(f"ocifast.cli.{name}")
            verb.description, verb.epilog = module.DESCRIPTION, module.EPILOG
            module.add_arguments(verb)
            verb.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code; `argv` is without the program's name."""
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except SystemExit:  # argparse ends like this after --help
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        code = _report(error)
        if code is None and sys.flags.dev_mode:
            raise
        return EXIT_IO if code is None else code


def _report(error: Exception) -> int | None:
    """Say what went wrong; gives the exit code, or None for what should not happen."""
    if isinstance(error, OutputFailed):
        # As coreutils do: whoever closed the pipe (head, a pager) has had enough and is not told.
        if error.errno == errno.EPIPE:
            return EXIT_PIPE
        say(f"standard output: {error.strerror}")
        return EXIT_IO
    if isinstance(error, UsageError):
        say(f"{error} (see {error.prog} --help)")
        return EXIT_USAGE
    if isinstance(error, (OcifastError, OSError, MemoryError)):
        text, file = words(error), getattr(error, "filename", None)
        say(f"{file}: {text}" if isinstance(file, str) and not _is_in(file, text) else text)
        return exit_code(error)
    say(f"a defect of ocifast, please report it: {type(error).__name__}: {error}")
    return None


def _is_in(file: str, text: str) -> bool:
    """Whether a text names a file, rather than having a word with its letters in it."""
    return re.search(rf"(?<![\w/]){re.escape(file)}(?!\w)", text) is not None


def _run(argv: list[str]) -> int:
    verb = next((argument for argument in argv if not argument.startswith("-")), "")
    arguments = build_parser({verb}).parse_args(argv)
    if arguments.version:
        emit(f"ocifast {__version__}\n".encode())
        return 0
    if arguments.verb is None:
        raise UsageError("ocifast", f"which verb? there are {', '.join(VERBS)}")
    # numpy would start threads for sums it is never asked to do: 0.1 s of CPU
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code: int = arguments.run(arguments)
    except (OcifastError, OSError) as error:
        if arguments.json:
            emit(json_line(error_object(None, error)))
        raise
    return code
