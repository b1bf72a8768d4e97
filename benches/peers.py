"""Compare `ocifast hash` with the shell pipelines people use, on layers given by name, in one run.

    python benches/peers.py [--rounds N] LAYER...

Gzip layers go against `openssl dgst -sha256 L & igzip -dc L | openssl dgst -sha256; wait`, each in
turn; plain tars against `xargs -P2 -n1 openssl dgst -sha256`. Rounds alternate, so that a noisy
machine is noisy for both; what counts is the ratio. Digests are compared first: unequal results are
not timed. RSS is the sum over the process tree, sampled every 100 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

OCIFAST = [sys.executable, "-m", "ocifast", "hash"]
BOTH = 'openssl dgst -sha256 "$l" & igzip -dc "$l" | openssl dgst -sha256; wait'
TURN = f'for l in "$@"; do {BOTH}; done'
XARGS = 'printf "%s\\0" "$@" | xargs -0 -P2 -n1 openssl dgst -sha256'


def shell(script: str, layers: list[str]) -> list[str]:
    return ["bash", "-c", script, "bash", *layers]


def descendants(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += descendants(int(child))
    return found


def tree_rss(pid: int) -> int:
    total = 0
    for one in descendants(pid):
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def timed(command: list[str], ok: tuple[int, ...] = (0,)) -> tuple[float, int]:
    """Wall seconds and the peak RSS of the process tree; `ok` are exit codes of success."""
    peak, begin = 0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, tree_rss(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    if process.returncode not in ok:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return time.perf_counter() - begin, peak


def hexes(command: list[str]) -> set[str]:
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {word for word in text.split() if len(word) == 64}


def reports(layers: list[str]) -> list[dict[str, object]]:
    lines = subprocess.run([*OCIFAST, "--json", *layers], check=True, capture_output=True).stdout
    return [json.loads(line) for line in lines.splitlines()]


def compare(title: str, ours: list[str], theirs: list[str], layers: list[str], rounds: int) -> None:
    found = reports(layers)
    digests = {str(r[key]).partition(":")[2] for r in found for key in ("digest", "diff_id")}
    if hexes(theirs) != digests:
        raise SystemExit(f"{title}: the peer computes other digests; nothing is timed")
    mine, other, peak = [], [], 0
    for _ in range(rounds):
        seconds, rss = timed(ours)
        mine.append(seconds)
        peak = max(peak, rss)
        other.append(timed(theirs)[0])
    size = sum(int(str(r["uncompressed_size"])) for r in found) / 1e6
    ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
    print(f"{title}: {len(layers)} layers, {size:.0f} MB uncompressed, {rounds} rounds")
    print(
        f"  ocifast  {statistics.median(mine):6.2f} s  {size / statistics.median(mine):6.0f} MB/s"
    )
    print(
        f"  peer     {statistics.median(other):6.2f} s  {size / statistics.median(other):6.0f} MB/s"
    )
    print(f"  ratio    {ratio:6.2f}    peak RSS of ocifast's process tree {peak / 2**20:.0f} MiB")


def head(layer: str) -> bytes:
    with open(layer, "rb") as file:
        return file.read(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("layers", nargs="+")
    options = parser.parse_args()
    packed = [layer for layer in options.layers if head(layer) == b"\x1f\x8b"]
    plain = [layer for layer in options.layers if layer not in packed]
    if packed:
        peer = shell(TURN, packed)
        compare("gzip, digest + diff_id + table", [*OCIFAST, *packed], peer, packed, options.rounds)
    if plain:
        peer = shell(XARGS, plain)
        compare("plain, digest", [*OCIFAST, *plain], peer, plain, options.rounds)


if __name__ == "__main__":
    main()
