"""Compare `ocifast pack` with the shell's way to a layer, on trees given by name, in one run.

    python benches/peers_pack.py [--rounds N] [--case NAME]... TREE...

The shell's way is `tar | tee >(openssl dgst) | COMPRESS | tee >(openssl dgst) > OUT`, with digest
and diff_id as we have them. Rounds alternate, so that noise is for both; what counts
is the ratio of a round. Our layer is inflated and hashed first: what is not what it says is not
timed. RSS is the sum over the process tree, sampled every 100 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from peers import timed

OCIFAST = [sys.executable, "-P", "-m", "ocifast"]
PIPE = (
    "tar --sort=name --numeric-owner -C {tree} -cf - . | tee >(openssl dgst -sha256 >{out}.1) "
    "| {squeeze} | tee >(openssl dgst -sha256 >{out}.2) >{out}; wait"
)


class Case(NamedTuple):
    """A comparison, and the most it may come to: wall time, and size against another tool."""

    ours: tuple[str, ...]
    peer: str
    wall: float
    smaller_than: str


CASES = {
    "zstd": Case(("--compress", "zstd", "--level", "3"), "zstd -q -3 -T2", 0.55, "zstd -q -3 -T2"),
    "gzip": Case(("--compress", "gzip"), "pigz -6 -p2", 0.35, "pigz -6 -p2"),
    "gzip-1": Case(("--compress", "gzip", "--level", "1"), "pigz -6 -p2", 0.18, "pigz -1 -p2"),
    "gzip-isal": Case(("--recipe", "gzip-isal"), "pigz -1 -p2", 0.5, "igzip -1"),
    "none": Case(("--compress", "none"), "cat", 1.0, "cat"),
}


def pipe(tree: str, out: Path, squeeze: str) -> list[str]:
    """The shell's way as one command."""
    return ["bash", "-c", PIPE.format(tree=tree, out=out, squeeze=squeeze)]


def size_of(tree: str, out: Path, squeeze: str) -> int:
    """What a tool makes of the tree."""
    subprocess.run(pipe(tree, out, squeeze), check=True)
    return out.stat().st_size


def check(out: Path, packed: dict[str, object]) -> None:
    """Hold a layer against what was said of it when it was packed."""
    done = subprocess.run([*OCIFAST, "hash", "--json", str(out)], check=True, capture_output=True)
    found = json.loads(done.stdout)
    for key in ("digest", "diff_id", "size", "uncompressed_size", "entries"):
        if found[key] != packed[key]:
            raise SystemExit(
                f"{key}: packed as {packed[key]}, found {found[key]}: nothing is timed"
            )


def compare(name: str, tree: str, rounds: int, work: Path) -> bool:
    """Time one case on one tree and print its row; whether it is within its limits."""
    case, out = CASES[name], work / "out"
    ours = [*OCIFAST, "pack", tree, "-o", str(out), "--overwrite", *case.ours]
    done = subprocess.run([*ours, "--json", "-q"], check=True, capture_output=True)
    packed = json.loads(done.stdout)
    check(out, packed)
    limit = size_of(tree, work / "peer", case.smaller_than)
    pairs = []
    for _ in range(rounds):
        theirs = timed(pipe(tree, work / "peer", case.peer))
        pairs.append((timed([*ours, "-q"]), theirs))
    wall = statistics.median(a[0] / b[0] for a, b in pairs)
    seconds = [statistics.median(pair[n][0] for pair in pairs) for n in (0, 1)]
    good = wall <= case.wall and packed["size"] <= limit
    print(
        f"{Path(tree).name:<14} {name:<10} {seconds[0]:6.2f} s against {seconds[1]:6.2f} s of "
        f"{case.peer}: {wall:.3f} (at most {case.wall}), {packed['size'] / 1e6:.1f} MB of "
        f"{packed['uncompressed_size'] / 1e6:.1f}, {limit / 1e6:.1f} by {case.smaller_than}, "
        f"RSS {max(pair[0][1] for pair in pairs) >> 20} MiB{'' if good else '  MISSED'}"
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", action="append", choices=CASES, help="(default: all)")
    parser.add_argument("--work", help="where to write (default: the folder for temporary files)")
    parser.add_argument("trees", nargs="+")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="ocifast-bench-", dir=options.work) as work:
        for tree in options.trees:
            for name in options.case or CASES:
                good &= compare(name, os.path.abspath(tree), options.rounds, Path(work))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
