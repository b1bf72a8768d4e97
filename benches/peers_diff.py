"""Compare `ocifast diff` with the shell's ways, on a tree given by name, in one run.

    python benches/peers_diff.py [--rounds N] [--case NAME]... TREE

A copy of the tree is changed (a file in 200 grows, a folder is removed, one is renamed), and both
are put into layers with `tar` and `pigz`. Then, in rounds that alternate:

    layers  two gzip layers, contents and all, beside two `igzip -dc | openssl dgst` at once, and
            two listings with `tar tvf` compared by `diff`, which see no content
    tables  two saved indexes, from the command line (and in Python, in milliseconds)
    trees   both folders, beside `rsync -rnic --delete`

What is found is held against what was changed before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from peers import timed

import ocifast

OCIFAST: Final = [sys.executable, "-P", "-m", "ocifast"]
SHELL: Final = """
igzip -dc {a} | openssl dgst -sha256 >{work}/1 &
igzip -dc {b} | openssl dgst -sha256 >{work}/2 & wait
tar tvf {a} >{work}/3; tar tvf {b} >{work}/4; diff {work}/3 {work}/4 >{work}/5 || true
"""
LIMITS: Final = {"layers": 0.35, "tables": 0.4, "trees": 0.70}
"""Parts of the other way's time; of tables, seconds."""


def change(tree: Path) -> tuple[int, int]:
    """Change a tree; says how many files are modified, and how many paths are gone."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    modified = files[::200]
    for path in modified:
        with path.open("ab") as file:
            file.write(b"changed\n")
    doomed = next(path for path in sorted(tree.rglob("*")) if path.is_dir() and any(path.iterdir()))
    while sum(1 for _ in doomed.rglob("*")) > 2000:
        doomed = next(path for path in sorted(doomed.iterdir()) if path.is_dir())
    gone = list(doomed.rglob("*"))
    shutil.rmtree(doomed)
    return sum(1 for path in modified if path not in gone), len(gone) + 1


def prepare(tree: str, work: Path) -> dict[str, list[str]]:
    """Make the other tree, layers and indexes of both; gives the two sides of each case."""
    old, new = Path(tree), work / "new"
    subprocess.run(["cp", "-a", tree, str(new)], check=True)
    modified, gone = change(new)
    for name, folder in (("old", old), ("new", new)):
        tar = f"tar --sort=name --numeric-owner -C {folder} -cf - . | pigz -6 >{work}/{name}.tar.gz"
        subprocess.run(["bash", "-c", tar], check=True)
        layer, index = str(work / f"{name}.tar.gz"), str(work / f"{name}.npz")
        subprocess.run([*OCIFAST, "index", "-q", layer, "-o", index], check=True)
    sides = {
        "layers": [str(work / "old.tar.gz"), str(work / "new.tar.gz")],
        "tables": [str(work / "old.npz"), str(work / "new.npz")],
        "trees": [str(old), str(new)],
    }
    for name, pair in sides.items():
        check(name, pair, modified, gone)
    return sides


def check(name: str, pair: list[str], modified: int, gone: int) -> None:
    """Hold what is found against what was changed."""
    done = subprocess.run([*OCIFAST, "diff", "--json", *pair], check=False, capture_output=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    content = sum(1 for line in lines if "content" in line.get("fields", ()))
    if (content, lines[-1]["deleted"], lines[-1]["added"]) != (modified, gone, 0):
        raise SystemExit(f"{name}: found {lines[-1]}, changed {modified}, gone {gone}")


def theirs(name: str, pair: list[str], work: Path) -> list[str]:
    """The other way as one command."""
    if name == "layers":
        return ["bash", "-c", SHELL.format(a=pair[0], b=pair[1], work=work)]
    return ["rsync", "-rnic", "--delete", f"{pair[0]}/", f"{pair[1]}/"]


def compare(name: str, pair: list[str], work: Path, rounds: int) -> bool:
    """Time one case and print its row; whether it is within its limit."""
    ours, costs = [*OCIFAST, "diff", "--stat", *pair], []
    for _ in range(rounds):
        mine = timed(ours, ok=(1,))
        other = None if name == "tables" else timed(theirs(name, pair, work))
        costs.append((mine, other))
    found = statistics.median(mine[0] for mine, _ in costs)
    if name == "tables":
        # `timed` looks every 100 ms: too coarse for this
        found = min(wall(ours) for _ in range(5))
        print(f"tables: {found * 1000:.0f} ms; in Python {in_python(pair) * 1000:.0f} ms")
        return found <= LIMITS[name]
    ratio = statistics.median(mine[0] / other[0] for mine, other in costs)
    beside = statistics.median(other[0] for _, other in costs)
    rss = max(mine[1] for mine, _ in costs) >> 20
    print(f"{name}: {found:.2f} s, beside {beside:.2f} s: {ratio:.3f}; RSS {rss} MiB")
    return ratio <= LIMITS[name]


def wall(command: list[str]) -> float:
    """Seconds of one run."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def in_python(pair: list[str]) -> float:
    """Seconds of a diff of saved indexes, the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        with ocifast.diff(*pair):
            pass
        best = min(best, time.perf_counter() - began)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", action="append", choices=LIMITS, help="(default: all)")
    parser.add_argument("--work", help="where to write (default: the folder for temporary files)")
    parser.add_argument("tree", help="a folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocifast-bench-", dir=options.work) as folder:
        work = Path(folder)
        sides = prepare(os.path.abspath(options.tree), work)
        results = [
            compare(name, sides[name], work, options.rounds) for name in options.case or LIMITS
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
