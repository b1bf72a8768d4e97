"""What a conversion of a large image takes of memory: all processes together, shared pages once."""

import hashlib
import io
import random
import select
import tarfile

import pytest
from support.images import compact, save_manifest, sha256
from support.processes import children
from support.running import Command

pytestmark = pytest.mark.figures

MIB = 1 << 20
MOST_MEMORY = 512 * MIB
LAYERS, LAYER_MIB = 3, 341


class Repeated:
    """A file that is made while it is read: text and noise in turns, for as long as is needed."""

    def __init__(self, seed, size):
        noise = random.Random(seed).randbytes(MIB)
        self._piece = b"".join(
            noise[at : at + 2048] + b"all work and no play makes jack a dull boy\n" * 48
            for at in range(0, MIB, 2048)
        )
        self._left, self._number = size, 0

    def read(self, size):
        size = min(size, self._left)
        self._left -= size
        self._number += 1
        piece = self._number.to_bytes(8) + self._piece
        return (piece * (size // len(piece) + 1))[:size]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A docker-archive of 1 GiB."""
    folder = tmp_path_factory.mktemp("image")
    diff_ids = []
    for number in range(LAYERS):
        path = folder / f"{number}.tar"
        with tarfile.open(path, "w") as tar:
            for file in range(LAYER_MIB // 11):
                member = tarfile.TarInfo(f"{number}/{file}")
                member.size = 11 * MIB
                tar.addfile(member, Repeated(100 * number + file % 7, member.size))
        with path.open("rb") as file:
            diff_ids.append("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    config = compact(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )
    names = [f"{number}.tar" for number in range(LAYERS)]
    documents = {
        f"{sha256(config)[7:]}.json": config,
        "manifest.json": save_manifest([(f"{sha256(config)[7:]}.json", ("large:1",), names)]),
    }
    with tarfile.open(folder / "large.tar", "w") as tar:
        for name in names:
            tar.add(folder / name, name)
            (folder / name).unlink()
        for name, content in documents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return str(folder / "large.tar")


def memory_of(pid):
    """Proportional set size: a page that two processes share counts half in each."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_1_gib_is_converted_within_512_mib_of_memory(compress, image, tmp_path):
    command = Command(image, "-o", f"oci:{tmp_path}/out", "--compress", compress, "--workers", "2")
    most = count = 0
    while command.running:
        pids = [command.pid, *children(command.pid)]
        most = max(most, sum(map(memory_of, pids)))
        count += 1
        select.select([], [], [], 0.02)
    assert command.end() == (0, "")
    assert count > 10
    assert MIB < most <= MOST_MEMORY
