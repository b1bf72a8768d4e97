"""The demo: `docker save` an image of this machine's own files, hash, convert and unpack it.

The archive is real (`manifest.json`, a config with diff_ids, compressed layer blobs) and so are the
files: the standard library, shared libraries, installed packages. It is made in a temporary folder
and removed. What ocifast finds is held against the config, and what it writes is verified; a
difference is exit status 1.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import ocifast
from ocifast.cli.convert_table import table_lines
from ocifast.ops.squash import squash

MB = 1_000_000
SHARES = {"standard library": 0.25, "shared libraries": 0.5, "packages and data": 0.25}
LONGEST_FILE = 32 * MB
LEAVE_OUT = ("__pycache__", "site-packages", "dist-packages")


class Packed(NamedTuple):
    """A layer as it was made: the truth the hashing is held against."""

    title: str
    path: Path
    digest: str
    diff_id: str
    entries: int
    size: int


class Tee(io.RawIOBase):
    """Writes the tar into the compressor and counts and hashes it on the way."""

    def __init__(self, compressor: io.BufferedIOBase) -> None:
        self.compressor, self.hasher, self.size = compressor, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.hasher.update(data)
        self.size += len(data)
        self.compressor.write(data)
        return len(data)


def roots() -> dict[str, list[Path]]:
    """Where each layer's files come from, richest place first."""
    stdlib, site = (Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    return {
        "standard library": [stdlib],
        "shared libraries": [
            Path("/usr/lib", triplet),
            Path("/usr/lib64"),
            Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"),
            stdlib / "lib-dynload",
            site,
        ],
        "packages and data": [site, Path("/usr/share/zoneinfo"), Path("/usr/share")],
    }


def files_below(root: Path, title: str) -> Iterator[Path]:
    """Readable regular files and links in a fixed order, each layer its own kind."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - {"__pycache__", "site-packages", "dist-packages"})
        for name in sorted(names):
            path = Path(folder, name)
            if title == "standard library" and path.suffix != ".py":
                continue
            if title == "shared libraries" and ".so" not in path.suffixes:
                continue
            if path.is_symlink() or (path.is_file() and os.access(path, os.R_OK)):
                yield path


def open_compressor(path: Path) -> io.BufferedIOBase:
    """gzip at its fastest level: the demo is about reading."""
    try:
        from isal import igzip
    except ImportError:
        return gzip.open(path, "wb", compresslevel=1)
    return igzip.open(path, "wb", compresslevel=1)


def pack(title: str, folder: Path, limit: int) -> Packed:
    """Pack one layer with tarfile, gzip-compressed, at most `limit` bytes of it."""
    part, seen, left, entries = folder / "part", set(), limit, 0
    with closing(open_compressor(part)) as compressor:
        tee = Tee(compressor)
        with tarfile.open(fileobj=tee, mode="w|", format=tarfile.GNU_FORMAT) as tar:
            for path in (p for root in roots()[title] for p in files_below(root, title)):
                size = 0 if path.is_symlink() else path.stat().st_size
                if path in seen or size > min(left, LONGEST_FILE):
                    continue
                seen.add(path)
                left -= size + 1024
                tar.add(path, recursive=False)
                entries += 1
    with open(part, "rb") as blob:
        digest = hashlib.file_digest(blob, "sha256").hexdigest()
    blob_path = part.rename(folder / digest)
    return Packed(
        title, blob_path, f"sha256:{digest}", f"sha256:{tee.hasher.hexdigest()}", entries, tee.size
    )


def save_archive(layers: list[Packed], path: Path) -> None:
    """Write the docker-archive: manifest.json, the config, the blobs by digest."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {
        "architecture": machine,
        "os": "linux",
        "config": {"Cmd": ["/usr/bin/python3"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": layer.title} for layer in layers],
    }
    encoded = json.dumps(config).encode()
    config_name = f"blobs/sha256/{hashlib.sha256(encoded).hexdigest()}"
    names = [f"blobs/sha256/{layer.path.name}" for layer in layers]
    manifest = [{"Config": config_name, "RepoTags": ["ocifast/demo:latest"], "Layers": names}]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        documents = {config_name: encoded, "manifest.json": json.dumps(manifest).encode()}
        for name, document in documents.items():
            member = tarfile.TarInfo(name)
            member.size = len(document)
            archive.addfile(member, io.BytesIO(document))
        for name, layer in zip(names, layers, strict=True):
            archive.add(layer.path, name)
            layer.path.unlink()


def load_archive(path: Path, folder: Path) -> tuple[list[Path], list[str]]:
    """Unpack the layers of a docker-archive; give their paths and the config's diff_ids."""
    paths = []
    with tarfile.open(path) as archive:
        (image,) = json.load(archive.extractfile("manifest.json"))
        config = json.load(archive.extractfile(image["Config"]))
        for name in image["Layers"]:
            paths.append(folder / os.path.basename(name))
            with open(paths[-1], "wb") as blob:
                shutil.copyfileobj(archive.extractfile(name), blob, 1 << 20)
    return paths, config["rootfs"]["diff_ids"]


def hash_plainly(path: Path) -> tuple[str, str, int]:
    """Digest, diff_id and entry count as careful plain Python finds them: inflated once."""

    class Hashing:
        def __init__(self, stream: io.BufferedIOBase) -> None:
            self.stream, self.hasher = stream, hashlib.sha256()

        def read(self, size: int = -1) -> bytes:
            data = self.stream.read(size)
            self.hasher.update(data)
            return data

    with open(path, "rb") as blob:
        digest = hashlib.file_digest(blob, "sha256").hexdigest()
    with gzip.open(path) as stream:
        hashing = Hashing(stream)
        with tarfile.open(fileobj=hashing, mode="r|", bufsize=1 << 20) as tar:
            entries = sum(1 for _ in tar)
        while hashing.read(1 << 20):
            pass
    return f"sha256:{digest}", f"sha256:{hashing.hasher.hexdigest()}", entries


def rate(size: int, seconds: float) -> str:
    return f"{size / seconds / MB:,.0f} MB/s"


def show(layers: list[Packed], reports: list[ocifast.LayerReport]) -> None:
    row = "{:<18} {:>9} {:>9} {:>8}  {:<20} {:<20}".format
    print(row("layer", "stored MB", "tar MB", "entries", "digest", "diff_id"))
    for layer, report in zip(layers, reports, strict=True):
        print(
            row(
                layer.title,
                f"{report.size / MB:.1f}",
                f"{report.uncompressed_size / MB:.1f}",
                f"{report.entries:,}",
                report.digest[:19] + "…",
                report.diff_id[:19] + "…",
            )
        )


def faults(
    layers: list[Packed], diff_ids: list[str], reports: list[ocifast.LayerReport]
) -> list[str]:
    """What differs between the reports and the image; empty when all is well."""
    found = []
    for layer, diff_id, report in zip(layers, diff_ids, reports, strict=True):
        expected = (layer.digest, diff_id, layer.size, layer.entries)
        actual = (report.digest, report.diff_id, report.uncompressed_size, report.entries)
        if expected != actual:
            found.append(f"{layer.title}: expected {expected}, found {actual}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=240, help="size of the image, uncompressed")
    limit = parser.parse_args().mb * MB
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="ocifast-demo-") as scratch:
        folder = Path(scratch)
        started = time.perf_counter()
        layers, spare = [], 0
        for title, share in SHARES.items():  # what one layer has no files for goes to the next
            room = int(limit * share) + spare
            layers.append(pack(title, folder, room))
            spare = max(0, room - layers[-1].size)
        save_archive(layers, folder / "image.tar")
        paths, diff_ids = load_archive(folder / "image.tar", folder)
        archive_size = (folder / "image.tar").stat().st_size
        print(
            f"made a docker-archive of {archive_size / MB:.0f} MB from this machine's files "
            f"in {time.perf_counter() - started:.1f} s\n"
        )
        differs = hash_and_compare(layers, paths, diff_ids, workers)
        differs = differs or convert_and_verify(folder / "image.tar", folder / "images", diff_ids)
        differs = differs or pack_and_hash(folder) or diff_both(folder)
        return differs or unpack_and_diff(folder) or squash_and_diff(folder)


def convert_and_verify(archive: Path, folder: Path, diff_ids: list[str]) -> int:
    """Convert the archive into an OCI layout of zstd layers, and verify that."""
    print("\nocifast convert image.tar -o oci:images --compress zstd")
    report = ocifast.convert(str(archive), f"oci:{folder}", compress="zstd")
    for line in table_lines(report):
        print(f"  {line}" if line else "")
    print("\nocifast verify oci:images")
    verified = ocifast.verify(f"oci:{folder}")
    print(f"  {verified.blobs} blobs, {rate(verified.bytes, verified.seconds)} as stored")
    for problem in verified.problems:
        print(f"  WRONG: {problem}", file=sys.stderr)
    kept = [layer.diff_id for layer in report.images[0].layers] == diff_ids
    if not kept:
        print("  WRONG: the diff_ids are not those of the archive", file=sys.stderr)
    return int(not (verified.ok and kept))


def pack_and_hash(folder: Path) -> int:
    """Pack the standard library in three ways, and hash what came out."""
    tree = sysconfig.get_path("stdlib")
    print(f"\nocifast pack {tree} -o LAYER")
    row = "  {:<12} {:>9} {:>9} {:>8} {:>7}  {:<20} {:<20}".format
    print(row("compress", "stored MB", "tar MB", "entries", "s", "digest", "diff_id"))
    wrong = 0
    for compress in ("none", "zstd", "gzip"):
        made = ocifast.pack_layer(tree, folder / compress, compress=compress, exclude=LEAVE_OUT)
        found = ocifast.hash_layer(folder / compress, profile="strict")
        print(
            row(
                compress,
                f"{made.size / MB:.1f}",
                f"{made.uncompressed_size / MB:.1f}",
                f"{made.entries:,}",
                f"{made.seconds:.2f}",
                made.digest[:19] + "…",
                made.diff_id[:19] + "…",
            )
        )
        wrong |= (made.digest, made.diff_id) != (found.digest, found.diff_id)
    if wrong:
        print("  WRONG: a layer is not what it was packed as", file=sys.stderr)
    return int(wrong)


def diff_both(folder: Path) -> int:
    """Diff what has to be the same: a tree and its layer, an image before and after conversion."""
    tree = sysconfig.get_path("stdlib")
    pairs = {
        "a tree and a layer of it": (tree, folder / "zstd"),
        "an archive and what it became": (folder / "image.tar", f"oci:{folder / 'images'}"),
    }
    print("\nocifast diff A B")
    wrong = 0
    for title, pair in pairs.items():
        started = time.perf_counter()
        with ocifast.diff(*pair, exclude=LEAVE_OUT) as found:
            seconds = time.perf_counter() - started
            same = f"{found.totals.same:,} entries the same, {found.totals.changes} differ"
            if not found and not found.totals.same:
                same = "their layers are the same, so none was read"
            print(f"  {title}: {same}, {seconds:.2f} s")
            wrong |= bool(found)
    if wrong:
        print("  WRONG: what is the same differs", file=sys.stderr)
    return wrong


def unpack_and_diff(folder: Path) -> int:
    """Unpack the image, and diff the tree with the layers it came from."""
    image, tree, rootless = f"oci:{folder / 'images'}", folder / "rootfs", os.geteuid() != 0
    print(f"\nocifast unpack oci:images rootfs{' --rootless' * rootless}")
    made = ocifast.unpack(image, tree, rootless=rootless)
    print(
        f"  {len(made.layers)} layers, {made.entries:,} entries, {made.size / MB:.0f} MB of files "
        f"in {made.seconds:.2f} s, {rate(made.size, made.seconds)}"
    )
    ignore = ("owner", "xattrs") if rootless else ()  # those are recorded only
    with ocifast.diff(image, tree, ignore=ignore) as found:
        print(f"  diff oci:images rootfs: {found.totals.same:,} the same", end=", ")
        print(f"{found.totals.changes} differ")
        wrong = bool(found)
    shutil.rmtree(tree)
    if wrong:
        print("  WRONG: the tree is not that of the image", file=sys.stderr)
    return int(wrong)


def squash_and_diff(folder: Path) -> int:
    """Make one layer of all, and diff what both images come to."""
    images = [f"oci:{folder / name}" for name in ("images", "squashed")]
    print("\nocifast squash oci:images -o oci:squashed --compress zstd")
    made = squash(*images, compress="zstd")
    print(
        f"  {made.layers_before} layers of {made.size_before / MB:.1f} MB became "
        f"{len(made.layers)} of {made.size_after / MB:.1f} MB in {made.seconds:.2f} s"
    )
    with ocifast.diff(*images, ignore=("config", "manifest")) as found:
        print(f"  diff oci:images oci:squashed: {found.totals.same:,} the same", end=", ")
        print(f"{found.totals.changes} differ")
        wrong = bool(found)
    if wrong:
        print("  WRONG: the squashed image is another tree", file=sys.stderr)
    return int(wrong)


def hash_and_compare(
    layers: list[Packed], paths: list[Path], diff_ids: list[str], workers: int
) -> int:
    started = time.perf_counter()
    reports = ocifast.hash_layers([str(path) for path in paths], workers=workers)
    together = time.perf_counter() - started
    show(layers, reports)
    total = sum(report.uncompressed_size for report in reports)
    print(
        f"\nocifast, {len(paths)} layers, {workers} workers: {together:.2f} s, "
        f"{rate(total, together)} of tar (workers' start included)"
    )

    longest = max(range(len(paths)), key=lambda i: reports[i].uncompressed_size)
    size = reports[longest].uncompressed_size
    started = time.perf_counter()
    plain = hash_plainly(paths[longest])
    slow = time.perf_counter() - started
    started = time.perf_counter()
    alone = ocifast.hash_layer(str(paths[longest]))
    quick = time.perf_counter() - started
    print(f"the layer of {layers[longest].title} alone, {size / MB:.0f} MB of tar:")
    print(f"  hashlib + gzip + tarfile  {slow:6.2f} s  {rate(size, slow):>12}")
    print(f"  ocifast.hash_layer        {quick:6.2f} s  {rate(size, quick):>12}")

    found = faults(layers, diff_ids, reports)
    if plain != (alone.digest, alone.diff_id, alone.entries):
        found.append(f"plain Python found {plain}, ocifast {alone}")
    for fault in found:
        print(f"DIFFERS: {fault}", file=sys.stderr)
    if not found:
        print("\nevery digest, diff_id, size and entry count agrees with the image's config")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
