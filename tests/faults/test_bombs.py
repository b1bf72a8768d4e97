"""Bombs: layers and archives that inflate without end are refused early and in bounded memory."""

import gzip
import os
import subprocess
import sys
import tarfile

import pytest
from support.images import Sample, docker_files, make_sample, tar_of, write_tar
from support.layers import LAYER, Layer, zstd

from ocifast.ops.verify import verify

MIB = 1 << 20
BOMB = 2048 * MIB
PIECE = 16 * MIB
MOST_MEMORY = 256 * MIB
RUN = """
import resource, sys
from ocifast.cli import main
code = main(sys.argv[1:])
# not ru_maxrss, which begins with that of the process this one was forked from
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) << 10, resource.getrusage(resource.RUSAGE_SELF).ru_utime)
sys.exit(code)
"""


def zeros(codec, head, size):
    """`head` and so many zeros, a gzip member or zstd frame for each piece of them."""
    compress = (lambda data: gzip.compress(data, 9, mtime=0)) if codec == "gzip" else zstd.compress
    return compress(head) + compress(bytes(PIECE)) * (size // PIECE)


def header(name, size):
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf()


@pytest.fixture(scope="module")
def bombs():
    return {codec: zeros(codec, header("bomb", BOMB), BOMB) for codec in ("gzip", "zstd")}


def image_of(bomb, codec):
    """An image that says nothing wrong of a bomb, as far as anybody looks."""
    layer = Layer(bomb, f"{LAYER}+{codec}", "", make_sample(9).layers[0].diff_id, BOMB, 1)
    return Sample((make_sample(1).layers[0], layer), ("example.com/bomb:1",))


def convert(*arguments):
    """Exit code, what it said, and the most memory it had."""
    command = [sys.executable, "-P", "-c", RUN, "convert", *arguments, "--workers", "0", "-q"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60, text=True)
    memory, seconds = done.stdout.split()[-2:]
    assert float(seconds) < 20
    return done.returncode, done.stderr, int(memory)


@pytest.mark.figures
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("outer", ["plain", "gzip", "zstd"])
def test_z01_a_layer_that_is_a_bomb_is_refused_in_bounded_memory(codec, outer, bombs, tmp_path):
    files = docker_files(image_of(bombs[codec], codec), variant="F")
    path = write_tar(tmp_path / "bomb.tar", files, codec=outer)
    oci, archive = f"oci:{tmp_path}/out", f"oci-archive:{tmp_path}/out.tar"
    for target, compress in ((oci, "zstd"), (archive, "none")):
        code, error, memory = convert(path, "-o", target, "--compress", compress)
        assert (code, "ratio" in error) == (4, True)
        assert memory <= MOST_MEMORY
    assert not os.path.exists(tmp_path / "out.tar")
    assert verify(f"oci:{tmp_path}/out", workers=0).images == ()


@pytest.mark.figures
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_z01_an_archive_that_is_a_bomb_as_a_whole_is_refused(codec, place, tmp_path):
    archive = tar_of(docker_files(make_sample(1))).rstrip(b"\0")
    archive += bytes(-len(archive) % 512)
    bomb = header("zeros", BOMB)
    head = bomb if place == "first" else archive + bomb
    (tmp_path / "bomb.tar").write_bytes(zeros(codec, head, BOMB))
    code, error, memory = convert(str(tmp_path / "bomb.tar"), "-o", f"oci:{tmp_path}/out")
    assert (code, "ratio" in error) == (4, True)
    assert memory <= MOST_MEMORY


@pytest.mark.figures
@pytest.mark.parametrize("name", ["manifest.json", "index.json", "repositories"])
def test_a_document_of_gigabytes_within_a_small_archive_is_refused_unread(name, tmp_path):
    (tmp_path / "bomb.tar.zst").write_bytes(zeros("zstd", header(name, BOMB), BOMB))
    code, error, memory = convert(str(tmp_path / "bomb.tar.zst"), "-o", f"oci:{tmp_path}/out")
    assert (code, error.count("\n")) == (4, 1)
    assert memory <= MOST_MEMORY
