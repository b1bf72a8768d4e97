"""Calls refused, and processes killed, by strace: no Python stands between us and the system.

A call is counted in each thread by itself: the Nth is the first that is anybody's Nth.
"""

import os
import signal

import pytest
from support.faults import contents
from support.running import Command, write_images

from ocifast.ops.verify import verify

OCI, ARCHIVE, FOLDER = "oci:{}/images", "oci-archive:{}/images.tar", "dir:{}/image"
REFUSED = [
    (OCI, "fdatasync", "EIO", 1),
    (OCI, "fsync", "EIO", 3),
    (OCI, "linkat", "ENOSPC", 2),
    (OCI, "/^rename", "EIO", 2),
    (OCI, "pwrite64,write", "ENOSPC", 2),
    (ARCHIVE, "copy_file_range", "EIO", 2),
    (ARCHIVE, "fdatasync", "EIO", 4),
    (ARCHIVE, "linkat", "EIO", 3),
    (FOLDER, "/^rename", "EIO", 1),
    (FOLDER, "fsync", "EIO", 3),
]
KILLED = [
    (OCI, "/^rename", 2),
    (OCI, "linkat", 4),
    (OCI, "fdatasync", 6),
    (ARCHIVE, "copy_file_range", 2),
    (ARCHIVE, "linkat", 3),
    (ARCHIVE, "/^unlink", 2),
    (FOLDER, "/^rename", 1),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "in", images=1, layers=3, size=20_000)


@pytest.fixture(scope="module")
def truth(images, tmp_path_factory):
    found = {}
    for target in (OCI, ARCHIVE, FOLDER):
        folder = tmp_path_factory.mktemp("truth")
        assert convert(images, folder, target) == (0, "")
        found[target] = contents(folder, hidden=True)
    return found


def convert(images, folder, target, prefix=()):
    command = Command(
        *[*images, "-o", target.format(folder), "--compress", "zstd", "--workers", "1"],
        prefix=prefix,
    )
    return command.end()


def strace(oracle, calls, what):
    path = oracle("strace")
    return (path, "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", what)


def check(images, folder, target, truth):
    """No lie on disk, and the next run makes it whole; one that is whole may be there already."""
    reference = target.format(folder)
    path = reference.partition(":")[2]
    if os.path.exists(f"{path}/oci-layout" if target == OCI else path):
        assert verify(reference, workers=0).ok
    code, error = convert(images, folder, target)
    found = contents(folder, hidden=True)
    assert code == 0 or (code == 6 and "already" in error and contents(folder) == truth[target])
    assert code or found == truth[target]


@pytest.mark.parametrize(("target", "calls", "number", "when"), REFUSED)
def test_a_refused_call_is_an_error_and_the_next_run_goes_on(
    target, calls, number, when, images, truth, tmp_path, oracle
):
    prefix = strace(oracle, calls, f"inject={calls}:error={number}:when={when}")
    code, error = convert(images, tmp_path, target, prefix)
    assert (code, error.count("\n")) == (6, 1)
    check(images, tmp_path, target, truth)


@pytest.mark.parametrize(("target", "calls", "when"), KILLED)
def test_a_run_killed_in_a_call_is_finished_by_the_next(
    target, calls, when, images, truth, tmp_path, oracle
):
    prefix = strace(oracle, calls, f"inject={calls}:signal=KILL:when={when}")
    code, _ = convert(images, tmp_path, target, prefix)
    assert code in (-signal.SIGKILL, 128 + signal.SIGKILL, 6)  # 6: it was a worker
    check(images, tmp_path, target, truth)
