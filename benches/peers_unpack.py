"""Compare `ocifast unpack` with umoci and with GNU tar, on an image given by name, in one run.

    python benches/peers_unpack.py [--rounds N] [--work DIR] [--disk GB] [--peer NAME]... IMAGE

IMAGE is `oci:FOLDER:NAME`, of gzip layers. The peers:

    umoci  `umoci unpack`: what it makes is a bundle, and a hash of each file is part of it
    raw    `umoci raw unpack`: the tree alone
    tar    `igzip -dc LAYER | tar xf -`, layer by layer: nothing is verified, no whiteout
           applied, no xattr set

Rounds alternate; what counts is the ratio of medians. Before each run everything is written back,
so that no run pays for another's tree. All trees are held against ours before anything is timed.

On an ext4 where many files were removed in the last minutes every new file is 10 to 40 times as
dear: the inodes of the dead are looked at one by one. So no two runs share a file system with
--disk: each gets a new ext4, in a file in the work folder (for root). A tmpfs as the work folder
needs none.
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
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from peers import timed

if TYPE_CHECKING:
    from collections.abc import Iterator

OCIFAST: Final = [sys.executable, "-P", "-m", "ocifast"]
TAR: Final = """
set -eo pipefail; mkdir "$1"
for l in "${@:2}"; do igzip -dc "$l" | tar xf - --numeric-owner -C "$1"; done
"""
LIMITS: Final = {"umoci": 0.45, "raw": None, "tar": 0.40}
"""Our time as a part of the other's; None is told and not judged."""


class Cost(NamedTuple):
    """What a run took: seconds, and bytes."""

    wall: float
    cpu: float
    rss: int


class Image(NamedTuple):
    """A reference into an OCI layout, and the files its layers are."""

    folder: str
    name: str
    layers: list[str]

    def command(self, tool: str, dest: Path) -> list[str]:
        """Unpack it into `dest`, which is not there."""
        if tool == "ocifast":
            return [*OCIFAST, "unpack", "-q", f"oci:{self.folder}:{self.name}", str(dest)]
        if tool == "tar":
            return ["bash", "-c", TAR, "bash", str(dest), *self.layers]
        verb = ["raw", "unpack"] if tool == "raw" else ["unpack"]
        return ["umoci", "--log=error", *verb, "--image", f"{self.folder}:{self.name}", str(dest)]


def document(folder: Path, descriptor: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    return json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())


def open_image(reference: str) -> Image:
    """Find the layers of an image. Exits if it is not one of gzip layers in an OCI layout."""
    transport, folder, name = [*reference.split(":"), "", ""][:3]
    if transport != "oci" or not name:
        raise SystemExit(f"{reference}: not of the form oci:FOLDER:NAME")
    root = Path(folder).absolute()
    named = "org.opencontainers.image.ref.name"
    for descriptor in json.loads((root / "index.json").read_bytes())["manifests"]:
        if descriptor.get("annotations", {}).get(named) == name:
            layers = document(root, descriptor)["layers"]
            if any("gzip" not in layer["mediaType"] for layer in layers):
                raise SystemExit(f"{reference}: the peers take layers of gzip only")
            blobs = [root / "blobs" / layer["digest"].replace(":", "/") for layer in layers]
            return Image(str(root), name, [str(path) for path in blobs])
    raise SystemExit(f"{reference}: no such image")


@contextlib.contextmanager
def place(work: Path, disk: int) -> Iterator[Path]:
    """Give a folder for one run: on a new file system of so many GB, or in `work`."""
    mount = work / "run"
    mount.mkdir()
    if not disk:
        os.sync()
        try:
            yield mount
        finally:
            shutil.rmtree(mount)
        return
    image = work / "disk"
    with image.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, disk << 30)
    attach = ["losetup", "--find", "--show", "--direct-io=on", str(image)]
    loop = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m0", "-E", "nodiscard", loop], check=True)
        subprocess.run(["mount", "-o", "noinit_itable", loop, str(mount)], check=True)
        try:
            os.sync()
            yield mount
            # what is removed need not be written back first
            for path in mount.iterdir():
                shutil.rmtree(path)
        finally:
            subprocess.run(["umount", str(mount)], check=True)
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)
        mount.rmdir()


def run(command: list[str]) -> Cost:
    """Time a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, rss = timed(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, rss)


def check(image: Image, peers: list[str], work: Path, disk: int) -> None:
    """Hold the tree of each peer against ours."""
    for peer in peers:
        with place(work, disk) as folder:
            for tool in ("ocifast", peer):
                timed(image.command(tool, folder / tool))
            theirs = folder / peer / "rootfs" if peer == "umoci" else folder / peer
            command = [*OCIFAST, "diff", "--json", str(folder / "ocifast"), str(theirs)]
            command += ["--ignore", "xattrs"] if peer == "tar" else []
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                print(*done.stdout.splitlines()[-10:], done.stderr, sep="\n", file=sys.stderr)
                raise SystemExit(f"{peer}: another tree than ours: nothing is timed")


def measure(
    image: Image, tools: list[str], rounds: int, work: Path, disk: int
) -> dict[str, list[Cost]]:
    """Time all tools, each in its turn; which is first changes with the round."""
    costs: dict[str, list[Cost]] = {tool: [] for tool in tools}
    for number in range(rounds):
        at = number % len(tools)
        for tool in [*tools[at:], *tools[:at]]:
            with place(work, disk) as folder:
                costs[tool].append(run(image.command(tool, folder / "tree")))
    return costs


def judge(costs: dict[str, list[Cost]]) -> bool:
    """Print a row for each tool; whether all ratios are within their limits."""
    good, ours = True, statistics.median(cost.wall for cost in costs["ocifast"])
    for tool, runs in costs.items():
        walls = sorted(cost.wall for cost in runs)
        wall, cpu = statistics.median(walls), statistics.median(cost.cpu for cost in runs)
        row = f"{tool:<8} {wall:6.2f} s ({walls[0]:.2f} .. {walls[-1]:.2f}), CPU {cpu:6.2f} s"
        row += f", RSS {max(cost.rss for cost in runs) >> 20} MiB"
        limit = LIMITS.get(tool)
        if tool != "ocifast":
            row += f"; ratio {ours / wall:.3f}"
        if limit is not None:
            row += f" (at most {limit}){'' if ours <= limit * wall else '  MISSED'}"
            good &= ours <= limit * wall
        print(row, flush=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="append", choices=LIMITS, help="(default: umoci and tar)")
    parser.add_argument("--work", help="where to write (default: the folder for temporary files)")
    parser.add_argument("--disk", type=int, default=0, metavar="GB", help="a new ext4 for each run")
    parser.add_argument("--unchecked", action="store_true", help="do not compare trees first")
    parser.add_argument("image", help="oci:FOLDER:NAME")
    options = parser.parse_args()
    image = open_image(options.image)
    peers = options.peer or ["umoci", "tar"]
    with tempfile.TemporaryDirectory(prefix="ocifast-bench-", dir=options.work) as work:
        if not options.unchecked:
            check(image, peers, Path(work), options.disk)
        tools = ["ocifast", *peers]
        return 0 if judge(measure(image, tools, options.rounds, Path(work), options.disk)) else 1


if __name__ == "__main__":
    sys.exit(main())
