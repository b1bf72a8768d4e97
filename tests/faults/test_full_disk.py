"""A small file system: what does not fit is an error, and no more is used than there has to be.

The bound on disk use is the size of the file system itself, so nothing has to be watched: a layout
takes what is in it at the end; an archive takes twice its size, as compressed layers wait beside it
until all are there, and once its size where layers are kept, as those are never copied aside.
"""

import contextlib
import os
import subprocess

import pytest
from conftest import IN_CI
from support.faults import contents
from support.images import docker_files, make_sample, write_tar
from support.running import Command, write_images

from ocifast.ops.verify import verify

SLACK = 1 << 20
PAGE = 4096


class SmallDisk:
    """A tmpfs of its own."""

    def __init__(self, path, prefix):
        self.path, self._prefix = path, prefix
        path.mkdir()
        self._run("mount", "-t", "tmpfs", "-o", f"size={SLACK},mode=1777", "tmpfs", str(path))

    def _run(self, *command):
        subprocess.run([*self._prefix, *command], check=True, capture_output=True)

    def resize(self, size):
        self._run("mount", "-o", f"remount,size={size // PAGE * PAGE + PAGE}", str(self.path))

    def empty(self):
        for path in sorted(self.path.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def close(self):
        self._run("umount", "--lazy", str(self.path))


@pytest.fixture
def disk(tmp_path):
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and not IN_CI:
        pytest.skip("a file system can be mounted by root only")
    try:
        found = SmallDisk(tmp_path / "disk", prefix)
    except (OSError, subprocess.CalledProcessError) as error:
        if IN_CI:
            raise
        pytest.skip(f"a file system cannot be mounted here: {error}")
    with contextlib.closing(found):
        yield found


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "in", images=2, layers=3, size=300_000)


@pytest.fixture(scope="module")
def squeezed(images, tmp_path_factory):
    """The first of them, compressed as a whole."""
    path = tmp_path_factory.mktemp("squeezed") / "0.tar.gz"
    with path.open("wb") as file:
        subprocess.run(["gzip", "-1c", images[0]], check=True, stdout=file)
    return [str(path)]


def used(path):
    """What it takes in a tmpfs, which gives whole pages."""
    files = [at for at in path.rglob("*") if at.is_file()]
    return sum(-(-at.stat().st_size // PAGE) * PAGE for at in files) + PAGE * len(files)


def run(sources, disk, target, *options):
    """A run that has no other place to write to."""
    command = Command(*sources, "-o", target.format(disk.path), *options, TMPDIR=str(disk.path))
    return command.end()


@pytest.mark.parametrize(
    ("target", "factor"), [("oci:{}/images", 1), ("oci-archive:{}/images.tar", 2)]
)
def test_a_disk_that_is_full_is_said_and_when_it_has_room_the_run_goes_on(
    target, factor, images, disk
):
    disk.resize(1 << 30)
    assert run(images, disk, target) == (0, "")
    truth, whole = contents(disk.path, hidden=True), used(disk.path) * factor
    for percent in (2, 30, 60, 90):
        disk.empty()
        disk.resize(whole * percent // 100)
        code, error = run(images, disk, target)
        assert (code, "No space left on device" in error) == (6, True)
        path = target.format(disk.path).partition(":")[2]
        if os.path.exists(path if factor == 2 else f"{path}/oci-layout"):
            assert verify(target.format(disk.path), workers=0).ok
        left = [name for name in contents(disk.path, hidden=True) if "/.ocifast-" in f"/{name}"]
        assert left == []
        disk.resize(whole + SLACK)
        assert run(images, disk, target) == (0, "")
        assert contents(disk.path, hidden=True) == truth


@pytest.mark.parametrize(
    ("target", "compress", "factor"),
    [
        ("oci:{}/images", "zstd", 1),
        ("oci:{}/images", "keep", 1),
        ("oci-archive:{}/images.tar", "keep", 1),
        ("docker-archive:{}/images.tar", "none", 1),
        ("oci-archive:{}/images.tar", "zstd", 2),
    ],
)
@pytest.mark.parametrize("form", ["images", "squeezed"])
def test_nothing_of_the_input_is_copied_aside(target, compress, factor, form, disk, request):
    sources = request.getfixturevalue(form)
    disk.resize(1 << 30)
    assert run(sources, disk, target, "--compress", compress) == (0, "")
    if form == "squeezed" and compress in ("keep", "none") and factor == 1 and ".tar" in target:
        factor = 2  # layers that come by once have to wait somewhere, as compressed ones do
    whole = used(disk.path) * factor
    disk.empty()
    disk.resize(whole + SLACK)
    assert run(sources, disk, target, "--compress", compress) == (0, "")


def test_a_destination_that_cannot_be_written_is_an_error_of_output(tmp_path, disk):
    write_tar(tmp_path / "a.tar", docker_files(make_sample()))
    (disk.path / "file").write_bytes(b"")
    code, error = Command(str(tmp_path / "a.tar"), "-o", f"oci:{disk.path}/file/images").end()
    assert code in (3, 6)
    assert "file" in error
