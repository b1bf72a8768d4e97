"""Compare `ocifast convert` with skopeo, on docker-archives given by name, in one run.

    python benches/peers_convert.py [--rounds N] [--peer SKOPEO]... [--case NAME]... ARCHIVE...

The cases: the first archive to an OCI layout of zstd or gzip; a gzip layout of it to zstd and to
zstd:chunked; all archives to one layout, against a loop. Rounds alternate, so that a noisy machine
is noisy for all; what counts is the ratio of a round. Every layer of every output is inflated and
hashed first: unequal results are not timed. RSS is the sum over the process tree and disk the space
missing on the output's file system, both sampled every 100 ms; give --work a tmpfs, and nobody else
fills it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from peers import tree_rss

OCIFAST = [sys.executable, "-P", "-m", "ocifast"]
LOOP = 'n=0; for a in "${@:2}"; do n=$((n+1)); %s "docker-archive:$a" "oci:$1:n$n" || exit 1; done'


class Cost(NamedTuple):
    """What a run took: seconds, and bytes."""

    wall: float
    cpu: float
    size: int
    rss: int
    disk: int


@dataclass(frozen=True)
class Case:
    """A comparison, and the most it may come to: wall time and size as parts of the peer's."""

    name: str
    codec: str
    wall: float
    size: float
    layout: bool = False
    many: bool = False

    @property
    def stored_as(self) -> str:
        return self.codec.partition(":")[0]

    def ours(self, archives: list[str], layout: str, out: str) -> list[str]:
        sources = archives if self.many else [f"oci:{layout}:n1" if self.layout else archives[0]]
        dest = f"oci:{out}" if self.many else f"oci:{out}:n1"
        return [*OCIFAST, "convert", "-q", *sources, "-o", dest, "--compress", self.codec]

    def theirs(self, peer: str, archives: list[str], layout: str, out: str) -> list[str]:
        copy = [peer, "copy", "-q"]
        if self.codec != "gzip":
            copy += ["--dest-compress-format", self.codec]
        if self.many:
            return ["bash", "-c", LOOP % " ".join(copy), "bash", out, *archives]
        source = f"oci:{layout}:n1" if self.layout else f"docker-archive:{archives[0]}"
        return [*copy, source, f"oci:{out}:n1"]


CASES = {
    case.name: case
    for case in (
        Case("archive-zstd", "zstd", wall=0.65, size=0.97),
        Case("archive-gzip", "gzip", wall=0.50, size=1.0),
        Case("layout-zstd", "zstd", wall=0.55, size=1.0, layout=True),
        Case("layout-chunked", "zstd:chunked", wall=0.08, size=1.1, layout=True),
        Case("many-zstd", "zstd", wall=0.12, size=1.0, many=True),
        Case("many-gzip", "gzip", wall=0.12, size=1.0, many=True),
    )
}


def free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bfree * status.f_frsize


def run(command: list[str], work: Path, out: Path) -> Cost:
    """Run it on a fresh output folder and a fresh TMPDIR."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    rss, most = 0, free(work)
    least = most
    environment = os.environ | {"TMPDIR": str(work / "tmp")}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        while process.poll() is None:
            rss, least = max(rss, tree_rss(process.pid)), min(least, free(work))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    wall = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(file.stat().st_size for file in (out / "blobs/sha256").iterdir())
    return Cost(wall, cpu, size, rss, most - min(least, free(work)))


def document(layout: Path, descriptor: dict[str, str]) -> dict[str, object]:
    return json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())


def images(layout: Path, codec: str) -> list[list[str]]:
    """The diff_ids of every image, computed from the blobs; held against its config."""
    found, known = [], {}
    for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
        manifest = document(layout, entry)
        blobs = [layout / "blobs" / part["digest"].replace(":", "/") for part in manifest["layers"]]
        if not all(part["mediaType"].endswith(f"+{codec}") for part in manifest["layers"]):
            raise SystemExit(f"{layout}: a layer is not {codec}")
        if new := [str(blob) for blob in dict.fromkeys(blobs) if blob not in known]:
            text = subprocess.run(
                [*OCIFAST, "hash", "--json", *new], check=True, capture_output=True
            )
            reports = [json.loads(line) for line in text.stdout.splitlines()]
            known |= {Path(report["path"]): report["diff_id"] for report in reports}
        found.append([known[blob] for blob in blobs])
        if document(layout, manifest["config"])["rootfs"]["diff_ids"] != found[-1]:
            raise SystemExit(f"{layout}: a config does not name the layers that are there")
    return sorted(found)


def show(label: str, costs: list[Cost]) -> None:
    wall, cpu = (statistics.median(c[n] for c in costs) for n in (0, 1))
    rss, disk = max(c.rss for c in costs), max(c.disk for c in costs)
    print(
        f"  {label:<28} {wall:7.2f} s  CPU {cpu:7.2f} s  {costs[0].size / 1e6:8.1f} MB"
        f"  RSS {rss >> 20:5} MiB  disk {disk / 1e6:8.1f} MB"
    )


def compare(case: Case, peers: list[str], archives: list[str], work: Path, rounds: int) -> bool:
    """Time it in turns and print the table; whether all ratios are within their limits."""
    layout, out = work / "source", work / "run/out"
    if case.layout and not layout.exists():
        command = CASES["archive-gzip"].theirs(peers[0], archives, "", str(layout))
        subprocess.run(command, check=True)
    commands = {"ocifast": case.ours(archives, str(layout), str(out))}
    for peer in peers:
        commands[peer] = case.theirs(peer, archives, str(layout), str(out))
    truth = None
    for name, command in commands.items():
        run(command, work / "run", out)  # and the page cache is warm after it
        truth = truth or images(out, case.stored_as)
        if images(out, case.stored_as) != truth:
            raise SystemExit(f"{case.name}: {name} makes other layers; nothing is timed")
    costs = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            costs[name].append(run(command, work / "run", out))
    print(f"{case.name}: {len(truth)} images, {rounds} rounds")
    for name, found in costs.items():
        show(name, found)
    verdicts = [judge(case, costs["ocifast"], costs[peer], peer) for peer in peers]
    return all(verdicts)


def judge(case: Case, ours: list[Cost], theirs: list[Cost], peer: str) -> bool:
    wall = statistics.median(a.wall / b.wall for a, b in zip(ours, theirs, strict=True))
    size = ours[0].size / theirs[0].size
    good = wall <= case.wall and size <= case.size
    print(
        f"  to {peer}: wall {wall:.3f} (at most {case.wall}), size {size:.4f} (at most {case.size})"
        f"{'' if good else '  MISSED'}"
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="append", help="a skopeo (default: the one on PATH)")
    parser.add_argument("--case", action="append", choices=CASES, help="(default: all that fit)")
    parser.add_argument("--work", help="where to write (default: the folder for temporary files)")
    parser.add_argument("archives", nargs="+", help="plain docker-archives")
    options = parser.parse_args()
    names = options.case or [n for n, c in CASES.items() if len(options.archives) > 1 or not c.many]
    good = True
    with tempfile.TemporaryDirectory(prefix="ocifast-bench-", dir=options.work) as work:
        for name in names:
            arguments = (options.peer or ["skopeo"], options.archives, Path(work), options.rounds)
            good &= compare(CASES[name], *arguments)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
