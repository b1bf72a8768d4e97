"""What the verbs' arguments have in common: the parser, sizes, limits and the engine's options."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final, NoReturn

from ocifast.cli.output import emit
from ocifast.engine import Engine
from ocifast.engine.plan import SLOT_BYTES
from ocifast.limits import Limits

if TYPE_CHECKING:
    from argparse import Namespace

    from _typeshed import SupportsWrite

__all__ = [
    "Parser",
    "UsageError",
    "add_engine_arguments",
    "add_reading_arguments",
    "engine_of",
    "limits_of",
    "parse_size",
    "workers",
]

SIZE: Final = re.compile(r"(\d{1,18})([KMGT]?)(i?B)?", re.IGNORECASE)
MOST_WORKERS: Final = 1024


class UsageError(Exception):
    """The command line makes no sense; `prog` is the command that can tell what does."""

    def __init__(self, prog: str, message: str) -> None:
        super().__init__(prog, message)
        self.prog, self.message = prog, message

    def __str__(self) -> str:
        return self.message


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line and help that may be cut off by a closed pipe."""

    def __init__(self, **options: object) -> None:
        # Abbreviations would make every new option a change for somebody's script.
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,  # type: ignore[arg-type]
        )

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing and exiting."""
        raise UsageError(self.prog, message)

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Print the help to stdout."""
        if file is None:
            emit(self.format_help().encode())
        else:
            super().print_help(file)


def parse_size(text: str) -> int:
    """Read a size in bytes, with the suffixes of coreutils.

    Example:
        >>> parse_size("64K"), parse_size("1MiB"), parse_size("2GB")
        (65536, 1048576, 2000000000)
    """
    found = SIZE.fullmatch(text)
    if found is None or (found[3] in ("iB", "ib", "IB") and not found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 4096, 64K, 16MiB or 2GB")
    base = 1000 if (found[3] or "").upper() == "B" and found[2] else 1024
    power = " KMGT".index(found[2].upper() or " ")
    return int(found[1]) * int(base**power)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def workers(text: str) -> int:
    """Read a number of workers."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MOST_WORKERS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers (0..{MOST_WORKERS})")
    return int(text)


def add_reading_arguments(parser: argparse.ArgumentParser, profile: str = "compat") -> None:
    """Add what says how a layer is read; `profile` is the one without the option."""
    defaults = Limits()
    parser.add_argument(
        "--profile",
        choices=("strict", "compat"),
        default=profile,
        help="strict refuses what two readers would read differently; compat reads what Docker and "
        f"containerd accept, and reports oddities (default: {profile})",
    )
    parser.add_argument(
        "--max-output",
        metavar="SIZE",
        type=parse_size,
        default=defaults.output_bytes,
        help=f"most uncompressed bytes of a layer (default {defaults.output_bytes >> 30}GiB)",
    )
    parser.add_argument(
        "--max-ratio",
        metavar="N",
        type=_positive,
        default=defaults.ratio,
        help="most uncompressed bytes per stored byte "
        f"(default {defaults.ratio}; judged from {defaults.ratio_grace_bytes >> 20}MiB on)",
    )


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says where the work is done."""
    parser.add_argument(
        "--workers",
        metavar="N",
        type=workers,
        help="worker processes; 0 works in this one (default: one a core)",
    )
    parser.add_argument(
        "--memory", metavar="SIZE", type=parse_size, help="cap of the workers' shared buffers"
    )


def limits_of(arguments: Namespace) -> Limits:
    """Make the limits that were asked for."""
    return Limits(output_bytes=arguments.max_output, ratio=arguments.max_ratio)


def engine_of(arguments: Namespace, slot_bytes: int = SLOT_BYTES) -> Engine:
    """Make the engine that was asked for; it may fork, this process has one thread."""
    try:
        return Engine(arguments.workers, arguments.memory, start="fork", slot_bytes=slot_bytes)
    except ValueError as error:
        raise UsageError(f"ocifast {arguments.verb}", str(error)) from None
