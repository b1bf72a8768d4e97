"""Compare `ocifast squash` with `ocifast convert`, on images given by name, in one run.

    python benches/peers_squash.py [--rounds N] [--case NAME]... IMAGE...

Both read every layer and compress every byte anew, so the same work is to be done; squash has to
merge tables first, and to leave out what is hidden: give it images whose layers hide nothing, and
as many bytes are written. The source of each case is a copy of the image in another compression,
as convert keeps layers that are right already. Rounds alternate; what counts is the ratio of
medians. The image that squash writes is verified, and held against the one it was made of, before
anything is timed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from peers import timed

OCIFAST: Final = [sys.executable, "-P", "-m", "ocifast"]
SOURCES: Final = {"zstd": "gzip", "gzip": "zstd", "none": "zstd"}
"""What is written, and what is read for it."""
LIMIT: Final = 1.3
RSS_MIB: Final = 512


def command(verb: str, source: str, out: Path, compress: str) -> list[str]:
    """Write one image into a layout, which is not there."""
    shutil.rmtree(out, ignore_errors=True)
    return [*OCIFAST, verb, "-q", source, "-o", f"oci:{out}:image", "--compress", compress]


def check(source: str, squashed: Path) -> None:
    """Verify what was squashed, and hold what it comes to against the source."""
    reference = f"oci:{squashed}:image"
    subprocess.run([*OCIFAST, "verify", "-q", reference], check=True, stdout=subprocess.DEVNULL)
    diff = [*OCIFAST, "diff", "--json", "-q", source, reference]
    done = subprocess.run(diff, check=False, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    changed = [lines[-1][key] for key in ("added", "modified", "deleted")]
    if any(changed):
        raise SystemExit(f"{source}: squashed to something else: {lines[-1]}: nothing is timed")


def stored(layout: Path) -> float:
    """Megabytes of a layout."""
    return sum(path.stat().st_size for path in (layout / "blobs/sha256").iterdir()) / 1e6


def compare(name: str, image: str, work: Path, rounds: int) -> bool:
    """Time one case and print its row; whether it is within its limits."""
    timed(command("convert", image, work / "source", SOURCES[name]))
    source = f"oci:{work / 'source'}:image"
    timed(command("squash", source, work / "squash", name))
    check(source, work / "squash")
    costs: dict[str, list[tuple[float, int]]] = {"squash": [], "convert": []}
    for number in range(rounds):
        for verb in sorted(costs, reverse=bool(number % 2)):
            costs[verb].append(timed(command(verb, source, work / verb, name)))
    ours, theirs = (statistics.median(wall for wall, _ in costs[verb]) for verb in costs)
    rss = max(peak for _, peak in costs["squash"]) >> 20
    good = ours <= LIMIT * theirs and rss <= RSS_MIB
    print(
        f"{image:<30} {name:<5} squash {ours:6.2f} s, convert {theirs:6.2f} s: "
        f"{ours / theirs:.3f} (at most {LIMIT}), {stored(work / 'squash'):.1f} MB beside "
        f"{stored(work / 'convert'):.1f}, RSS {rss} MiB (at most {RSS_MIB})"
        f"{'' if good else '  MISSED'}"
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", action="append", choices=SOURCES, help="(default: all)")
    parser.add_argument("--work", help="where to write (default: the folder for temporary files)")
    parser.add_argument("images", nargs="+", help="as `ocifast convert` takes them")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="ocifast-bench-", dir=options.work) as work:
        for image in options.images:
            for name in options.case or SOURCES:
                good &= compare(name, image, Path(work), options.rounds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
