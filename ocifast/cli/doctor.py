"""`ocifast doctor`: what `ocifast.ops.doctor` finds, as a page for a person or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast.cli.arguments import workers
from ocifast.cli.failure import EXIT_DIFFERS
from ocifast.cli.output import emit, json_line, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ocifast.ops.doctor import Codec, Examination, RecipeRow

__all__ = ["add_arguments", "page", "run"]

DESCRIPTION: Final = """\
Show versions, the CPU, the chosen kernels and codecs, how fast each stage is on generated data, and
what stands in the way of more speed. Takes a second or two.
"""

EPILOG: Final = """\
examples:
  ocifast doctor
  ocifast doctor --json | jq .speeds

Exits with 1 when something is broken: a result is wrong, or workers cannot be had.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("--json", action="store_true", help="one object")
    parser.add_argument("--workers", metavar="N", type=workers, help="test with so many workers")


def run(arguments: argparse.Namespace) -> int:
    """Run the verb; returns the exit code."""
    from ocifast.ops.doctor import examine

    found = examine(arguments.workers, start="fork")
    if arguments.json:
        emit(json_line({"schema": "ocifast.doctor/1", **found.to_dict()}))
    else:
        emit("".join(f"{printable(line)}\n" for line in page(found)).encode())
    return EXIT_DIFFERS if found.is_broken else 0


def page(found: Examination) -> Iterator[str]:
    """Lay it out for a person."""
    machine = found.machine
    quota = "" if machine.cpu_quota is None else f", quota {machine.cpu_quota:g}"
    memory = "work" if machine.memory_files else "are forbidden"
    rows = {
        "ocifast": found.version,
        "python": f"{machine.implementation} {machine.python}, {machine.executable}",
        "system": f"{machine.system}, {machine.architecture}",
        "cpu": f"{machine.cpu}; {' '.join(machine.cpu_features) or 'no features known'}",
        "cores": f"{machine.usable_cores} of {machine.cores} usable{quota}",
        "workers": f"{found.workers}, started by {found.start}, memory files {memory}",
        "packages": ", ".join(f"{name} {text or '-'}" for name, text in found.packages.items()),
    }
    yield from (f"{name:<10}{text}" for name, text in rows.items())
    yield from ("", "SHA-256, MB/s by streams side by side on one core (* is in use)")
    yield from _kernels(found)
    yield from ("", "codecs")
    yield from (f"  {codec.name:<10}{_backend(codec)}" for codec in found.codecs)
    yield from ("", "recipes for writing: the same one always gives the same bytes")
    yield from (f"  {row.codec:<10}{_recipe(row)}" for row in found.recipes)
    yield from ("", "speed here, of uncompressed bytes")
    yield from _speeds(found)
    yield ""
    for problem in found.problems:
        yield f"{'BROKEN' if problem.broken else 'slow'}: {problem.what}"
        yield f"  {problem.advice}"
    if not found.problems:
        yield "no problems found"


def _kernels(found: Examination) -> Iterator[str]:
    for kernel in found.kernels:
        mark = "*" if kernel.name == found.kernel else " "
        text = "  ".join(f"{lanes}: {speed:.0f}" for lanes, speed in kernel.mb_per_s.items())
        yield f"{mark} {kernel.name:<10}{text or kernel.reason}"


def _backend(codec: Codec) -> str:
    if not codec.backends:
        return "built in"
    if codec.backend is None:
        return f"missing (none of {', '.join(codec.backends)})"
    return f"{codec.backend} {codec.version or ''}".rstrip()


def _recipe(row: RecipeRow) -> str:
    if row.identity is None:
        return f"{row.name}: its library is missing"
    return row.identity + (f", levels {row.levels[0]} to {row.levels[-1]}" if row.levels else "")


def _speeds(found: Examination) -> Iterator[str]:
    speeds = found.speeds
    if speeds is None:
        yield "  not measured"
        return
    rows = {
        "SHA-256, one stream": speeds.sha256_mb_per_s,
        "gzip": speeds.gzip_mb_per_s,
        "zstd": speeds.zstd_mb_per_s,
        "gzip layers on all workers, both digests": speeds.layers_mb_per_s,
    }
    for name, speed in rows.items():
        yield f"  {name:<42}" + ("      -" if speed is None else f"{speed:>7.0f} MB/s")
    yield f"  {'tar headers':<42}{speeds.tar_headers_per_s / 1e6:>7.2f} million/s"
